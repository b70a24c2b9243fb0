"""Versions of capture policies: each is kept; the newest of a name counts, unless it says that it was removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from tocsin.model.errors import NotFound
from tocsin.state.life.changes import note_change
from tocsin.state.tables import policy_version

__all__ = [
    "NewPolicy",
    "PolicyVersion",
    "add_policies",
    "all_policies",
    "current_policies",
    "history_of",
    "meant_for",
    "name_of",
]


class NewPolicy(msgspec.Struct, frozen=True):
    """A policy as it is applied."""

    name: str
    content: str
    agents: list[dict[str, str]] = []  # tags: those that have all of one entry; all agents if there is no entry
    folder: str = ""
    removed: bool = False


class PolicyVersion(NewPolicy, frozen=True, kw_only=True):
    """The same, and which version it is."""

    version: int
    author: str
    created_at: int


_COLUMNS = [policy_version.c[name] for name in PolicyVersion.__struct_fields__]


def current_policies(connection: sa.Connection, org: str) -> list[PolicyVersion]:
    """The newest version of every policy of an org that is not removed, by name."""
    return all_policies(connection).get(org, [])


def all_policies(connection: sa.Connection) -> dict[str, list[PolicyVersion]]:
    """The policies of all orgs as they are now."""
    v = policy_version
    newest = sa.select(v.c.org, v.c.name, sa.func.max(v.c.version).label("version")).group_by(v.c.org, v.c.name)
    last = newest.subquery()
    same = (v.c.org == last.c.org) & (v.c.name == last.c.name) & (v.c.version == last.c.version)
    query = sa.select(v.c.org, *_COLUMNS).join(last, same).where(~v.c.removed).order_by(v.c.org, v.c.name)
    found: dict[str, list[PolicyVersion]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["org"], []).append(_version(row))
    return found


def _version(row: sa.RowMapping) -> PolicyVersion:
    return PolicyVersion(**{name: row[name] for name in PolicyVersion.__struct_fields__})


def history_of(connection: sa.Connection, org: str, name: str) -> list[PolicyVersion]:
    """All versions of a policy, newest first.

    Raises:
        NotFound: the org never applied such a policy.
    """
    mine = sa.select(*_COLUMNS).where(policy_version.c.org == org, policy_version.c.name == name)
    rows = connection.execute(mine.order_by(policy_version.c.version.desc())).mappings()
    found = [_version(row) for row in rows]
    if not found:
        raise NotFound(f"no policy {name} was ever applied")
    return found


def add_policies(connection: sa.Connection, org: str, new: Sequence[NewPolicy], author: str, now_ms: int) -> None:
    """Make these the newest versions of their policies; gateways tell the agents of it."""
    if not new:
        return
    last = sa.select(policy_version.c.name, sa.func.max(policy_version.c.version).label("version"))
    rows = connection.execute(last.where(policy_version.c.org == org).group_by(policy_version.c.name))
    versions = {row.name: row.version for row in rows}
    made = {"org": org, "author": author, "created_at": now_ms}
    values = [msgspec.structs.asdict(each) | made | {"version": versions.get(each.name, 0) + 1} for each in new]
    connection.execute(sa.insert(policy_version), values)
    note_change(connection, org, now_ms)


def meant_for(policies: Iterable[PolicyVersion], tags: Mapping[str, str]) -> list[PolicyVersion]:
    """The policies that are meant for an agent with these tags, the most general first: what comes later wins."""
    fitting = [(depth, each.name, each) for each in policies if (depth := _depth(each, tags)) is not None]
    return [each for _, _, each in sorted(fitting, key=lambda one: one[:2])]


def name_of(policies: Iterable[PolicyVersion]) -> str:
    """What stands for these policies in these versions: base@2,web@7."""
    return ",".join(f"{each.name}@{each.version}" for each in policies)


def _depth(policy: PolicyVersion, tags: Mapping[str, str]) -> int | None:
    """How many tags the policy asks for of this agent, at most; None if it is not meant."""
    if not policy.agents:
        return 0
    depths = [len(wanted) for wanted in policy.agents if wanted.items() <= tags.items()]
    return max(depths, default=None)
