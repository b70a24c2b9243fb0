"""The correlator on a real log and state, beside a real detector."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from house import NOW, House
from tocsin.adapters.state_sink import StateSink
from tocsin.config import load_settings
from tocsin.model.errors import Fenced
from tocsin.model.event import Event
from tocsin.state.life.hits import HOUR_MS
from tocsin.state.tables import alert, alert_event, org, rule_hit, window_match, window_told
from tocsin.stream import Runner
from tocsin.wiring.detection.correlator import Correlator
from tocsin.wiring.detection.detector import Judged, judged
from tocsin.wiring.detection.listed import Listed
from tocsin.wiring.detection.verdict import keep
from tocsin.wiring.names import DETECTOR
from tocsin.wiring.rules.live import LiveRules

SECOND = 1000
RULES = """
title: Failed login
name: failed_login
id: 33333333-0000-4000-8000-000000000001
logsource: {product: linux, category: process_creation}
detection: {selection: {CommandLine|startswith: failed}, condition: selection}
level: low
---
title: Login
name: login
id: 33333333-0000-4000-8000-000000000002
logsource: {product: linux, category: process_creation}
detection: {selection: {CommandLine|startswith: login}, condition: selection}
level: low
---
title: Many failed logins
name: many_failed
id: 33333333-0000-4000-8000-000000000003
correlation: {type: event_count, rules: [failed_login], group-by: [User], timespan: 1m, condition: {gte: 3}}
level: medium
---
title: Guessed password
id: 33333333-0000-4000-8000-000000000004
correlation: {type: temporal_ordered, rules: [many_failed, login], group-by: [User], timespan: 2m}
level: high
tocsin: {title: "Password of {{User}} guessed"}
"""


class Watched:
    """A house whose log a detector and a correlator read, step by step."""

    def __init__(self, folder: Path, rules: str) -> None:
        self.house = House(folder)
        with self.house.state.begin() as connection:
            connection.execute(org.insert(), {"id": "default", "name": "default", "created_at": 0})
        (folder / "rules.yml").write_text(rules)
        self.settings = load_settings(data_dir=folder, rules=[folder / "rules.yml"], rulesets=[])
        self.live = LiveRules(self.settings, self.house.state, self.house.clock, DETECTOR)
        listed = Listed(self.house.state)

        def write(connection: sa.Connection, found: Judged) -> None:
            keep(connection, found.rules, found.findings, NOW)
            found.noted.keep(connection, self.house.clock.now_ms())

        self.sink = StateSink(
            self.house.state,
            DETECTOR,
            self.house.log.partitions,
            lambda batches: judged(*self.live.take(), listed, batches),
            write,
            self.house.clock,
        )
        self._sequences: dict[str, int] = {}
        self.runner = Runner(self.house.log, self.sink, self.house.refuse)
        self.correlator = self.fresh_correlator()

    def fresh_correlator(self) -> Correlator:
        return Correlator(self.settings, self.house.state, self.live, self.house.clock)

    def happen(self, *commands: str, at_s: float = 0, origin: str = "h1", user: str = "root") -> None:
        """Commands on a host, each a second after the one before, that reach the log as one batch."""
        events = [
            Event(
                1007,
                {
                    "time": NOW + int(SECOND * (at_s + number)),
                    "activity_id": 1,
                    "process.cmd_line": command,
                    "process.user.name": user,
                    "device.hostname": origin,
                },
            )
            for number, command in enumerate(commands)
        ]
        sequence = self._sequences[origin] = self._sequences.get(origin, -1) + 1
        self.house.append_events(sequence, events, origin=origin)

    def detect(self) -> None:
        while self.runner.step():
            pass

    def correlate(self) -> None:
        while self.correlator.step():
            pass

    def turn(self) -> None:
        self.detect()
        self.correlate()

    @contextmanager
    def lost_writes(self) -> Iterator[None]:
        """Every transaction of the correlator is rolled back at its end, after which it must start again."""

        def lose(_connection: sa.Connection) -> None:
            raise sa.exc.OperationalError("commit", {}, Exception("the disk is full"))

        sa.event.listen(self.house.state, "commit", lose)
        try:
            with suppress(sa.exc.OperationalError):
                yield
        finally:
            sa.event.remove(self.house.state, "commit", lose)
        self.correlator = self.fresh_correlator()

    def alerts(self) -> dict[str, int]:
        """Title and number of events of every alert."""
        return {row.title: row.event_count for row in self.house.rows(alert)}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A house with the rules of this test."""
    watched = Watched(tmp_path, RULES)
    yield watched
    watched.house.close()


