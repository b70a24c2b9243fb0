"""What correlations remember: matches of their members, what of them was told, and how far time has come."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, json, key, number, number_key, text

__all__ = ["window_head", "window_mark", "window_match", "window_source", "window_told"]

# Matches are numbered by this counter, in the transaction that writes them: whoever has seen a number has seen all
# lower ones, which a database's own sequence does not promise.
window_head = sa.Table("window_head", METADATA, key("name"), number("number"))

window_match = sa.Table(
    "window_match",
    METADATA,
    number_key("number"),
    text("org"),
    number("share"),  # of the groups; whoever owns it keeps their windows
    text("correlation"),
    text("version"),  # of the correlation: what another one has left is of no use
    text("member"),
    text("group"),  # this, value and carried: a JSON list of texts
    text("uid"),
    number("time"),
    text("value"),
    text("carried"),
    sa.Column("event", sa.LargeBinary, nullable=True),  # none where an inner correlation matched
    sa.Index(None, "org", "correlation", "time"),
)

window_told = sa.Table(
    "window_told",
    METADATA,
    key("org"),
    key("correlation"),
    key("version"),
    key("group"),
    key("slot"),  # the alert: when its window starts, and what alerts of the group are told apart by
    json("spans"),  # of time, in which all matches were told
    number("until"),
)

# Up to where anchors are settled.
window_mark = sa.Table("window_mark", METADATA, key("org"), number("watermark"))

# How far the events of each origin have come.
window_source = sa.Table(
    "window_source",
    METADATA,
    key("org"),
    key("origin"),
    number("seen_until"),  # the newest event's time
    number("heard_at"),
    number("number"),  # from the same counter
    sa.Index(None, "number"),
)
