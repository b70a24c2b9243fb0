"""Capture policies as people declare and see them: checked, and which agents have applied which."""

from __future__ import annotations

import re

import msgspec
import sqlalchemy as sa

from tocsin.agent.policy.read import problems, read_policy
from tocsin.model.errors import InvalidSetting
from tocsin.state.life.tags import agent_tags
from tocsin.state.policies import (
    NewPolicy,
    PolicyVersion,
    add_policies,
    current_policies,
    history_of,
    meant_for,
    name_of,
)
from tocsin.state.tables import agent

__all__ = ["Following", "apply_policy", "checked_policy", "following", "problems_of", "remove_policy"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Following(msgspec.Struct, frozen=True):
    """An agent, what it is to apply, and what it says that it applies."""

    agent: str
    hostname: str
    wanted: str
    applied: str | None  # None: it has said nothing of policies yet
    problem: str
    cpu_step: int

    @property
    def state(self) -> str:
        """How far it is."""
        if self.problem:
            return "refused"
        if not self.wanted and not self.applied:
            return "none applies"
        return "applied" if self.applied == self.wanted else "on its way"


def problems_of(name: str, content: str, file: str = "") -> list[str]:
    """Everything that is wrong with a policy, a sentence each."""
    found = problems(content, file or name)
    if not _NAME.fullmatch(name):
        found.append(f"{file or name}: a policy's name is of small letters, digits, dots and hyphens, not {name!r}")
    return found


def checked_policy(name: str, content: str, folder: str = "") -> NewPolicy:
    """The policy, as it can be applied.

    Raises:
        InvalidSetting: names line and key of what is wrong.
    """
    found = problems_of(name, content)
    if found:
        raise InvalidSetting("; ".join(found))
    return NewPolicy(name, content, list(read_policy(content, name).agents), folder)


def apply_policy(connection: sa.Connection, org: str, policy: NewPolicy, author: str, now_ms: int) -> bool:
    """Make it the newest version of its name; False if that says the same already."""
    current = {each.name: each for each in current_policies(connection, org)}
    known = current.get(policy.name)
    if known is not None and known.content == policy.content:
        return False
    add_policies(connection, org, [policy], author, now_ms)
    return True


def remove_policy(connection: sa.Connection, org: str, name: str, author: str, now_ms: int) -> None:
    """Have it apply to no agent any more; its versions stay.

    Raises:
        NotFound: there was never such a policy.
    """
    newest = history_of(connection, org, name)[0]
    if not newest.removed:
        gone = NewPolicy(name, newest.content, newest.agents, newest.folder, removed=True)
        add_policies(connection, org, [gone], author, now_ms)


def following(connection: sa.Connection, org: str) -> list[Following]:
    """What every agent of the org is to apply, and applies, by host name."""
    policies, tags = current_policies(connection, org), agent_tags(connection, org)
    columns = (agent.c.id, agent.c.hostname, agent.c.health)
    rows = connection.execute(sa.select(*columns).where(agent.c.org == org).order_by(agent.c.hostname, agent.c.id))
    return [_following(*row, policies, tags.get(row.id, {})) for row in rows]


def _following(
    uid: str, hostname: str, health: object, policies: list[PolicyVersion], tags: dict[str, str]
) -> Following:
    said = health.get("policy") if isinstance(health, dict) else None
    wanted = name_of(meant_for(policies, tags))
    if not isinstance(said, dict):
        return Following(uid, hostname, wanted, None, "", 0)
    step = said.get("cpu_step")
    return Following(
        uid,
        hostname,
        wanted,
        str(said.get("applied", "")),
        str(said.get("problem", "")),
        step if isinstance(step, int) else 0,
    )
