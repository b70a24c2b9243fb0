"""One alert for every silence of an agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from house import ManualClock
from tocsin.state.engine import open_state, reading
from tocsin.state.fleet import revoke
from tocsin.state.tables import agent, alert
from tocsin.wiring.detection.presence import OFFLINE_RULE, Presence

OFFLINE_S = 300


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    yield engine
    engine.dispose()


def _enrol(state: sa.Engine, name: str, last_seen_at: int | None) -> None:
    row = {"id": name, "org": "default", "hostname": name, "public_key": b"", "enrolled_at": 0}
    with state.begin() as connection:
        connection.execute(sa.insert(agent).values(boot_id="", host={}, health={}, last_seen_at=last_seen_at, **row))


def _alerts(state: sa.Engine) -> list[str]:
    with reading(state) as connection:
        rows = connection.execute(
            sa.select(alert.c.title).where(alert.c.rule_id == OFFLINE_RULE).order_by(alert.c.title)
        )
        return [row.title for row in rows]


def test_an_agent_that_falls_silent_is_told_once(state: sa.Engine) -> None:
    """Neither one that is heard of, nor one that never was, nor a revoked one; a second silence is told again."""
    clock = ManualClock()
    presence = Presence(state, clock, OFFLINE_S)
    clock.sleep(OFFLINE_S)
    _enrol(state, "silent", clock.ms - 1000 * OFFLINE_S - 1)
    _enrol(state, "heard", clock.ms - 1000)
    _enrol(state, "never", None)
    _enrol(state, "revoked", 1)
    with state.begin() as connection:
        revoke(connection, "default", "revoked", clock.ms)
    for _ in range(2):
        presence.look()
    Presence(state, ManualClock(), 0).look()
    assert _alerts(state) == ["silent: its agent has fallen silent"]
    with state.begin() as connection:
        connection.execute(sa.update(agent).where(agent.c.id == "silent").values(last_seen_at=clock.ms))
    clock.sleep(OFFLINE_S + 1)
    presence.look()
    told = _alerts(state)
    assert told.count("silent: its agent has fallen silent") == 2
    assert told.count("heard: its agent has fallen silent") == 1


def test_a_server_that_was_away_itself_misses_nobody(state: sa.Engine) -> None:
    """What nobody could hear is no silence: it counts from the server's start on."""
    clock = ManualClock()
    _enrol(state, "web", clock.ms - 10_000_000)
    presence = Presence(state, clock, OFFLINE_S)
    presence.look()
    clock.sleep(OFFLINE_S - 1)
    presence.look()
    assert _alerts(state) == []
    clock.sleep(1)
    presence.look()
    assert len(_alerts(state)) == 1
