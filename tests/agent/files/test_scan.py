"""What happened while nobody watched is told at the next start, and after the kernel's queue was full."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.files.watching import digest_of, watched
from tocsin.model.event import Event

pytestmark = pytest.mark.root

CREATE, UPDATE, DELETE, ATTRIBUTES = 1, 3, 4, 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to be watched, with files in it."""
    folder = tmp_path / "place"
    (folder / "inner").mkdir(parents=True)
    for name in ("written", "removed", "changed", "touched", "left", "inner/deep"):
        (folder / name).write_text(name)
    return folder


def _in_short(events: list[Event]) -> list[tuple[int, str, str]]:
    return sorted(
        (int(e.values["activity_id"]), str(e.values["file.name"]), str(e.values["unmapped.file.detected"]))
        for e in events
    )


def test_changes_between_two_runs_are_told_at_the_start(place: Path, tmp_path: Path) -> None:
    """Written, removed, created, made executable: each once, marked so; a mere touch is nobody's business."""
    with watched(place, state=tmp_path) as seen:
        assert seen.compared() == []
    (place / "written").write_text("WRITTEN")
    os.utime(place / "written", (1, 1))
    (place / "removed").unlink()
    (place / "changed").chmod(0o4755)
    (place / "touched").touch()
    (place / "new").write_text("new")
    (place / "inner" / "deep").unlink()
    (place / "inner").rmdir()
    with watched(place, state=tmp_path) as seen:
        events = seen.compared()
        assert _in_short(events) == [
            (CREATE, "new", "while_away"),
            (UPDATE, "written", "while_away"),
            (DELETE, "deep", "while_away"),
            (DELETE, "inner", "while_away"),
            (DELETE, "removed", "while_away"),
            (ATTRIBUTES, "changed", "while_away"),
        ]
        assert seen.told() == []
        written = next(event for event in events if event.values["file.name"] == "written")
        assert digest_of(written) != written.values["unmapped.file.prior_hash"]
        assert "actor.process.pid" not in written.values
        changed = next(event for event in events if event.values["file.name"] == "changed")
        assert changed.values["unmapped.file.prior_mode"] == "0644"
    with watched(place, state=tmp_path) as seen:
        assert seen.compared() == []


def test_a_path_that_is_new_in_the_settings_is_only_learnt(place: Path, tmp_path: Path) -> None:
    """What was there before it was asked for is no change; what is no longer asked for is forgotten."""
    with watched(place / "inner", state=tmp_path) as seen:
        assert seen.compared() == []
    with watched(place, state=tmp_path) as seen:
        assert seen.compared() == []
        assert len(seen.watch._baseline) == 8
    with watched(place / "inner", state=tmp_path) as seen:
        assert seen.compared() == []
        assert len(seen.watch._baseline) == 2


def test_what_was_told_live_is_not_told_again(place: Path, tmp_path: Path) -> None:
    """A restart after changes that were seen finds nothing."""
    with watched(place, state=tmp_path) as seen:
        seen.compared()
        (place / "written").write_text("WRITTEN")
        (place / "removed").unlink()
        (place / "left").rename(place / "inner" / "right")
        (place / "inner").rename(place / "outer")
        assert len(seen.told()) == 4
    with watched(place, state=tmp_path) as seen:
        assert seen.compared() == []


def test_a_damaged_database_is_begun_anew(place: Path, tmp_path: Path) -> None:
    """It is an aid, not a record: a broken one costs what was known, not the agent."""
    (tmp_path / "files.db").write_bytes(b"no database at all" * 1000)
    with watched(place, state=tmp_path) as seen:
        assert seen.compared() == []
        (place / "left").write_text("x")
        assert len(seen.told()) == 1


@pytest.mark.slow
def test_an_overflow_is_counted_and_made_up_for(place: Path, tmp_path: Path) -> None:
    """More changes than the kernel's queue holds: what was not told is found, and says so."""
    limit = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())
    with watched(place, state=tmp_path) as seen:
        seen.compared()
        for number in range(limit + 100):
            (place / f"{number}").touch()
        (place / "written").write_text("not told")
        (place / "removed").unlink()
        live = seen.told()
        assert seen.watch.overflows == 1
        seen.at += 10
        live += seen.watch.step(seen.at, time.time_ns() // 1_000_000)
        found = seen.compared()
        assert len(live) + len(found) == limit + 102
        assert (UPDATE, "written", "after_overflow") in _in_short(found)
        assert (DELETE, "removed", "after_overflow") in _in_short(found)
        assert all(event.values["unmapped.file.detected"] == "live" for event in live)


def test_more_files_than_are_remembered(place: Path, tmp_path: Path) -> None:
    """Files beyond the limit are told when they change, only without a state before."""
    with watched(place, state=tmp_path) as seen:
        seen.watch._baseline._max_files = 4
        assert seen.compared() == []
        assert len(seen.watch._baseline) == 4
        assert "more are not remembered" in seen.watch.remark
        for name in ("written", "removed", "changed", "touched", "left"):
            (place / name).write_text("x")
        assert len(seen.told()) == 5
    with watched(place, state=tmp_path) as seen:
        seen.watch._baseline._max_files = 4
        assert seen.compared() == []


def test_more_folders_than_are_watched(place: Path, tmp_path: Path) -> None:
    """The limit on folders holds, and what is left out is named."""
    with watched(place, state=tmp_path, max_folders=2) as seen:
        assert seen.watch.unwatched == f"1 folders are not watched, the first is {place}/inner: more than 2 folders"