def test_a_burst_and_a_login_are_one_alert_with_all_events(watched: Watched) -> None:
    """Chained correlations fire at once; the alert holds the burst and the login, and members stay silent."""
    watched.happen("failed 1", "failed 2", "failed 3", "login")
    watched.turn()
    assert watched.alerts() == {"Password of root guessed": 4}
    [found] = watched.house.rows(alert)
    assert (found.level, found.group, found.hostname) == ("high", {"User": "root"}, "h1")
    met = [(each["field"], each["term"], each["value"]) for row in watched.house.rows(alert_event) for each in row.met]
    assert ("Failed login", "at least 3 events in 1m", "matched") in met
    assert ("Many failed logins", "all rules, in order in 2m", "fired") in met
    assert ("Login", "all rules, in order in 2m", "matched") in met
    assert ("User", "the same in all", "root") in met
    assert ("process.cmd_line", "CommandLine|startswith: failed", "failed 1") in met
    assert {row.event["process"]["cmd_line"] for row in watched.house.rows(alert_event)} == {
        "failed 1",
        "failed 2",
        "failed 3",
        "login",
    }


def test_rules_that_are_only_there_for_correlations_are_counted(watched: Watched) -> None:
    """What members match is no alert, but a hit of theirs, by the hour; so is what an inner correlation finds."""
    watched.happen("failed 1", "failed 2", "failed 3", "login", "else")
    watched.turn()
    found = {row.rule_id[-1]: (row.matches, row.alerts, row.hour) for row in watched.house.rows(rule_hit)}
    hour = NOW - NOW % HOUR_MS
    assert found == {"1": (3, 0, hour), "2": (1, 0, hour), "3": (3, 0, hour), "4": (4, 1, hour)}


def test_hosts_in_different_partitions_of_the_log_count_together(watched: Watched) -> None:
    """Two failed logins on one host, one on another whose batches lie in another partition: together they fire."""
    origins = [f"h{number}" for number in range(8)]
    for origin in origins:
        watched.happen("nothing", origin=origin)
    partitions = {
        entry.origin: entry.partition
        for p in range(watched.house.log.partitions)
        for entry in watched.house.log.read(p, 0, max_bytes=10**6)
    }
    first = origins[0]
    second = next(origin for origin in origins if partitions[origin] != partitions[first])
    watched.happen("failed 1", "failed 2", origin=first, at_s=2)
    watched.turn()
    assert watched.alerts() == {}
    watched.happen("failed 3", "login", origin=second, at_s=5)
    watched.turn()
    assert watched.alerts() == {"Password of root guessed": 4}
    assert {row.event["device"]["uid"] for row in watched.house.rows(alert_event)} == {first, second}


def test_another_correlator_goes_on_where_the_last_one_was(watched: Watched) -> None:
    """Every step is done by a correlator that has just started: nothing is missed and nothing doubled."""
    for number, command in enumerate(["failed 1", "failed 2", "failed 3", "login", "failed 4", "login 2"]):
        watched.happen(command, at_s=number)
        watched.detect()
        watched.correlator = watched.fresh_correlator()
        watched.correlate()
    assert watched.alerts() == {"Password of root guessed": 6}


