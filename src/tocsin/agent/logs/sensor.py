"""The sensor of text logs: files as they grow, and the journal.

A position is kept once the spool holds the line before it. So a kill loses nothing; it may give a line twice, which
then has the same file and offset, or cursor, and the same text.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from tocsin.agent.logs.follow import Followed
from tocsin.agent.logs.journal import Journal, has_journal
from tocsin.agent.logs.mapping import LineMapper
from tocsin.agent.logs.position import Position, Remembered, read_positions, write_positions
from tocsin.agent.logs.twice import Twice
from tocsin.agent.policy.bucket import TokenBucket
from tocsin.agent.sensor import Growth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tocsin.agent.config import LogSettings
    from tocsin.agent.logs.tail import Line, Tail
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event

__all__ = ["POSITIONS_FILE", "LogSensor"]

POSITIONS_FILE: Final = "logs.json"
POLL_MS: Final = 250
LOOK_MS: Final = 1000
PER_POLL: Final = 500  # lines that wait to be told; the others wait in their files
BEHIND, GONE, CUT = "logs_behind", "logs_gone", "logs_cut"
LONGEST_ENTRY: Final = 256 << 10


class _Told(NamedTuple):
    """A line that is about to be told, and what is read with it: a position, or a cursor."""

    due_ms: int
    event: Event | None
    reached: Position | str | tuple[int, int]  # the last: a file that is read for good


class LogSensor:
    """Gives one event per line."""

    name = "logs"

    def __init__(self, settings: LogSettings, state_dir: Path, journal: Sequence[str] = ()) -> None:
        self._settings, self._file = settings, state_dir / POSITIONS_FILE
        remembered = read_positions(self._file)
        before = remembered or Remembered()
        reads_journal = settings.journal and (bool(journal) or has_journal())
        patterns = [*settings.files, *(() if reads_journal else settings.syslog_files)]
        matches = settings.journal_matches
        self._journal = Journal(matches, before.cursor, LONGEST_ENTRY, journal) if reads_journal else None
        self._followed = Followed(patterns, settings.max_files)
        self._reached: dict[tuple[int, int], Position] = {}
        self._followed.resume(before.files)
        self._followed.look(from_end=[pattern for pattern in patterns if pattern not in before.patterns])
        self._remembered = Remembered(patterns, [], before.cursor)
        self._bucket = TokenBucket(settings.max_lines_per_s, time.monotonic)
        self._mapper, self._twice = LineMapper(), Twice()
        self._waiting: deque[_Told] = deque()
        self._counted = {BEHIND: 0, GONE: 0, CUT: 0}
        self._growth = Growth()
        self._polled_ms = self._looked_ms = 0
        self._is_changed = self._stopping = False
        for tail in self._followed:
            self._note(tail.position)
        self.spooled()  # where a log is first met: the next agent would meet it further on

    def descriptors(self) -> Sequence[int]:
        """None: to look at each file's size four times a second is cheaper than to wake for every line."""
        return ()

    def hear(self, events: Iterable[Event]) -> None:
        """Learn what audit has told."""
        self._twice.hear(events)

    def read(self, now_ms: int) -> Sequence[Event]:
        """Lines that came, those that audit tells as well once it has had the time to."""
        if self._stopping or not 0 <= now_ms - self._polled_ms < POLL_MS:
            self._polled_ms = now_ms
            self._poll(now_ms)
        events = []
        while self._waiting and (self._stopping or self._waiting[0].due_ms <= now_ms):
            told = self._waiting.popleft()
            if told.event is not None:
                events.append(self._twice.settle(told.event))
            self._note(told.reached)
        return events

    def spooled(self) -> None:
        """What was told is in the spool: keep how far that is."""
        if self._is_changed:
            self._is_changed = False
            self._remembered.files = list(self._reached.values())
            write_positions(self._file, self._remembered)

    def tick(self, now_ms: int, health: Health) -> None:
        """Tell how it is."""
        del now_ms
        health.reached("logs_told_twice", self._twice.count)
        journal = self._journal.trouble if self._journal is not None else ""
        if trouble := self._followed.trouble or journal:
            health.ill(self.name, trouble)
        else:
            health.well(self.name, f"{len(self._followed)} files{', the journal' if self._journal else ''}")

    def losses(self) -> Mapping[str, int]:
        """Lines that were passed over or cut off, and logs whose rest was not found again."""
        self._counted[GONE] = self._followed.gone
        return self._growth.since(self._counted)

    def finish(self) -> None:
        """Wait for nothing any more."""
        self._stopping = True

    def close(self) -> None:
        """Let go of the files and the journal."""
        self._followed.close()
        if self._journal is not None:
            self._journal.close()

    def _may_read(self) -> bool:
        return len(self._waiting) < PER_POLL and self._bucket.take()

    def _poll(self, now_ms: int) -> None:
        if not 0 <= now_ms - self._looked_ms < LOOK_MS:
            self._looked_ms = now_ms
            self._followed.look()
        for tail in self._followed:
            self._read_file(tail, now_ms)
        if self._journal is not None:
            self._read_journal(self._journal, now_ms)

    def _read_file(self, tail: Tail, now_ms: int) -> None:
        before, is_changed = tail.position, tail.changed()
        if is_changed:
            tail.quiet_since_s = None
            self._waiting.extend(_Told(now_ms, None, position) for position in self._followed.check(tail))
        if tail.behind_bytes > self._settings.max_behind_bytes:
            self._counted[BEHIND] += tail.skip(tail.size - self._settings.max_behind_bytes // 2)
        if tail.behind_bytes:
            for line in tail.lines(self._settings.max_line_bytes, self._may_read):
                self._take(line, now_ms)
        if not is_changed and tail.position is before and self._followed.is_over(tail):
            self._let_go(tail, now_ms)

    def _take(self, line: Line, now_ms: int) -> None:
        self._counted[CUT] += line.is_cut
        event = self._mapper.of_file(line, now_ms) if line.text.strip(b"\0 \t\r") else None
        wait_ms = self._twice.wait_ms(event) if event is not None else 0
        self._waiting.append(_Told(now_ms + wait_ms, event, line.position))

    def _let_go(self, tail: Tail, now_ms: int) -> None:
        line = tail.last_line(self._settings.max_line_bytes)
        if line is not None:
            self._take(line, now_ms)
        self._waiting.append(_Told(now_ms, None, tail.position.key))
        self._followed.drop(tail)

    def _read_journal(self, journal: Journal, now_ms: int) -> None:
        for entry in journal.entries(self._may_read):
            event = self._mapper.of_text(entry.text, now_ms)
            event.values["metadata.original_event_uid"] = entry.cursor
            event.values["metadata.log_name"] = "syslog"
            self._waiting.append(_Told(now_ms + self._twice.wait_ms(event), event, entry.cursor))
        self._counted[CUT] += journal.too_long
        journal.too_long = 0

    def _note(self, reached: Position | str | tuple[int, int]) -> None:
        if isinstance(reached, str):
            self._remembered.cursor = reached
        elif isinstance(reached, Position):
            self._reached[reached.key] = reached
        else:
            self._reached.pop(reached, None)
        self._is_changed = True
