"""Versions of applied rules: each is kept; the newest of a rule counts, unless it says that the rule was removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import sqlalchemy as sa

from tocsin.model.errors import NotFound
from tocsin.state.tables import rule_version

__all__ = ["Applied", "Version", "add_version", "current", "digest_of", "history", "texts_of"]


class Applied(msgspec.Struct, frozen=True):
    """One document as it is applied: a rule, a correlation or a filter."""

    rule_id: str
    ruleset: str
    path: str  # within the folder that was applied
    title: str
    content: str
    removed: bool = False


class Version(Applied, frozen=True, kw_only=True):
    """The same, and which version it is."""

    version: int
    digest: str
    author: str
    created_at: int


_COLUMNS = [rule_version.c[name] for name in Version.__struct_fields__]


def digest_of(content: str) -> str:
    """What is equal for equal contents only."""
    return hashlib.sha256(content.encode()).hexdigest()


def current(connection: sa.Connection, org: str) -> dict[str, Version]:
    """The newest version of every rule of an org that is not removed, by id."""
    newest = (
        sa.select(rule_version.c.rule_id, sa.func.max(rule_version.c.version).label("version"))
        .where(rule_version.c.org == org)
        .group_by(rule_version.c.rule_id)
        .subquery()
    )
    same = (rule_version.c.rule_id == newest.c.rule_id) & (rule_version.c.version == newest.c.version)
    wanted = sa.select(*_COLUMNS).join(newest, same).where(rule_version.c.org == org, ~rule_version.c.removed)
    rows = connection.execute(wanted.order_by(rule_version.c.ruleset, rule_version.c.path, rule_version.c.rule_id))
    return {row["rule_id"]: Version(**row) for row in rows.mappings()}


def history(connection: sa.Connection, org: str, rule_id: str) -> list[Version]:
    """All versions of a rule, newest first.

    Raises:
        NotFound: the org never applied such a rule.
    """
    mine = sa.select(*_COLUMNS).where(rule_version.c.org == org, rule_version.c.rule_id == rule_id)
    found = [Version(**row) for row in connection.execute(mine.order_by(rule_version.c.version.desc())).mappings()]
    if not found:
        raise NotFound(f"no rule {rule_id} was ever applied; built-in rules and those of folders have no versions")
    return found


def add_version(connection: sa.Connection, org: str, applied: Sequence[Applied], author: str, now_ms: int) -> None:
    """Make these the newest versions of their rules."""
    if not applied:
        return
    last = _last_versions(connection, org, [one.rule_id for one in applied])
    rows = [
        {
            **msgspec.structs.asdict(one),
            "org": org,
            "version": last.get(one.rule_id, 0) + 1,
            "digest": digest_of(one.content),
            "author": author,
            "created_at": now_ms,
        }
        for one in applied
    ]
    connection.execute(sa.insert(rule_version), rows)


def _last_versions(connection: sa.Connection, org: str, rule_ids: Iterable[str]) -> dict[str, int]:
    last = sa.select(rule_version.c.rule_id, sa.func.max(rule_version.c.version).label("version"))
    rows = connection.execute(last.where(rule_version.c.org == org).group_by(rule_version.c.rule_id))
    wanted = set(rule_ids)
    return {row.rule_id: row.version for row in rows if row.rule_id in wanted}


def texts_of(versions: Iterable[Version]) -> Iterator[tuple[str, str]]:
    """What was applied, as the files that it came from."""
    files: dict[str, list[str]] = {}
    for version in versions:
        files.setdefault(f"{version.ruleset}/{version.path}", []).append(version.content)
    for name, contents in files.items():
        yield name, "---\n".join(contents)
