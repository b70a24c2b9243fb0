"""The journal, as `journalctl` of this host tells it: a child that follows, begun after the last entry's cursor."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Entry", "Journal", "has_journal"]

FOLDERS: Final = (Path("/var/log/journal"), Path("/run/log/journal"))
CHUNK_BYTES: Final = 64 << 10
RETRY_S: Final = 15.0
STOP_WITHIN_S: Final = 2.0
FIRST_WITHIN_S: Final = 10.0


class Entry(NamedTuple):
    """An entry as JSON, and its cursor: its name for ever."""

    text: str
    cursor: str


class _Cursor(msgspec.Struct):
    cursor: str = msgspec.field(name="__CURSOR", default="")


_cursor: Final = msgspec.json.Decoder(_Cursor).decode


def has_journal() -> bool:
    """Whether this host keeps a journal that can be read."""
    return shutil.which("journalctl") is not None and any(any(folder.glob("*/*.journal")) for folder in FOLDERS)


class Journal:
    """Follows the journal. `place` are options that name another journal than the host's own."""

    def __init__(self, matches: Sequence[str], cursor: str, longest: int, place: Sequence[str] = ()) -> None:
        self._matches, self._place, self._longest = matches, place, longest
        self.cursor = cursor  # of the last entry that was read
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._is_within_long_entry = False
        self._begin_at_s = float("-inf")
        self.too_long = 0
        self.trouble = ""

    def entries(self, may_read: Callable[[], bool]) -> Iterator[Entry]:
        """The entries that there are, as long as `may_read`; the others wait in the pipe and in the journal."""
        child = self._child or self._begin()
        if child is None or child.stdout is None:
            return
        while True:
            while (end := self._rest.find(b"\n")) >= 0:
                if not may_read():
                    return
                line, self._rest = self._rest[:end], self._rest[end + 1 :]
                if entry := self._entry(line):
                    yield entry
            self._bound()
            try:
                more = os.read(child.stdout.fileno(), CHUNK_BYTES)
            except BlockingIOError:
                return
            if not more:
                self._ended(child)
                return
            self._rest += more

    def _entry(self, line: bytes) -> Entry | None:
        if self._is_within_long_entry:
            self._is_within_long_entry = False
            return None
        try:
            self.cursor = _cursor(line).cursor or self.cursor
        except msgspec.MsgspecError:
            self.too_long += 1
            return None
        return Entry(line.decode("utf-8", "backslashreplace"), self.cursor)

    def _bound(self) -> None:
        """Let go of an entry that is longer than may be held."""
        if len(self._rest) > self._longest:
            self.too_long += not self._is_within_long_entry
            self._rest, self._is_within_long_entry = b"", True

    def _begin(self) -> subprocess.Popen[bytes] | None:
        if time.monotonic() < self._begin_at_s:
            return None
        # Without --all a text of more than 4 KiB is null.
        command = ["journalctl", "--output=json", "--all", "--quiet", *self._place]
        try:
            self.cursor = self.cursor or _last_cursor(command)
            # Of a journal that was empty until now everything is new.
            after = ["--after-cursor", self.cursor] if self.cursor else []
            child = subprocess.Popen(  # noqa: S603 - the matches are the settings'
                [*command, "--follow", "--no-tail", *after, *self._matches],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self.trouble, self._begin_at_s = f"journalctl cannot be run: {error}", time.monotonic() + RETRY_S
            return None
        if child.stdout is not None:
            os.set_blocking(child.stdout.fileno(), False)
        self._child, self._rest = child, b""
        return child

    def _ended(self, child: subprocess.Popen[bytes]) -> None:
        """Begin again in a while; a cursor of a journal that is no more is forgotten."""
        said = child.stderr.read(CHUNK_BYTES).decode("utf-8", "replace").strip() if child.stderr else ""
        self.close()
        self.trouble, self._begin_at_s = f"journalctl has ended: {said or child.returncode}", time.monotonic() + RETRY_S
        if "cursor" in said:
            self.cursor = ""

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


def _last_cursor(command: Sequence[str]) -> str:
    """The cursor of the journal's last entry; empty if there is none."""
    asked = [*command, "--lines=1"]
    said = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=FIRST_WITHIN_S, check=False)  # noqa: S603 - as above
    try:
        return _cursor(said.stdout).cursor
    except msgspec.MsgspecError:
        return ""
