"""Capture policies: what agents are told to leave alone, by version."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, json, key, number, number_key, text, truth

__all__ = ["policy_version"]

# Every version of every policy that was applied; the newest counts, unless it says that the policy was removed.
policy_version = sa.Table(
    "policy_version",
    METADATA,
    key("org"),
    key("name"),
    number_key("version"),
    text("folder", default=""),  # that was applied; empty if the policy was applied by itself
    json("agents"),  # tags; an agent that has all of one entry is meant, every agent if there is no entry
    text("content"),  # the TOML document
    text("author"),
    number("created_at"),
    truth("removed", default=False),
)
