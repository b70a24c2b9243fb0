"""Rules in use: exchanged whole while running, staged, masked, suppressed, budgeted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from columnar.batches import batch
from tocsin.columnar.frame import Batch
from tocsin.config import load_settings
from tocsin.model.event import Event
from tocsin.model.finding import Finding
from tocsin.model.life import State
from tocsin.state.engine import open_state, reading
from tocsin.state.life.changes import in_use, note_change
from tocsin.state.life.costs import costs
from tocsin.state.life.hits import Hits, hits
from tocsin.state.life.states import Given, give_state, states
from tocsin.state.life.suppressions import NewSuppression, add, find
from tocsin.state.life.tags import assign, tag_agent
from tocsin.state.life.versions import Applied, add_version
from tocsin.state.tables import alert, org, outbox
from tocsin.wiring.detection.detector import judged
from tocsin.wiring.detection.listed import Listed
from tocsin.wiring.detection.verdict import keep
from tocsin.wiring.rules.live import LiveRules

START = 20_000 * 86_400_000
DAY = 86_400_000
RULE = """
title: A marked command
id: 22222222-0000-4000-8000-00000000000{number}
logsource: {{product: linux, category: process_creation}}
detection:
  selection: {{CommandLine|startswith: {word}}}
  condition: selection
level: high
tocsin: {{{more}}}
"""


class Wall:
    """Time that a test moves."""

    ms = START

    def now_ms(self) -> int:
        return self.ms

    def sleep(self, seconds: float) -> None:
        self.ms += int(1000 * seconds)


class Place:
    """A state, a folder of rules, and what a detector does with both."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "rules"
        self.rules.mkdir()
        (folder / "tocsin.toml").write_text(f'rules = ["{self.rules}"]\nrulesets = []\n')
        self.settings = load_settings(folder / "tocsin.toml", data_dir=folder)
        self.state = open_state(f"sqlite:///{folder / 'state.db'}")
        self.clock = Wall()
        self._sequence = 0
        self._listed = Listed(self.state)
        with self.state.begin() as connection:
            for name in ("default", "other"):
                connection.execute(sa.insert(org).values(id=name, name=name, created_at=START))

    def write(self, number: int, word: str = "marked", more: str = "") -> Path:
        path = self.rules / f"{number}.yml"
        path.write_text(RULE.format(number=number, word=word, more=more))
        return path

    def live(self) -> LiveRules:
        return LiveRules(self.settings, self.state, self.clock, "detector")

    def batch(self, *commands: str, org: str = "default", origin: str = "h1", at: int = START) -> Batch:
        self._sequence += 1
        events = [Event(1007, {"time": at, "activity_id": 1, "process.cmd_line": command}) for command in commands]
        return batch(events, self._sequence, org, origin)

    def findings(self, live: LiveRules, *batches: Batch) -> list[Finding]:
        return judged(*live.take(), self._listed, batches).findings

    def judge(self, live: LiveRules, *batches: Batch) -> list[tuple[str, str, int]]:
        """Judge and keep; gives rule, status and events of every alert there is."""
        found = judged(*live.take(), self._listed, batches)
        with self.state.begin() as connection:
            keep(connection, found.rules, found.findings, self.clock.now_ms())
            rows = connection.execute(sa.select(alert).order_by(alert.c.rule_id, alert.c.status, alert.c.origin))
            return [(row.rule_id[-1], row.status, row.event_count) for row in rows]

    def say(self, tell: Callable[[sa.Connection], object]) -> None:
        with self.state.begin() as connection:
            tell(connection)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.state.dispose()


def _id(number: int) -> str:
    return f"22222222-0000-4000-8000-00000000000{number}"


def test_a_changed_folder_is_taken_whole(place: Place) -> None:
    """New, changed and removed files count from the next batch on; nothing happens while nothing changes."""
    place.write(1)
    live = place.live()
    assert not live.look()
    place.write(1, "other")
    place.write(2, "third")
    assert live.look()
    assert place.judge(live, place.batch("marked 1", "other 1", "third 1")) == [("1", "open", 1), ("2", "open", 1)]
    (place.rules / "2.yml").unlink()
    assert live.look()
    assert [rule.id for rule in live.current.placement.rules] == [_id(1)]


def test_a_broken_set_leaves_the_old_one_running(place: Place) -> None:
    """A file that cannot be compiled is refused with everything that changed beside it, and the state says why."""
    place.write(1)
    live = place.live()
    before = live.take()[1]
    place.write(1, "other")
    (place.rules / "2.yml").write_text("title: [")
    assert live.look()
    assert live.take()[1] is before
    assert place.judge(live, place.batch("marked 1", "other 1")) == [("1", "open", 1)]
    with reading(place.state) as connection:
        (running,) = in_use(connection, "default")
    assert "2.yml:" in (running.problem or "")
    assert running.rules == 1
    (place.rules / "2.yml").unlink()
    assert live.look()
    with reading(place.state) as connection:
        assert in_use(connection, "default")[0].problem is None
    assert place.judge(live, place.batch("other 2"))[0][2] == 2


