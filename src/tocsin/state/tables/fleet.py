"""Agents, how they join, and the ledger of what they sent."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, json, key, number, number_key, text, truth

__all__ = ["agent", "enrolment_token", "ledger"]

agent = sa.Table(
    "agent",
    METADATA,
    key("id"),
    text("org"),
    text("hostname", default=""),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    number("enrolled_at"),
    number("last_seen_at", nullable=True),
    text("boot_id", default=""),
    sa.Column("host", sa.JSON, nullable=True),  # what the agent says about its machine
    sa.Column("health", sa.JSON, nullable=True),  # what the agent says about itself
    number("revoked_at", nullable=True),  # from then on nothing is taken from it
    text("cloned_from", nullable=True),  # the agent whose state folder it began with
    sa.Index(None, "org"),
)

enrolment_token = sa.Table(
    "enrolment_token",
    METADATA,
    key("token_hash"),
    text("org"),
    number("created_at"),
    number("expires_at"),
    number("uses_left"),
    sa.Column("tags", sa.JSON, nullable=True),  # that every agent gets which enrols with it
)

# One row per batch that the log holds: what makes a repeated batch harmless and a missing one visible.
ledger = sa.Table(
    "ledger",
    METADATA,
    key("org"),
    key("agent"),
    number_key("epoch"),
    number_key("sequence"),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    number("created_at"),
    number("received_at"),
    number("rows"),
    number("priority"),
    json("not_kept"),
    number("partition"),
    number("offset"),
    truth("tombstone", default=False),
    sa.Index(None, "org", "received_at"),
)
