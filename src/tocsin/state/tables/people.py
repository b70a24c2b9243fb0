"""Organisations and their people."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, key, number, number_id, text

__all__ = ["login", "org", "user"]

org = sa.Table("org", METADATA, key("id"), text("name"), number("created_at"))

user = sa.Table(
    "user",
    METADATA,
    number_id(),
    text("org"),
    text("name"),
    text("password_hash"),
    text("role"),
    number("created_at"),
    sa.UniqueConstraint("org", "name"),
)

login = sa.Table(
    "login",
    METADATA,
    key("token_hash"),
    text("org"),
    number("user_id"),
    number("created_at"),
    number("expires_at"),
)