def test_a_folder_that_is_gone_leaves_the_rules(place: Place) -> None:
    """A folder that cannot be found, as on a disk that is not mounted, does not empty the rule set."""
    place.write(1)
    live = place.live()
    place.rules.rename(place.rules.with_name("away"))
    assert live.look()
    assert len(live.current.placement.rules) == 1


def test_a_refused_set_still_takes_suppressions(place: Place) -> None:
    """While a folder is broken, suppressions and states are taken all the same."""
    place.write(1)
    live = place.live()
    (place.rules / "2.yml").write_text("title: [")
    place.say(lambda connection: give_state(connection, "default", _id(1), Given(State.STAGED, "", "anna", START)))
    assert live.look()
    assert place.judge(live, place.batch("marked")) == [("1", "staged", 1)]


def test_staged_rules_match_in_silence(place: Place) -> None:
    """A rule that its file stages makes alerts that nobody is told of; activated, it opens alerts of its own."""
    place.write(1, more="state: staged")
    live = place.live()
    assert place.judge(live, place.batch("marked 1")) == [("1", "staged", 1)]
    place.say(lambda connection: give_state(connection, "default", _id(1), Given(State.ACTIVE, "", "anna", START)))
    assert live.look()
    assert place.judge(live, place.batch("marked 2")) == [("1", "open", 1), ("1", "staged", 1)]
    with reading(place.state) as connection:
        assert hits(connection, "default", 0) == {_id(1): Hits(matches=2, alerts=1, staged=1)}


def test_disabled_rules_are_not_even_compiled(place: Place) -> None:
    """A rule that is disabled in every org is no part of the engine; in one org only, it applies in the others."""
    place.write(1)
    place.write(2, "second", "state: disabled")
    live = place.live()
    assert [rule.id for rule in live.take()[1].rules] == [_id(1)]
    place.say(lambda connection: give_state(connection, "default", _id(1), Given(State.DISABLED, "", "anna", START)))
    assert live.look()
    assert place.judge(live, place.batch("marked 1"), place.batch("marked 2", org="other")) == [("1", "open", 1)]


def test_applied_rules_are_their_orgs_alone(place: Place) -> None:
    """Two orgs apply rules of one id that differ: each judges its own events only."""
    for name, word in (("default", "mine"), ("other", "yours")):
        text = RULE.format(number=7, word=word, more="")
        applied = Applied(_id(7), "team", "a.yml", "A marked command", text)
        with place.state.begin() as connection:
            add_version(connection, name, [applied], "anna", START)
            note_change(connection, name, START)
    live = place.live()
    mine = place.batch("mine", "yours")
    yours = place.batch("mine", "yours", "yours too", org="other")
    assert place.judge(live, mine, yours) == [("7", "open", 1), ("7", "open", 2)]


def test_tags_decide_where_a_rule_applies(place: Place) -> None:
    """Inclusion and exclusion tags of a rule, and rulesets assigned by tag, mask matches by agent."""
    place.write(1, more="tags: {include: [role=web, canary], exclude: [env=test]}")
    place.write(2, "marked", "ruleset: extra")
    with place.state.begin() as connection:
        tag_agent(connection, "default", "h1", {"role": "web"}, [], START)
        tag_agent(connection, "default", "h2", {"role": "web", "env": "test"}, [], START)
        tag_agent(connection, "default", "h3", {"canary": "yes"}, [], START)
        assign(connection, "default", "extra", {"env": "test", "role": "web"}, "anna", START)
    live = place.live()
    found = place.findings(live, *(place.batch("marked", origin=f"h{n}") for n in range(1, 5)))
    assert sorted((finding.rule_id[-1], finding.origin) for finding in found) == [
        ("1", "h1"),
        ("1", "h3"),
        ("2", "h2"),
    ]
    place.say(lambda connection: tag_agent(connection, "default", "h4", {"role": "web", "env": "test"}, [], START))
    assert live.look()
    assert [finding.rule_id[-1] for finding in place.findings(live, place.batch("marked", origin="h4"))] == ["2"]


