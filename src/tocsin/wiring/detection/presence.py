"""An alert for every agent that falls silent."""

from __future__ import annotations

import threading

import sqlalchemy as sa
import structlog

from tocsin.alert.record import record
from tocsin.model.finding import Finding
from tocsin.ports import Clock
from tocsin.state.engine import reading
from tocsin.state.fleet import Quiet, quiet_agents

__all__ = ["OFFLINE_RULE", "Presence"]

_log = structlog.get_logger(__name__)
OFFLINE_RULE = "tocsin:agent-offline"
_EVERY_S = 15.0


class Presence:
    """Looks for agents that have not been heard of for a while."""

    def __init__(self, engine: sa.Engine, clock: Clock, offline_s: float) -> None:
        self._engine, self._clock, self._offline_ms = engine, clock, int(offline_s * 1000)
        # While this server was away nobody could be heard: silence counts from its start on.
        self._not_before = clock.now_ms() + self._offline_ms
        self._told: set[tuple[str, str, int]] = set()

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop; with 0 seconds nobody is missed."""
        while not stop.wait(_EVERY_S):
            if self._offline_ms:
                self.look()

    def look(self) -> None:
        """Once: one alert per silence, whoever asks and how often."""
        now = self._clock.now_ms()
        if now < self._not_before:
            return
        with reading(self._engine) as connection:
            quiet = {
                (one.org, one.id, one.last_seen_at): one for one in quiet_agents(connection, now - self._offline_ms)
            }
        fresh = [one for key, one in quiet.items() if key not in self._told]
        if fresh:
            with self._engine.begin() as connection:
                record(connection, [_finding(one) for one in fresh], now)
            _log.warning("agents are offline", agents=[one.hostname for one in fresh])
        self._told = set(quiet)


def _finding(quiet: Quiet) -> Finding:
    return Finding(
        org=quiet.org,
        rule_id=OFFLINE_RULE,
        rule_title="An agent is offline",
        title=f"{quiet.hostname or quiet.id}: its agent has fallen silent",
        level="medium",
        tags=(),
        origin=quiet.id,
        hostname=quiet.hostname,
        event_uid=f"{OFFLINE_RULE}/{quiet.id}/{quiet.last_seen_at}",
        class_uid=0,
        time=quiet.last_seen_at,
        group={"agent": quiet.id},
        window_ms=0,
        met=(),
        event={},
    )
