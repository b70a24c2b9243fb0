"""Feeds of threat intelligence, what they list, and how far history has been searched for it."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, json, key, number, number_key, text, truth

__all__ = ["EVERY_ORG", "intel_block", "intel_feed", "intel_hunt"]

EVERY_ORG = ""  # the org of a feed that all orgs share

intel_feed = sa.Table(
    "intel_feed",
    METADATA,
    key("org"),
    key("name"),
    text("format"),
    text("location"),
    text("level"),
    truth("warns", default=False),  # a list of what is harmless, and hides indicators of other feeds
    json("options"),
    number("every_ms"),
    number("version"),  # counts up with every change of what the feed lists
    number("created_at"),
    number("fetched_at", nullable=True),  # last time that it could be read
    number("tried_at", nullable=True),
    number("next_at"),  # when it is due; moved ahead by whoever is fetching it
    text("error", nullable=True),  # why the last try failed; what was listed before stays
    json("counts"),
    json("cursor"),  # where the next fetch goes on, in the source's terms
)

# What the feed lists, as compressed columns in several parts: a million indicators are read in a second this way.
intel_block = sa.Table(
    "intel_block",
    METADATA,
    key("org"),
    key("feed"),
    number_key("part"),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

# A search of history for indicators that have just arrived: newest days first, from where it stands.
intel_hunt = sa.Table(
    "intel_hunt",
    METADATA,
    key("org"),
    key("feed"),
    number_key("version"),
    number("first_seen_at"),  # of the indicators searched for
    number("since"),
    number("until"),
    number("searched_to"),  # all from here to `until` has been searched
    number("found", default=0),
    truth("done", default=False),
    text("error", nullable=True),
    number("next_at"),
    number("updated_at"),
)
