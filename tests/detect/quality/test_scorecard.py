"""A card names what speaks against a rule, by its files and by what the platform has really seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from house import DAY, NOW, House, drain
from tocsin.detect.history.scan import Period
from tocsin.detect.quality.arrival import Arrivals, asked_fields
from tocsin.detect.quality.experience import Experience, Judgement, experiences, judged_alerts, judgement
from tocsin.detect.quality.lint.run import lint_files
from tocsin.detect.quality.scorecard import Card, Seen, cards, middling_cost
from tocsin.detect.sigma.library import load
from tocsin.model.event import Event, Value
from tocsin.model.rule import Rule
from tocsin.model.wire import PlainRecord
from tocsin.state.tables import alert, alert_event, rule_cost, rule_hit, rule_state
from tocsin.wiring.stored.history import History

_TODAY = dt.date(2026, 11, 23)
_ID = "5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11"
_OTHER = "5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a12"
_RULE = f"""\
title: Example
id: {_ID}
date: 2026-01-02
level: high
logsource: {{product: linux, category: process_creation}}
detection:
    selection:
        Image|endswith: '/nc'
        CommandLine|contains: '-e'
    filter:
        User: backup
    condition: selection and not filter
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A log, a state and a lake."""
    house = House(tmp_path)
    yield house
    house.close()


def _rules(folder: Path, text: str = _RULE, *, cases: bool = True) -> tuple[Rule, ...]:
    (folder / "rule.yml").write_text(text)
    for kind in ("fires", "misses") if cases else ():
        (folder / f"rule.{kind}.log").write_text("")
    return load([folder]).rules


def _card(rules: tuple[Rule, ...], seen: Seen | None = None) -> Card:
    return cards(rules[:1], _TODAY, {_ID: seen} if seen else None)[0]


def _kinds(card: Card) -> list[str]:
    return [reason.kind for reason in card.reasons]


def _seen(experience: Experience, **changes: object) -> Seen:
    values = {"days": 30.0, "fed": True, "missing": (), "middling_ns": 100.0} | changes
    return Seen(experience=experience, **values)  # type: ignore[arg-type]


_GOOD = Experience(matches=30, alerts=10, true_positives=5, false_positives=1, cost_ns=120.0)


def test_a_good_rule_has_all_points(tmp_path: Path) -> None:
    """With cases, young, and right most of the time: nothing speaks against it."""
    card = _card(_rules(tmp_path), _seen(_GOOD))
    assert (card.score, card.grade, card.reasons) == (100, "A", ())
    assert card.false_positive_rate == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("kind", "experience", "changes"),
    [
        ("silent", Experience(), {}),
        ("unfed", Experience(), {"fed": False}),
        ("missing fields", _GOOD, {"missing": ("CommandLine",)}),
        ("noisy", Experience(matches=900, alerts=900), {}),
        ("false positives", Experience(matches=9, alerts=9, false_positives=4, true_positives=1), {}),
        ("costly", Experience(matches=9, alerts=9, cost_ns=2_000.0), {}),
        ("state", Experience(matches=9, state="demoted"), {}),
    ],
)
def test_what_was_seen_speaks_against_a_rule(
    tmp_path: Path, kind: str, experience: Experience, changes: dict[str, object]
) -> None:
    """Each thing that can be seen costs points and is named."""
    card = _card(_rules(tmp_path), _seen(experience, **changes))
    assert kind in _kinds(card)
    assert card.score < 100


@pytest.mark.parametrize(
    ("experience", "changes"),
    [
        (Experience(matches=9, alerts=9, false_positives=1, true_positives=1), {}),  # too few to say
        (Experience(matches=9, alerts=149), {}),  # just below five a day
        (Experience(matches=9, alerts=9, cost_ns=490.0), {}),  # little, however many times the others
        (Experience(matches=9, alerts=9, cost_ns=2_000.0), {"middling_ns": None}),  # nothing to compare with
    ],
)
def test_what_says_too_little_does_not(tmp_path: Path, experience: Experience, changes: dict[str, object]) -> None:
    """Near misses of the same cost nothing."""
    assert _card(_rules(tmp_path), _seen(experience, **changes)).reasons == ()


def test_a_rules_own_budget_is_what_counts(tmp_path: Path) -> None:
    """A rule that may raise fifty alerts a day is not noisy with thirty."""
    text = f"{_RULE}tocsin: {{noise_budget: 50}}\n"
    assert "noisy" not in _kinds(_card(_rules(tmp_path, text), _seen(Experience(matches=900, alerts=900))))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("stale", _RULE.replace("2026-01-02", "2024-01-02")),
        ("superseded", f"{_RULE}status: deprecated\n"),
        (
            "superseded",
            f"{_RULE}---\n{_RULE.replace(_ID, _OTHER)}related:\n    - id: {_ID}\n      type: obsolete\n",
        ),
    ],
)
def test_age_speaks_against_a_rule(tmp_path: Path, kind: str, text: str) -> None:
    """A rule that was long left alone, or that another has taken the place of, is named."""
    rules = _rules(tmp_path, text)
    assert kind in _kinds(next(card for card in cards(rules, _TODAY) if card.rule_id == _ID))


def test_a_change_makes_a_rule_young_again(tmp_path: Path) -> None:
    """What counts is when it was last changed, not when it was made."""
    text = _RULE.replace("date: 2026-01-02", "date: 2020-01-02\nmodified: 2026-01-02")
    assert _kinds(_card(_rules(tmp_path, text))) == []


def test_lack_of_cases_and_the_linter_count(tmp_path: Path) -> None:
    """A rule without cases, or about which the linter complains, has fewer points."""
    rules = _rules(tmp_path, _RULE.replace("condition: selection and not filter", "condition: selection"), cases=False)
    (card,) = cards(rules, _TODAY, None, lint_files([tmp_path]))
    assert _kinds(card) == ["untested", "lint"]
    (tmp_path / "rule.fires.log").write_text("")
    assert "no case on which it must not fire" in cards(rules, _TODAY)[0].reasons[0].text


def test_what_the_rule_in_the_middle_costs() -> None:
    """The median of what was measured; nothing if that is too little."""
    assert middling_cost([Experience(cost_ns=float(cost)) for cost in (1, 2, 3, 4, 100)]) == 3
    assert middling_cost([Experience(cost_ns=1.0), Experience()]) is None


def test_fields_that_are_needed_are_told_from_filters(tmp_path: Path) -> None:
    """A field that only leaves events out, and what the log source asks for, need not arrive."""
    assert set(asked_fields(_rules(tmp_path)[0])) == {"Image", "CommandLine"}


def _arrivals(house: House, rules: tuple[Rule, ...], since: int = NOW - DAY, org: str = "default") -> Arrivals:
    period = Period(since, NOW + DAY)
    return Arrivals(rules, History(house.query(), org).pieces(period), period, lambda _done, _total: None)


@pytest.mark.parametrize("in_files", [True, False])
def test_fields_that_never_arrive_are_named(tmp_path: Path, house: House, *, in_files: bool) -> None:
    """What the store has really seen decides, per class, period and org, in files as among hot rows."""
    rules = _rules(tmp_path)
    assert not _arrivals(house, rules).fed(rules[0])
    started: dict[str, Value] = {"time": NOW, "activity_id": 1, "process.file.path": "/bin/nc"}
    sink = house.lake_sink()
    house.append_events(0, [Event(1007, dict(started))])
    if in_files:
        drain(house.runner(sink))
    arrivals = _arrivals(house, rules)
    assert (arrivals.fed(rules[0]), arrivals.missing(rules[0])) == (True, ["CommandLine"])
    house.append_events(1, [Event(1007, started | {"process.cmd_line": "nc -e"})])
    assert _arrivals(house, rules).missing(rules[0]) == []
    assert not _arrivals(house, rules, since=NOW + 1).fed(rules[0])
    assert not _arrivals(house, rules, org="other").fed(rules[0])


def test_keys_of_records_and_originals_arrive_too(tmp_path: Path, house: House) -> None:
    """A rule on audit records, or on an original's paths, is held against those of the newest events."""
    audit = _RULE.replace("category: process_creation", "service: auditd").replace("Image|endswith", "exe")
    (rule,) = _rules(tmp_path, audit.replace("CommandLine|contains", "key"))
    record = PlainRecord("SYSCALL", ("exe",), ("/bin/nc",))
    house.append_events(0, [Event(1007, {"time": NOW, "activity_id": 1}, (record,))])
    assert _arrivals(house, (rule,)).missing(rule) == ["key"]
    trail = _RULE.replace("product: linux, category: process_creation", "product: aws, service: cloudtrail")
    (rule,) = _rules(tmp_path, trail.replace("Image|endswith", "requestParameters.x"))
    original: dict[str, Value] = {"time": NOW, "activity_id": 1, "metadata.log_name": "cloudtrail"}
    original["unmapped.source"] = '{"requestParameters": {"x": "/nc"}}'
    house.append_events(1, [Event(6003, original)])
    assert _arrivals(house, (rule,)).missing(rule) == ["CommandLine"]


