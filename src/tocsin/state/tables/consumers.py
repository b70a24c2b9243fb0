"""How far consumers of the log have come, and what they put aside."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, key, number, number_id, number_key, text

__all__ = ["consumer_offset", "consumer_taken", "dead_letter"]

# Next offset that a consumer wants, and the generation of whoever owns it: an older owner's commit is refused.
consumer_offset = sa.Table(
    "consumer_offset",
    METADATA,
    key("consumer"),
    number_key("partition"),
    number("offset"),
    number("generation"),
    number("updated_at"),
)

# Last batch that a consumer has taken of an origin, so that one which the log holds twice counts once.
consumer_taken = sa.Table(
    "consumer_taken",
    METADATA,
    key("consumer"),
    key("org"),
    key("origin"),
    number("epoch"),
    number("sequence"),
)

dead_letter = sa.Table(
    "dead_letter",
    METADATA,
    number_id(),
    text("org", default=""),  # empty where the sender is not known
    text("source"),
    text("reason"),
    number("partition", nullable=True),
    number("offset", nullable=True),
    number("received_at"),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index(None, "org", "received_at"),
    sa.UniqueConstraint("source", "partition", "offset"),  # a replay of the log puts nothing aside twice
)