def test_what_is_over_is_forgotten(watched: Watched) -> None:
    """When time has gone on, neither matches nor what was told are kept."""
    watched.happen("failed 1", "failed 2", "failed 3", "login")
    watched.turn()
    assert watched.house.rows(window_match)
    assert watched.house.rows(window_told)
    watched.happen("nothing", at_s=600)
    watched.house.clock.ms += 601 * SECOND
    watched.turn()
    assert not watched.house.rows(window_match)
    assert not watched.house.rows(window_told)


def test_an_older_owner_must_not_write(watched: Watched) -> None:
    """Whoever is taken over from while it still runs is refused at its next write, and leaves no alert behind."""
    older = watched.correlator
    watched.fresh_correlator()
    watched.happen("failed 1", "failed 2", "failed 3", "login")
    watched.detect()
    with pytest.raises(Fenced):
        older.step()
    assert watched.alerts() == {}


def test_a_changed_correlation_starts_afresh_and_an_unchanged_one_goes_on(watched: Watched) -> None:
    """After an exchange of rules two failed logins are enough; what the old condition remembered is gone."""
    watched.happen("failed 1")
    watched.turn()
    assert len(watched.house.rows(window_match)) == 1
    changed = RULES.replace("condition: {gte: 3}", "condition: {gte: 2}")
    (watched.house.folder / "rules.yml").write_text(changed)
    assert watched.live.look()
    watched.happen("failed 2", "failed 3", "login", at_s=2)
    watched.turn()
    assert watched.alerts() == {"Password of root guessed": 3}
    versions = {(row.correlation, row.version) for row in watched.house.rows(window_match)}
    assert len(versions) == len({correlation for correlation, _ in versions})


def test_a_correlation_that_is_disabled_says_nothing(watched: Watched) -> None:
    """Its members stay silent, and what it remembered is let go."""
    watched.happen("failed 1", "failed 2")
    watched.turn()
    without = RULES.replace("level: high\n", "level: high\nstatus: test\n").replace(
        'tocsin: {title: "Password of {{User}} guessed"}', "tocsin: {state: disabled}"
    )
    (watched.house.folder / "rules.yml").write_text(without)
    assert watched.live.look()
    watched.happen("failed 3", "login", at_s=2)
    watched.turn()
    assert watched.alerts() == {}


def _everything(watched: Watched) -> list[tuple[str, str, int, int, list[int]]]:
    """Every alert, with the times of its events."""
    times: dict[str, list[int]] = {}
    for row in watched.house.rows(alert_event):
        times.setdefault(row.alert_id, []).append(row.time)
    rows = watched.house.rows(alert)
    return sorted((row.title, str(row.group), row.window_start, row.event_count, sorted(times[row.id])) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_restarts_and_writes_that_fail_at_any_moment_change_nothing(tmp_path: Path, seed: int) -> None:
    """Detector and correlator take turns as they like, die, and lose transactions: the alerts are the same."""
    results = []
    for disturbed in (False, True):
        rng, chance = random.Random(seed), random.Random(seed + 100)  # noqa: S311 -- repeatable
        (tmp_path / str(disturbed)).mkdir()
        watched = Watched(tmp_path / str(disturbed), RULES)
        for number in range(120):
            commands = [rng.choice(["failed", "failed", "login", "nothing"]) for _ in range(rng.randrange(1, 6))]
            origin, user = rng.choice(["h1", "h2", "h3"]), rng.choice(["root", "ada"])
            # Times that no other event has: the order of two at once would depend on ids.
            watched.happen(*commands, at_s=number * 6.001 + rng.randrange(-4, 1), origin=origin, user=user)
            if not disturbed or chance.random() < 0.5:
                watched.detect()
            if disturbed and chance.random() < 0.3:
                with watched.lost_writes():
                    watched.correlate()
            if not disturbed or chance.random() < 0.5:
                watched.correlate()
            if disturbed and chance.random() < 0.3:
                watched.correlator = watched.fresh_correlator()
        watched.turn()
        results.append(_everything(watched))
        watched.house.close()
    assert len(results[0]) > 5
    assert results[0] == results[1]