@pytest.mark.parametrize(
    ("status", "reason", "judged"),
    [
        ("closed", "False positive: the backup", Judgement.FALSE),
        ("closed", "FP", Judgement.FALSE),
        ("closed", "expected, authorised by ops", Judgement.FALSE),
        ("closed", "false positive, no incident", Judgement.FALSE),
        ("closed", "true positive: host rebuilt", Judgement.TRUE),
        ("closed", "malicious, see ticket 12", Judgement.TRUE),
        ("closed", "fpga team asked about it", Judgement.OPEN),
        ("closed", None, Judgement.OPEN),
        ("acknowledged", None, Judgement.TRUE),
        ("open", None, Judgement.OPEN),
        ("staged", None, Judgement.OPEN),
    ],
)
def test_closing_reasons_are_understood(status: str, reason: str | None, judged: Judgement) -> None:
    """What people write when they close an alert says whether it was one; what says nothing counts for nothing."""
    assert judgement(status, reason) is judged


def _alert(key: str, status: str, reason: str | None, org: str = "default") -> dict[str, object]:
    texts = dict.fromkeys(("rule_title", "title", "origin", "hostname"), "x")
    times = dict.fromkeys(("window_start", "window_end", "first_event_at", "created_at", "updated_at"), NOW)
    own = {"id": key, "org": org, "rule_id": _ID, "level": "high", "tags": [], "group": {}, "event_count": 3}
    return texts | times | own | {"status": status, "closed_reason": reason, "last_event_at": NOW}


