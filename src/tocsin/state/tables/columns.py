"""What the declarations of tables are written with."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["METADATA", "json", "key", "number", "number_id", "number_key", "text", "truth"]

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def number_id() -> sa.Column[int]:
    """A key that the database counts up."""
    # SQLite numbers rows by itself only where the key is exactly INTEGER.
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", number, primary_key=True, autoincrement=True)


def key(name: str) -> sa.Column[str]:
    """A text that is part of the key."""
    return sa.Column(name, sa.String, primary_key=True)


def number_key(name: str) -> sa.Column[int]:
    """A number that is part of the key."""
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def text(name: str, *, default: str | None = None, nullable: bool = False) -> sa.Column[str]:
    """A text."""
    return sa.Column(name, sa.String, nullable=nullable, default=default)


def number(name: str, *, default: int | None = None, nullable: bool = False) -> sa.Column[int]:
    """A number; a time in milliseconds where its name ends in `_at`."""
    return sa.Column(name, sa.BigInteger, nullable=nullable, default=default)


def truth(name: str, *, default: bool) -> sa.Column[bool]:
    """True or false."""
    return sa.Column(name, sa.Boolean, nullable=False, default=default)


def json(name: str) -> sa.Column[object]:
    """Any JSON."""
    return sa.Column(name, sa.JSON, nullable=False)
