"""The same answer live and over history, and what a backtest says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from house import NOW, House, drain
from tocsin.adapters.lake_sink import FlushWhen
from tocsin.columnar.decode import decode
from tocsin.columnar.frame import frames
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.backtest import Search, search
from tocsin.detect.history.in_force import Terms
from tocsin.detect.history.junit import junit_xml, too_noisy
from tocsin.detect.history.report import Budget, alerts_of
from tocsin.detect.history.scan import Period
from tocsin.detect.history.sieve import sift
from tocsin.detect.history.tally import hits_in
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.detect.window.collect import Members, matches_of
from tocsin.detect.window.correlate import firings
from tocsin.detect.window.tell import findings
from tocsin.model.condition import Compare, Field, Match, Number
from tocsin.model.event import Event
from tocsin.model.finding import Finding, alert_id
from tocsin.model.rule import Rule
from tocsin.normalize import auditd
from tocsin.wiring.replay import demo_events
from tocsin.wiring.stored.history import History, search_with_duckdb

DAY = 86_400_000
PERIOD = Period(NOW - 3 * DAY, NOW + DAY)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture(scope="module")
def base() -> tuple[Rule, ...]:
    """The rules that come with Tocsin."""
    return load([ruleset_folder("base")]).rules


def _recorded() -> list[Event]:
    """The demo intrusion, and all recorded cases of the base rules."""
    found = demo_events()
    for case in sorted(ruleset_folder("base").glob("*.log")):
        found += [item for item in auditd.read_events(case.read_bytes().splitlines()) if isinstance(item, Event)]
    return found


def _keep(house: House, events: Sequence[Event], in_files: int) -> None:
    """Store the events as batches of two senders on three days, so many of them in files, the rest hot."""
    sink = house.lake_sink(FlushWhen(rows=1_000_000))
    for number, start in enumerate(range(0, len(events), 200)):
        batch = events[start : start + 200]
        for place, event in enumerate(batch):
            event.values["time"] = NOW - (number % 3) * DAY + place
        if number == in_files:
            drain(house.runner(sink))
            sink.flush()
        house.append_events(number, batch, f"h{number % 2}")


def _live(house: House, rules: Sequence[Rule]) -> list[Finding]:
    """What the detector finds in the log, entry by entry."""
    engine = Engine(rules)
    entries = [e for p in range(house.log.partitions) for e in house.log.read(p, 0, max_bytes=1 << 30)]
    return [finding for entry in entries for finding in engine.findings(frames([decode(entry)]))]


def _quiet(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.mark.slow
@pytest.mark.parametrize("way", [search, search_with_duckdb])
@pytest.mark.parametrize("in_files", [0, 5])
def test_history_has_what_the_detector_found(house: House, base: tuple[Rule, ...], in_files: int, way: Search) -> None:
    """By either way the same pairs of rule and event, and the same alerts, of recorded attacks in files and hot."""
    _keep(house, _recorded(), in_files)
    live = _live(house, base)
    pieces = History(house.query(), "default").pieces(PERIOD)
    found = way(base, sift(base, pieces), PERIOD, _quiet)
    hits = {
        (rule, hit.uid)
        for piece, rows in found.rows
        for rule, of_rule in hits_in(piece, base, rows).items()
        for hit in of_rule
    }
    assert hits == {(finding.rule_id, finding.event_uid) for finding in live}
    alerts = {each.id for rule in base for each in alerts_of(rule, found.tallies[rule.id], "default")}
    assert alerts == {alert_id(finding) for finding in live}
    assert len({rule for rule, _ in hits}) == len(base)


def test_what_the_lake_fills_in_is_there_live_too(house: House) -> None:
    """Activity and severity that an event does not carry have their default for the detector as in history."""
    rules = [
        Rule(path, "", Match(Field(path), Number(Compare.EQUALS, value)), (1007,))
        for path, value in (("activity_id", 0), ("severity_id", 1))
    ]
    house.append_events(0, [Event(1007, {"time": NOW}), Event(1007, {"time": NOW, "activity_id": 1, "severity_id": 2})])
    live = {(finding.rule_id, finding.event_uid[-22:-17]) for finding in _live(house, rules)}
    assert live == {("activity_id", "00000"), ("severity_id", "00000")}
    for _ in range(2):
        pieces = History(house.query(), "default").pieces(PERIOD)
        found = search(rules, sift(rules, pieces), PERIOD, _quiet)
        assert {rule: tally.hits for rule, tally in found.tallies.items()} == {"activity_id": 1, "severity_id": 1}
        sink = house.lake_sink(FlushWhen(rows=1))
        drain(house.runner(sink))
        sink.flush()


def test_a_report_says_when_where_and_what_would_quieten_it(house: House) -> None:
    """Days, hosts, groups and alerts add up; a suppression removes exactly what it is said to."""
    noise = [
        Event(
            1007,
            {
                "time": 0,
                "activity_id": 1,
                "process.name": "nc",
                "process.cmd_line": f"nc {n}",
                "process.user.name": "backup",
            },
        )
        for n in range(500)
    ]
    attack = Event(
        1007,
        {"time": 0, "activity_id": 1, "process.name": "nc", "process.cmd_line": "nc -e", "process.user.name": "www"},
    )
    _keep(house, [*noise, attack], 2)
    rule = load([_rule_file(house.folder)])
    history = History(house.query(), "default")
    (report,) = history.backtest(rule, PERIOD, _quiet)
    assert (report.hits, report.judged) == (501, 501)
    assert [day.hits for day in report.days] == [0, 101, 200, 200]
    assert sum(day.alerts for day in report.days) == report.alerts == 4
    assert dict(report.groups["process.user.name"]) == {"backup": 500, "www": 1}
    best = report.suppressions[0]
    assert "process.user.name = 'backup'" in best.expression
    assert (best.alerts, best.hits) == (3, 500)
    (budgeted,) = history.backtest(rule, PERIOD, _quiet, Terms(noise_budget=1))
    assert [day.alerts for day in report.days] == [0, 2, 1, 1]
    assert budgeted.budget == Budget(1, report.days[1].day, 1)
    narrow = Period(NOW - 2 * DAY, NOW - 2 * DAY + 50)
    assert history.backtest(rule, narrow, _quiet)[0].hits == 50


def _rule_file(folder: Path) -> Path:
    path = folder / "nc.yml"
    path.write_text(
        "title: Netcat\nid: 2c1f4a3e-0000-4000-8000-000000000001\nlevel: low\n"
        "logsource: {product: linux, category: process_creation}\n"
        "detection:\n  selection: {process.name: nc}\n  condition: selection\n"
        "tocsin: {group_by: [process.user.name], window: 1d}\n"
    )
    return path


def test_junit_names_the_rule_that_is_too_noisy(house: House) -> None:
    """A rule above the limit is a failed test case with its numbers; without a limit nothing fails."""
    _keep(house, [Event(1007, {"time": 0, "activity_id": 1, "process.name": "nc"}) for _ in range(20)], 0)
    (report,) = History(house.query(), "default").backtest(load([_rule_file(house.folder)]), PERIOD, _quiet)
    assert not too_noisy(report, None)
    assert too_noisy(report, 0.1)
    failed = junit_xml([report], 0.1)
    assert 'failures="1"' in failed
    assert "0.2 alerts a day; 0.1 are allowed" in failed
    assert 'failures="0"' in junit_xml([report], None)


def test_a_correlation_has_the_alerts_that_it_would_have_raised(house: House) -> None:
    """Three launches within an hour are one alert by its live id, two are none; the rule itself raises none."""
    path = _rule_file(house.folder)
    path.write_text(
        path.read_text() + "---\ntitle: Many\nid: 2c1f4a3e-0000-4000-8000-000000000002\n"
        "correlation: {type: event_count, rules: [2c1f4a3e-0000-4000-8000-000000000001], group-by: [User], "
        "timespan: 1h, condition: {gte: 3}}\n"
    )
    library = load([path])
    for number, user in enumerate(["root", "root", "www", "root", "www"]):
        event = Event(1007, {"time": NOW + number, "activity_id": 1, "process.name": "nc", "process.user.name": user})
        house.append_events(number, [event])
    rule, correlation = History(house.query(), "default").backtest(library, PERIOD, _quiet)
    assert (rule.hits, rule.alerts) == (5, 0)
    assert (correlation.title, correlation.hits, correlation.alerts) == ("Many", 3, 1)
    members = Members({"default": library.correlations})
    entries = [e for p in range(house.log.partitions) for e in house.log.read(p, 0, max_bytes=1 << 30)]
    seen = [
        each
        for entry in entries
        for frame in frames([decode(entry)]).values()
        for each in matches_of(members, frame, list(Engine(library.rules).matches(frame)))
    ]
    numbered = [(replace(match, row=at), each.event) for at, each in enumerate(seen, 1) for match in each.matches]
    events = {match.row: event for match, event in numbered}
    told = findings(firings(library.correlations, [match for match, _ in numbered]), events, lambda _org, _id: None)
    assert {each.id for each in correlation.largest} == {alert_id(finding) for finding in told}