def test_the_state_tells_what_was_seen(house: House) -> None:
    """Hits, verdicts, cost and state of a rule, of one org and period only."""
    with house.state.begin() as connection:
        hits = {"org": "default", "rule_id": _ID, "matches": 5, "alerts": 2}
        connection.execute(sa.insert(rule_hit), [hits | {"hour": NOW}, hits | {"hour": NOW - 60 * DAY}])
        connection.execute(sa.insert(rule_hit), [hits | {"hour": NOW, "org": "other"}])
        uncounted = _alert("e", "open", None) | {"rule_id": _OTHER}
        rows = [
            uncounted,
            _alert("a", "closed", "false positive"),
            _alert("b", "acknowledged", None),
            _alert("c", "open", None),
        ]
        connection.execute(sa.insert(alert), [*rows, _alert("d", "closed", "false positive", "other")])
        event = {"alert_id": "a", "event_uid": "1", "class_uid": 1007, "time": NOW, "event": {"time": NOW}, "met": []}
        connection.execute(sa.insert(alert_event), [event | {"org": org} for org in ("default", "other")])
        cost = {"org": "default", "rule_id": _ID, "events": 10, "took_ns": 500, "measured_at": NOW}
        connection.execute(sa.insert(rule_cost), [cost])
        state = {"org": "default", "rule_id": _ID, "state": "staged", "author": "ann", "changed_at": NOW}
        connection.execute(sa.insert(rule_state), [state])
    with house.state.connect() as connection:
        assert experiences(connection, "default", NOW - DAY) == {
            _ID: Experience(5, 2, 0, 0, NOW, false_positives=1, true_positives=1, cost_ns=50.0, state="staged"),
            _OTHER: Experience(matches=3, alerts=1, last_match_at=NOW),  # from before hits were counted
        }
        assert judged_alerts(connection, "default", _ID, Judgement.FALSE) == [{"time": NOW}]
        assert judged_alerts(connection, "default", _ID, Judgement.TRUE) == []
