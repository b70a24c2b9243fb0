"""Read the log's tail before somebody asks, so that the first question after a flood is as quick as any."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import structlog

__all__ = ["Freshness"]

_log = structlog.get_logger(__name__)
_EVERY_S = 1.0
_WATCHED_S = 60.0
_IDLE_PER_WORK = 20.0


class _Refreshed(Protocol):
    @property
    def asked_at(self) -> float: ...

    def refresh(self) -> None: ...


class Freshness:
    """A thread that refreshes a query every second while somebody asks.

    When nobody has for a minute, it takes at most a twentieth of a core: less often under a flood, which would not be
    worth it.
    """

    def __init__(self, query: _Refreshed, every_s: float = _EVERY_S) -> None:
        self._query, self._every_s = query, every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="freshness")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the refresh that is under way; does nothing if it was never started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause_s = self._every_s
        while not self._stopping.wait(pause_s):
            started = time.monotonic()
            try:
                self._query.refresh()
            except Exception as error:  # noqa: BLE001 -- the next question meets the same, and answers with it
                _log.warning("hot rows not refreshed", reason=str(error))
            ended = time.monotonic()
            watched = ended - self._query.asked_at < _WATCHED_S
            pause_s = self._every_s if watched else max(self._every_s, _IDLE_PER_WORK * (ended - started))
