"""Which capture policies each agent is to apply, told in every answer and delivered when it asks."""

from __future__ import annotations

import time

import msgspec
import sqlalchemy as sa
import structlog

from tocsin.state.engine import reading
from tocsin.state.life.changes import change_numbers
from tocsin.state.life.tags import all_tags
from tocsin.state.policies import PolicyVersion, all_policies, meant_for, name_of

__all__ = ["Delivery", "Policies", "Policy"]

_log = structlog.get_logger(__name__)
_EVERY_S = 1.0


class Policy(msgspec.Struct, frozen=True):
    """One policy in one version."""

    name: str
    version: int
    content: str


class Delivery(msgspec.Struct, frozen=True):
    """What an agent is to apply, the most general first; `policies` is left empty if it has them already."""

    name: str
    policies: list[Policy]


class Policies:
    """The policies and tags of the state, looked at once a second, read when something has changed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._looked_at = float("-inf")
        self._changes: dict[str, int] | None = None
        self._policies: dict[str, list[PolicyVersion]] = {}
        self._tags: dict[str, dict[str, dict[str, str]]] = {}

    def wanted(self, org: str, agent: str) -> str:
        """The name of what the agent is to apply; empty if nothing."""
        return name_of(self._meant(org, agent))

    def delivery(self, org: str, agent: str, known: str) -> Delivery:
        """What the agent is to apply, for one that has applied what `known` names."""
        meant = self._meant(org, agent)
        name = name_of(meant)
        contents = [Policy(each.name, each.version, each.content) for each in meant]
        return Delivery(name, [] if name == known else contents)

    def _meant(self, org: str, agent: str) -> list[PolicyVersion]:
        self._look()
        policies = self._policies.get(org)
        return meant_for(policies, self._tags.get(org, {}).get(agent, {})) if policies else []

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _EVERY_S:
            return
        self._looked_at = now
        try:
            self._read()
        except sa.exc.OperationalError as error:  # what was read last holds: batches are taken all the same
            _log.warning("policies cannot be looked at; trying again", reason=str(error.orig))

    def _read(self) -> None:
        with reading(self._engine) as connection:
            changes = change_numbers(connection)
            if changes != self._changes:
                self._policies, self._tags = all_policies(connection), all_tags(connection)
                self._changes = changes
