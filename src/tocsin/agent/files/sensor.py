"""The sensor of files: its thread watches, the agent's loop takes what it has seen.

What audit tells of changes is handed to the thread first, and comes back with what became of the file, once.
"""

from __future__ import annotations

import contextlib
import os
import select
import sqlite3
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tocsin.agent.audit.rule_set import login_homes
from tocsin.agent.files.baseline import Baseline
from tocsin.agent.files.fanotify import Fanotify
from tocsin.agent.files.hashing import Hasher, TokenBucket
from tocsin.agent.files.held import is_change
from tocsin.agent.files.rules import rules_for
from tocsin.agent.files.tree import WatchTree, expand_homes
from tocsin.agent.files.watch import FileWatch
from tocsin.agent.sensor import Growth
from tocsin.model.errors import TocsinError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tocsin.agent.audit.rules import Rule
    from tocsin.agent.config import FileSettings
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event

__all__ = ["BASELINE_FILE", "FileSensor"]

BASELINE_FILE: Final = "files.db"
GATHER_S: Final = 0.02  # after something was told, wait for more, to read it all at once
GATHER_BUSY_S: Final = 0.07
BUSY_EVENTS: Final = 16
PENDING_S: Final = 0.05
SCAN_PAUSE_S: Final = 0.02  # between two slices of a scan, or two files that are read to be known
BUDGET_S: Final = 1.0
COMMIT_S: Final = 1.0
IDLE_S: Final = 15.0
BURST_S: Final = 8  # the bucket holds the bytes of so many seconds, at least one file of the largest size
AGAIN_AFTER_MS: Final = 60_000
STOP_WITHIN_S: Final = 5.0


class FileSensor:
    """Watches the configured paths from the first tick on; ill without fanotify: audit's events then pass it by."""

    name = "files"

    def __init__(self, settings: FileSettings, state_dir: Path) -> None:
        self._settings, self._file = settings, state_dir / BASELINE_FILE
        self._paths = expand_homes(settings.paths, login_homes())
        self._from_audit: deque[Event] = deque()
        self._seen: deque[Event] = deque()
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._began_ms = 0
        self._watching = self._stopping = False
        self._trouble = self._unwatched = self._remark = ""
        self._counted: dict[str, int] = {}
        self._growth = Growth()

    def descriptors(self) -> Sequence[int]:
        """One, readable once there are events."""
        return (self._ready,)

    def wants(self, event: Event) -> bool:
        """Is this one of audit's events that comes back with what became of the file?"""
        return self._watching and is_change(event)

    def take(self, event: Event) -> None:
        """Take an event that is wanted, enriched."""
        self._from_audit.append(event)
        if len(self._from_audit) == 1:
            os.eventfd_write(self._wake, 1)

    def rules(self, others: Sequence[Rule]) -> Sequence[Rule]:
        """The rules that name who changes what is watched."""
        return rules_for(self._paths, others)

    def read(self, now_ms: int) -> Sequence[Event]:
        """What has been seen to its end."""
        del now_ms
        if not self._seen and (self._watching or not self._from_audit):
            return ()
        _reset(self._ready)
        seen = [self._seen.popleft() for _ in range(len(self._seen))]
        if not self._watching:  # nobody completes them any more
            seen += [self._from_audit.popleft() for _ in range(len(self._from_audit))]
        return seen

    def tick(self, now_ms: int, health: Health) -> None:
        """Start watching, once; tell how it is."""
        if self._thread is None or (not self._thread.is_alive() and now_ms - self._began_ms >= AGAIN_AFTER_MS):
            self._began_ms = now_ms
            self._thread = threading.Thread(target=self._run, name="files", daemon=True)
            self._thread.start()
        elif self._trouble or self._unwatched:
            health.ill(self.name, self._trouble or self._unwatched)
        else:
            health.well(self.name, self._remark)

    def losses(self) -> Mapping[str, int]:
        """Notices that the kernel's queue had no room for, in overflows; changes that the settings exclude."""
        return self._growth.since(self._counted)

    def finish(self) -> None:
        """Bring what is being changed to its end; `read` then returns it."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    def close(self) -> None:
        """Let go of the kernel."""
        self.finish()
        os.close(self._ready)
        os.close(self._wake)

    def _run(self) -> None:
        try:
            with (
                contextlib.closing(Fanotify.open()) as fanotify,
                contextlib.closing(Baseline(self._file, self._settings.max_files)) as baseline,
            ):
                self._watch(fanotify, baseline)
        except (TocsinError, OSError, sqlite3.Error) as error:
            self._trouble = str(error)
        finally:
            self._watching = False

    def _watch(self, fanotify: Fanotify, baseline: Baseline) -> None:
        settings = self._settings
        capacity = max(settings.hash_max_bytes, settings.hash_bytes_per_s * BURST_S)
        hasher = Hasher(TokenBucket(settings.hash_bytes_per_s, capacity, time.monotonic), settings.hash_max_bytes)
        tree = WatchTree(fanotify, self._paths, settings.exclude, settings.max_folders)
        watch = FileWatch(fanotify, tree, baseline, hasher, settings.settle_ms / 1000)
        try:
            watch.start()
            self._trouble, self._watching = "", True
            self._loop(fanotify, watch, baseline)
            self._hand_over(watch, time.monotonic())
            self._publish(watch.flush())
        except (OSError, sqlite3.Error):  # a full disk, for one
            self._publish(watch.abandon())
            raise

    def _loop(self, fanotify: Fanotify, watch: FileWatch, baseline: Baseline) -> None:
        poll = select.poll()
        poll.register(fanotify.descriptor, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        committed_at = refreshed_at = time.monotonic()
        pause_s, busy = 0.0, False
        while not self._stopping:
            if poll.poll(pause_s * 1000):
                time.sleep(GATHER_BUSY_S if busy else GATHER_S)
            at = time.monotonic()
            self._hand_over(watch, at)
            events = watch.step(at, time.time_ns() // 1_000_000)
            busy = len(events) >= BUSY_EVENTS
            pause_s = self._meanwhile(watch, events)
            self._publish(events)
            self._note(watch)
            if at - committed_at >= COMMIT_S:
                baseline.commit()
                committed_at = at
            if at - refreshed_at >= IDLE_S:
                self._paths = expand_homes(self._settings.paths, login_homes())
                watch.refresh(self._paths)
                refreshed_at = at

    def _meanwhile(self, watch: FileWatch, events: list[Event]) -> float:
        """Go on with a scan, or with learning what files hold; returns for how long nothing need be done."""
        if watch.scanning:
            events += watch.compare()
            return SCAN_PAUSE_S
        if watch.is_waiting:
            return PENDING_S
        return {True: SCAN_PAUSE_S, False: BUDGET_S, None: IDLE_S}[watch.learn()]

    def _hand_over(self, watch: FileWatch, at: float) -> None:
        if not self._from_audit:
            return
        _reset(self._wake)
        while self._from_audit:
            watch.hold(self._from_audit.popleft(), at)

    def _publish(self, events: list[Event]) -> None:
        if events:
            self._seen.extend(events)
            os.eventfd_write(self._ready, 1)

    def _note(self, watch: FileWatch) -> None:
        """For the loop, which asks once a second."""
        self._counted = {"files_overflow": watch.overflows, "excluded": watch.excluded}
        self._remark = watch.remark
        self._unwatched = watch.unwatched


def _reset(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):  # what it announces is seen before it does
        os.eventfd_read(descriptor)
