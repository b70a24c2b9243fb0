"""The sensor of what the host has: whole lists at the start and daily, and what changes in between.

What was told last is remembered in the state folder, so that a restart tells of changes alone.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.host.sockets import listening_sockets
from tocsin.agent.inventory.collect import KINDS, WATCHED, Collection
from tocsin.agent.inventory.item import Item, event_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.agent.config import InventorySettings
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event, Value

__all__ = ["TOLD_FILE", "InventorySensor"]

TOLD_FILE: Final = "inventory.msgpack"
ROOT: Final = Path("/")
LOOK_EVERY_MS: Final = 15_000
PER_READ: Final = 200  # items that are told at once: a whole list must not hold up what happens


class _Told(msgspec.Struct):
    """Of every kind, when its whole list was told last, and the items as they were told."""

    listed_at: dict[str, int] = {}
    items: dict[str, list[Item]] = {}


class InventorySensor:
    """Collects in child processes, one at a time."""

    name = "inventory"

    def __init__(self, settings: InventorySettings, state_dir: Path) -> None:
        self._settings, self._file = settings, state_dir / TOLD_FILE
        told = _read(self._file)
        self._listed_at = told.listed_at
        self._counts = {kind: len(items) for kind, items in told.items.items()}
        self._stamps: dict[str, object] = {}
        self._due: set[str] = set()
        self._running: Collection | None = None
        self._waiting: list[Event] = []
        self._looked_at_ms = 0
        self._trouble = ""

    def descriptors(self) -> Sequence[int]:
        """None: nothing of this is urgent."""
        return ()

    def read(self, now_ms: int) -> Sequence[Event]:
        """Some of what was collected."""
        del now_ms
        some, self._waiting = self._waiting[:PER_READ], self._waiting[PER_READ:]
        return some

    def tick(self, now_ms: int, health: Health) -> None:
        """Look for what has changed now and then, and take what was collected."""
        if now_ms - self._looked_at_ms >= LOOK_EVERY_MS:
            self._looked_at_ms = now_ms
            self._due |= self._changed() | self._overdue(now_ms)
        if self._running is not None:
            self._take(self._running, now_ms)
        elif self._due:
            kinds, self._due = tuple(kind for kind in KINDS if kind in self._due), set()
            self._running = Collection(kinds, self._settings.language_roots)
        if self._trouble:
            health.ill(self.name, self._trouble)
        else:
            health.well(self.name, ", ".join(f"{count} {kind}s" for kind, count in self._counts.items() if count))

    def losses(self) -> Mapping[str, int]:
        """Nothing is ever left out."""
        return {}

    def close(self) -> None:
        """End what collects; it begins anew with the next start."""
        if self._running is not None:
            self._running.stop()

    def _changed(self) -> set[str]:
        """The kinds whose files, or sockets, are not as they were."""
        now: dict[str, object] = {kind: [_stamp(ROOT / path) for path in paths] for kind, paths in WATCHED.items()}
        now["port"] = [each[:3] for each in listening_sockets()]
        changed = {kind for kind, stamp in now.items() if self._stamps.get(kind) != stamp}  # at the start, all
        self._stamps = now
        return changed

    def _overdue(self, now_ms: int) -> set[str]:
        every_ms = self._settings.every_hours * 3_600_000
        return {kind for kind in KINDS if now_ms - self._listed_at.get(kind, 0) >= every_ms}

    def _take(self, running: Collection, now_ms: int) -> None:
        items = running.take()
        if items is None:
            return
        self._running = None
        self._trouble = f"collecting {', '.join(running.kinds)} failed" if running.failed else ""
        if not running.failed:
            told = _read(self._file)  # not kept in memory: it is needed once a day
            for kind in running.kinds:
                now = [item for item in items if item.kind == kind]
                self._waiting += self._news(kind, told.items.get(kind, []), now, now_ms)
                told.items[kind], self._counts[kind] = now, len(now)
            told.listed_at = self._listed_at
            _write(self._file, told)

    def _news(self, kind: str, before: list[Item], now: list[Item], now_ms: int) -> list[Event]:
        """The whole list, if that is due, and what is gone or has changed."""
        old, new = ({item.key: item for item in items} for items in (before, now))
        gone = [event_of(old[key], "removed", now_ms, {}) for key in old.keys() - new.keys()]
        if kind in self._overdue(now_ms):
            self._listed_at[kind] = now_ms
            listed: dict[str, Value] = {
                "unmapped.inventory.list": f"{kind}-{now_ms}",
                "unmapped.inventory.count": len(now),
            }
            return gone + [event_of(item, "present", now_ms, listed) for item in now]
        changed = (item for item in now if old.get(item.key) != item)
        return gone + [event_of(item, "changed" if item.key in old else "added", now_ms, {}) for item in changed]


def _write(file: Path, told: _Told) -> None:
    part = file.with_suffix(".part")
    with contextlib.suppress(OSError):  # then the next start tells whole lists
        part.write_bytes(msgspec.msgpack.encode(told))
        part.replace(file)


def _read(file: Path) -> _Told:
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=_Told)
    except (OSError, msgspec.MsgspecError):
        return _Told()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size
