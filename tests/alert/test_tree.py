"""Process trees of alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

import sample_intrusion
from stored_events import StoredEvents
from tocsin.alert.read import Alert, Evidence
from tocsin.alert.tree import MAX_NODES, Process, process_tree
from tocsin.model.errors import TryLater
from tocsin.model.event import Event, nest
from tocsin.model.finding import MetTerm
from tocsin.ports import Selection

START = 1_790_000_000_000
ORG = sample_intrusion.ORG
ALERT = Alert(
    "a", ORG, "r", "R", "R", "high", 1, [], sample_intrusion.ORIGIN, sample_intrusion.HOST, {}, START, START, START,
    START + 100_000, 1, "open", None, None, None, None, None, START, START,
)  # fmt: skip


@pytest.fixture
def stored(tmp_path: Path, engine: sa.Engine) -> Iterator[StoredEvents]:
    """An empty log."""
    made = StoredEvents(tmp_path, engine, ORG)
    yield made
    made.close()


def _evidence(*events: Event) -> list[Evidence]:
    return [
        Evidence(str(e.values["metadata.uid"]), e.class_uid, int(e.values["time"]), nest(e), [MetTerm("a", "b", "c")])
        for e in events
    ]


def _drawn(processes: list[Process]) -> list[str]:
    """One line a process: indentation, name, and a star if it matched."""
    return [f"{'  ' * p.depth}{p.name}{'*' if p.matched else ''}" for p in processes]


def _launch(process: sample_intrusion.Proc, serial: int) -> Event:
    return sample_intrusion.launch(process, START + serial, serial)


def test_the_tree_shows_who_started_whom(stored: StoredEvents) -> None:
    """A reverse shell's tree runs from init down to what the intruder typed, and nothing of other services."""
    stored.add(sample_intrusion.events(START))
    tree = process_tree(ALERT, _evidence(_launch(sample_intrusion.REVERSE, 1)), stored.query)
    assert _drawn(tree.processes) == [
        "systemd",
        "  apache2",
        "    apache2",
        "      dash",
        "        .k",
        "          bash*",
        "            bash",
        "              curl",
        "              grep",
        "              crontab",
    ]
    assert [p.related for p in tree.processes] == [True] * 5 + [False] * 5
    assert tree.left_out == 0


def test_siblings_of_the_matched_process_are_shown(stored: StoredEvents) -> None:
    """What else the matched process's parent started stands beside it, in the order of start."""
    stored.add(sample_intrusion.events(START))
    tree = process_tree(ALERT, _evidence(_launch(sample_intrusion.CURL, 1)), stored.query)
    shown = _drawn(tree.processes)
    assert shown[shown.index("      dash") + 1 :][:3] == ["        curl*", "        chmod", "        .k"]


def test_other_classes_show_their_actor(stored: StoredEvents) -> None:
    """A connection's or a file's tree is that of the process which did it."""
    event = sample_intrusion.connect(sample_intrusion.METADATA, "169.254.169.254", 80, START, 1)
    tree = process_tree(ALERT, _evidence(event), stored.query)
    assert _drawn(tree.processes)[-1].strip() == "curl*"
    assert len(tree.processes) == 8


def test_equal_childless_siblings_are_drawn_once(stored: StoredEvents) -> None:
    """Forty runs of the same command are one line with a count."""
    runs = [sample_intrusion.Proc(40_000 + n, "/usr/bin/id", "id", sample_intrusion.SHELL) for n in range(40)]
    stored.add([_launch(run, 10 + n) for n, run in enumerate(runs)])
    tree = process_tree(ALERT, _evidence(_launch(sample_intrusion.SHELL, 1)), stored.query)
    assert (tree.processes[-1].name, tree.processes[-1].alike) == ("id", 40)
    assert len(tree.processes) == 5


def test_the_tree_is_bounded_and_says_what_it_leaves_out(stored: StoredEvents) -> None:
    """A fork bomb does not become a page of a million lines, and the matched process is always there."""
    runs = [sample_intrusion.Proc(40_000 + n, "/usr/bin/id", f"id {n}", sample_intrusion.SHELL) for n in range(400)]
    stored.add([_launch(run, 10 + n) for n, run in enumerate(runs)])
    tree = process_tree(ALERT, _evidence(_launch(sample_intrusion.SHELL, 1)), stored.query)
    assert len(tree.processes) == MAX_NODES
    assert tree.left_out == 400 - (MAX_NODES - 4)
    assert sum(p.matched for p in tree.processes) == 1


def test_events_that_contradict_each_other_make_no_circle(stored: StoredEvents) -> None:
    """Two events that each call the other's process the parent still give a tree with both."""
    first, second = ({"uid": "x", "pid": 10, "name": "x"}, {"uid": "y", "pid": 11, "name": "y"})
    events = [
        {"class_uid": 1007, "process": {**first, "parent_process": second}},
        {"class_uid": 1007, "process": {**second, "parent_process": first}},
    ]
    evidence = [Evidence(str(n), 1007, START, msgspec.convert(event, dict), []) for n, event in enumerate(events)]
    tree = process_tree(ALERT, evidence, stored.query)
    assert sorted(p.key for p in tree.processes) == ["x", "y"]


def test_an_event_without_a_process_gives_no_tree(stored: StoredEvents) -> None:
    """A cloud event has no process tree."""
    event = Event(6003, {"time": START, "activity_id": 1, "metadata.uid": "u", "api.operation": "GetObject"})
    assert process_tree(ALERT, _evidence(event), stored.query).processes == []


class _Busy:
    """A query that cannot be asked now."""

    def events(self, selection: Selection) -> list[dict[str, object]]:
        raise TryLater(f"not now, {selection.org}")

    def count(self, selection: Selection) -> int:
        raise TryLater(f"not now, {selection.org}")

    def histogram(self, selection: Selection, bins: int) -> list[tuple[int, int]]:
        raise TryLater(f"not now, {selection.org}, {bins}")

    def by_uid(self, org: str, uids: Sequence[str]) -> list[dict[str, object]]:
        raise TryLater(f"not now, {org}, {len(uids)}")


def test_without_the_store_the_evidence_still_makes_a_tree() -> None:
    """While events cannot be queried the tree shows the matched process's own chain, and says what is missing."""
    tree = process_tree(ALERT, _evidence(_launch(sample_intrusion.REVERSE, 1)), _Busy())
    assert [line.strip() for line in _drawn(tree.processes)] == ["systemd", "apache2", "apache2", "dash", ".k", "bash*"]
    assert "not now" in tree.problem
