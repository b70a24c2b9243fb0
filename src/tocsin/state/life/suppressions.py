"""Suppressions as they are kept: added and removed, never changed, so that each says who hid what, why and how long."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from tocsin.model.errors import NotFound, WrongState
from tocsin.state.life.changes import note_change
from tocsin.state.tables import suppression

__all__ = ["NewSuppression", "Suppression", "add", "find", "listed", "note_hidden", "remove"]


class NewSuppression(msgspec.Struct, frozen=True):
    """What is to be hidden, and who answers for it until when."""

    expression: str
    owner: str
    reason: str
    expires_at: int
    rule_id: str = ""  # of one rule; of all if empty


class Suppression(NewSuppression, frozen=True, kw_only=True):
    """One that is kept."""

    org: str
    id: str
    author: str
    created_at: int
    removed_by: str | None = None
    removed_at: int | None = None
    hidden: int = 0
    last_hidden_at: int | None = None

    def state(self, now_ms: int) -> str:
        """In force, expired or removed."""
        if self.removed_at is not None:
            return "removed"
        return "expired" if now_ms >= self.expires_at else "in force"


_COLUMNS = [suppression.c[name] for name in Suppression.__struct_fields__]


def add(connection: sa.Connection, org: str, new: NewSuppression, author: str, now_ms: int) -> Suppression:
    """Keep a suppression, and tell the detectors."""
    made = Suppression(
        **msgspec.structs.asdict(new), org=org, id=secrets.token_hex(6), author=author, created_at=now_ms
    )
    connection.execute(sa.insert(suppression).values(msgspec.structs.asdict(made)))
    note_change(connection, org, now_ms)
    return made


def find(connection: sa.Connection, org: str, key: str) -> Suppression:
    """The suppression of that id.

    Raises:
        NotFound: the org has none.
    """
    mine = sa.select(*_COLUMNS).where(suppression.c.org == org, suppression.c.id == key)
    row = connection.execute(mine).mappings().first()
    if row is None:
        raise NotFound(f"there is no suppression {key}")
    return Suppression(**row)


def listed(connection: sa.Connection, org: str | None = None) -> list[Suppression]:
    """The suppressions of an org, or of all, newest first."""
    wanted = sa.select(*_COLUMNS).order_by(suppression.c.created_at.desc(), suppression.c.id)
    if org is not None:
        wanted = wanted.where(suppression.c.org == org)
    return [Suppression(**row) for row in connection.execute(wanted).mappings()]


def remove(connection: sa.Connection, org: str, key: str, author: str, now_ms: int) -> Suppression:
    """Stop hiding; who did so is kept, and so is what was hidden.

    Raises:
        NotFound: the org has no such suppression.
        WrongState: it was removed before.
    """
    if find(connection, org, key).removed_at is not None:
        raise WrongState(f"suppression {key} was removed before")
    mine = (suppression.c.org == org) & (suppression.c.id == key)
    connection.execute(sa.update(suppression).where(mine).values(removed_by=author, removed_at=now_ms))
    note_change(connection, org, now_ms)
    return find(connection, org, key)


def note_hidden(connection: sa.Connection, hidden: Mapping[tuple[str, str], int], now_ms: int) -> None:
    """Count what suppressions, by (org, id), have hidden, in the caller's transaction."""
    for (org, key), count in hidden.items():
        mine = (suppression.c.org == org) & (suppression.c.id == key)
        values = {"hidden": suppression.c.hidden + count, "last_hidden_at": now_ms}
        connection.execute(sa.update(suppression).where(mine).values(values))