def test_a_suppression_hides_and_is_named(place: Place) -> None:
    """What a suppression hides is kept as an alert that names it; the rest is told as ever, with its evidence."""
    place.write(1)
    with place.state.begin() as connection:
        what = NewSuppression("process.cmd_line LIKE 'marked quiet%'", "anna", "known", START + DAY, _id(1))
        made = add(connection, "default", what, "anna", START)
    live = place.live()
    commands = [*(f"marked quiet {n}" for n in range(60)), "marked loud", "marked loud"]
    assert place.judge(live, place.batch(*commands)) == [("1", "open", 2), ("1", "suppressed", 60)]
    with reading(place.state) as connection:
        names = connection.scalars(sa.select(alert.c.suppressed_by).order_by(alert.c.status))
        assert list(names) == [None, made.id]
        assert find(connection, "default", made.id).hidden == 60
        assert hits(connection, "default", 0)[_id(1)] == Hits(62, 1, 0, 60)
    loud = place.findings(live, place.batch(*commands))[-2:]
    assert [bool(finding.event and finding.met) for finding in loud] == [True, True]


def test_a_suppression_ends_by_event_time(place: Place) -> None:
    """Events from its expiry on are not hidden, earlier ones are, whenever they arrive; other orgs never are."""
    place.write(1)
    with place.state.begin() as connection:
        add(connection, "default", NewSuppression("process.cmd_line = 'marked'", "a", "b", START + 10), "a", START)
    live = place.live()
    place.clock.ms = START + DAY
    batches = [place.batch("marked", at=START + 9), place.batch("marked", at=START + 10)]
    assert place.judge(live, *batches, place.batch("marked", org="other")) == [
        ("1", "open", 1),
        ("1", "open", 1),
        ("1", "suppressed", 1),
    ]


def test_a_noise_budget_demotes_once(place: Place) -> None:
    """Alerts beyond the budget are staged from the first on, one alert says so, and a new day does not undo it."""
    place.write(1, more="noise_budget: 3/d, group_by: [process.cmd_line]")
    live = place.live()
    assert place.judge(live, place.batch("marked 1", "marked 2"))[0] == ("1", "open", 1)
    many = [f"marked {n}" for n in range(1, 8)]
    found = place.judge(live, place.batch(*many))
    assert [kind for _, kind, _ in found] == ["open"] * 3 + ["staged"] * 4 + ["open"]
    with reading(place.state) as connection:
        notice = connection.execute(sa.select(alert).where(alert.c.rule_id == "tocsin:noise-budget")).one()
        assert notice.title == "A marked command: silent from now on, it opened more than 3 alerts in a day"
        assert notice.group == {"rule": _id(1)}
        assert states(connection, "default")[_id(1)].state is State.DEMOTED
    assert len(place.judge(live, place.batch("marked 8"))) == len(found) + 1
    assert live.look()
    after = place.judge(live, place.batch("marked 9", at=START + DAY))
    assert [kind for _, kind, _ in after] == ["open"] * 3 + ["staged"] * 6 + ["open"]
    place.say(lambda connection: give_state(connection, "default", _id(1), Given(State.ACTIVE, "", "anna", START)))
    assert live.look()
    assert ("1", "open", 1) in place.judge(live, place.batch("marked 10"))


def test_events_are_judged_while_rules_are_exchanged(place: Place) -> None:
    """A detector that judges batch after batch is never without rules while another thread exchanges them."""
    place.write(1)
    live = place.live()
    stop = threading.Event()
    watching = threading.Thread(target=live.watch, args=(stop,))
    watching.start()
    try:
        place.write(2, "second")
        end, first = time.monotonic() + 20, place.batch("marked", "second")
        seen: set[str] = set()
        while len(seen) < 2 and time.monotonic() < end:
            found = {finding.rule_id for finding in place.findings(live, first)}
            assert _id(1) in found
            seen |= found
    finally:
        stop.set()
        live.halt()
        watching.join()
    assert seen == {_id(1), _id(2)}
    with reading(place.state) as connection:
        assert connection.execute(sa.select(outbox)).all() == []


def test_what_rules_cost_is_kept_once_a_minute(place: Place) -> None:
    """Once a minute has passed, the watcher says in the state what each judged rule has cost; nothing before."""
    place.write(1)
    live = place.live()
    for _ in range(100):
        place.findings(live, place.batch("marked", "plain"))
    with reading(place.state) as connection:
        assert costs(connection) == {}
    place.clock.ms += 60_000
    watch_once(live)
    with reading(place.state) as connection:
        (cost,) = costs(connection).values()
    assert cost.events >= 100
    assert cost.took_ns > 0


def watch_once(live: LiveRules) -> None:
    """Have the watcher look once."""
    stop = threading.Event()
    watching = threading.Thread(target=live.watch, args=(stop,))
    live.halt()
    watching.start()
    time.sleep(0.3)
    stop.set()
    live.halt()
    watching.join()
