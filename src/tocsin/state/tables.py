"""The tables of the state. All times are milliseconds since the epoch; the org is in every key that a person can reach.

A change here needs a migration beside it (`state/migrations`): a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

__all__ = [
    "METADATA",
    "agent",
    "alert",
    "alert_event",
    "channel",
    "consumer_offset",
    "consumer_taken",
    "dead_letter",
    "enrolment_token",
    "ledger",
    "login",
    "org",
    "outbox",
    "user",
]

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> sa.Column[int]:
    # SQLite numbers rows by itself only where the key is exactly INTEGER.
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", number, primary_key=True, autoincrement=True)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=True)


def _number_key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _text(name: str, *, default: str | None = None, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=nullable, default=default)


def _number(name: str, *, default: int | None = None, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable, default=default)


def _truth(name: str, *, default: bool) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, default=default)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON, nullable=False)


org = sa.Table("org", METADATA, _key("id"), _text("name"), _number("created_at"))

user = sa.Table(
    "user",
    METADATA,
    _id(),
    _text("org"),
    _text("name"),
    _text("password_hash"),
    _text("role"),
    _number("created_at"),
    sa.UniqueConstraint("org", "name"),
)

login = sa.Table(
    "login",
    METADATA,
    _key("token_hash"),
    _text("org"),
    _number("user_id"),
    _number("created_at"),
    _number("expires_at"),
)

agent = sa.Table(
    "agent",
    METADATA,
    _key("id"),
    _text("org"),
    _text("hostname", default=""),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    _number("enrolled_at"),
    _number("last_seen_at", nullable=True),
    _text("boot_id", default=""),
    sa.Column("host", sa.JSON, nullable=True),  # what the agent says about its machine
    sa.Column("health", sa.JSON, nullable=True),  # what the agent says about itself
    sa.Index(None, "org"),
)

enrolment_token = sa.Table(
    "enrolment_token",
    METADATA,
    _key("token_hash"),
    _text("org"),
    _number("created_at"),
    _number("expires_at"),
    _number("uses_left"),
)

# One row per batch that the log holds: what makes a repeated batch harmless and a missing one visible.
ledger = sa.Table(
    "ledger",
    METADATA,
    _key("org"),
    _key("agent"),
    _number_key("epoch"),
    _number_key("sequence"),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    _number("created_at"),
    _number("received_at"),
    _number("rows"),
    _number("priority"),
    _json("not_kept"),
    _number("partition"),
    _number("offset"),
    _truth("tombstone", default=False),
    sa.Index(None, "org", "received_at"),
)

# Next offset that a consumer wants, and the generation of whoever owns it: an older owner's commit is refused.
consumer_offset = sa.Table(
    "consumer_offset",
    METADATA,
    _key("consumer"),
    _number_key("partition"),
    _number("offset"),
    _number("generation"),
    _number("updated_at"),
)

# Last batch that a consumer has taken of an origin, so that one which the log holds twice counts once.
consumer_taken = sa.Table(
    "consumer_taken",
    METADATA,
    _key("consumer"),
    _key("org"),
    _key("origin"),
    _number("epoch"),
    _number("sequence"),
)

dead_letter = sa.Table(
    "dead_letter",
    METADATA,
    _id(),
    _text("org", default=""),  # empty where the sender is not known
    _text("source"),
    _text("reason"),
    _number("partition", nullable=True),
    _number("offset", nullable=True),
    _number("received_at"),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index(None, "org", "received_at"),
    sa.UniqueConstraint("source", "partition", "offset"),  # a replay of the log puts nothing aside twice
)

alert = sa.Table(
    "alert",
    METADATA,
    _key("id"),
    _key("org"),
    _text("rule_id"),
    _text("rule_title"),
    _text("title"),
    _text("level"),
    _json("tags"),
    _text("origin"),
    _text("hostname", default=""),
    _json("group"),
    _number("window_start"),
    _number("window_end"),
    _number("first_event_at"),
    _number("last_event_at"),
    _number("event_count", default=0),
    _text("status", default="open"),  # open, acknowledged, closed
    _text("assignee", nullable=True),
    _text("closed_reason", nullable=True),
    _number("closed_at", nullable=True),
    _number("acknowledged_at", nullable=True),
    _number("created_at"),
    _number("updated_at"),
    sa.Index(None, "org", "updated_at"),
    # The queue's order, whole and by status: a page of 100,000 alerts takes 40 ms with them and 200 without.
    sa.Index(None, "org", "created_at", "id"),
    sa.Index(None, "org", "status", "created_at", "id"),
)

alert_event = sa.Table(
    "alert_event",
    METADATA,
    _key("org"),
    _key("alert_id"),
    _key("event_uid"),
    _number("class_uid"),
    _number("time"),
    _json("event"),  # nested, as exported
    _json("met"),  # which terms of the rule the event met, and with what value
)

channel = sa.Table(
    "channel",
    METADATA,
    _id(),
    _text("org"),
    _text("kind"),
    _text("name"),
    _json("config"),
    _truth("enabled", default=True),
    sa.UniqueConstraint("org", "name"),
)

# Notifications to be sent, written in the transaction that made the alert.
outbox = sa.Table(
    "outbox",
    METADATA,
    _id(),
    _text("org"),
    _number("channel_id"),
    _text("key"),
    _json("payload"),
    _number("created_at"),
    _number("next_try_at"),
    _number("tries", default=0),
    _number("delivered_at", nullable=True),
    _text("last_error", nullable=True),
    sa.UniqueConstraint("key"),
    sa.Index(None, "delivered_at", "next_try_at"),
)
