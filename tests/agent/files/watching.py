"""A watched folder, and what its changes are told as; audit's part is played with events of its mapping."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.agent.files.baseline import Baseline
from tocsin.agent.files.fanotify import Fanotify
from tocsin.agent.files.hashing import Hasher, TokenBucket
from tocsin.agent.files.tree import WatchTree
from tocsin.agent.files.watch import FileWatch
from tocsin.model.event import Event

__all__ = ["Watched", "digest_of", "watched"]

SETTLE_S = 0.2


class Watched:
    """Drives the watch with a clock of its own: `told` lets the settling time pass and returns what came of it."""

    def __init__(self, watch: FileWatch, hasher: Hasher) -> None:
        self.watch, self.hasher = watch, hasher
        self.at = 1000.0

    def told(self) -> list[Event]:
        """The events of everything that was done until now."""
        events: list[Event] = []
        for _ in range(6):
            events += self.watch.step(self.at, time.time_ns() // 1_000_000)
            self.at += SETTLE_S
        return events

    def done(self) -> list[tuple[int, str]]:
        """The same, in short: activity and name of the file."""
        return [(int(event.values["activity_id"]), str(event.values["file.name"])) for event in self.told()]

    def compared(self) -> list[Event]:
        """What a scan finds."""
        events: list[Event] = []
        while self.watch.scanning:
            events += self.watch.compare()
        while self.watch.learn():
            pass
        return events


@contextmanager
def watched(
    *roots: Path,
    state: Path,
    exclude: tuple[str, ...] = (),
    budget: int = 1 << 30,
    max_folders: int = 1000,
    renames: bool = True,
) -> Iterator[Watched]:
    """Watch these paths, with what was known of them from before, until the block ends."""
    fanotify = Fanotify.open(renames=renames)
    tree = WatchTree(fanotify, map(str, roots), exclude, max_folders)
    hasher = Hasher(TokenBucket(0, budget, time.monotonic), 1 << 20)
    baseline = Baseline(state / "files.db", 50_000)
    watch = FileWatch(fanotify, tree, baseline, hasher, SETTLE_S)
    watch.start()
    try:
        yield Watched(watch, hasher)
    finally:
        watch.flush()
        baseline.close()
        fanotify.close()


def digest_of(event: Event) -> str:
    """The file's SHA-256."""
    (only,) = json.loads(str(event.values["file.hashes"]))
    assert (only["algorithm"], only["algorithm_id"]) == ("SHA-256", 3)
    return str(only["value"])
