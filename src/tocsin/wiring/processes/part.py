"""A thread of work in a process of several: when one ends, all end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.ports import LogEntry
from tocsin.state.dead_letters import put_aside
from tocsin.stream import Refuse

__all__ = ["Part", "refuse_to_state"]

_log = structlog.get_logger(__name__)


class Part:
    """One thread of work; `halt` wakes it when it is to end, `renew` when it is to look at its settings again."""

    def __init__(
        self,
        name: str,
        work: Callable[[threading.Event], None],
        halt: Callable[[], None] | None = None,
        renew: Callable[[], None] | None = None,
    ) -> None:
        self.failed = False
        self._name, self._work, self._halt, self._renew = name, work, halt, renew
        self._thread: threading.Thread | None = None

    def start(self, stop: threading.Event) -> None:
        self._thread = threading.Thread(target=self._run, args=(stop,), name=self._name)
        self._thread.start()

    def renew(self) -> None:
        if self._renew is not None:
            self._renew()

    def end(self) -> None:
        if self._halt is not None:
            self._halt()
        if self._thread is not None:
            self._thread.join()

    def _run(self, stop: threading.Event) -> None:
        try:
            self._work(stop)
        except BaseException:
            self.failed = True
            _log.exception("part failed", part=self._name)
            raise
        finally:
            # One part gone, all go: the supervisor starts them afresh from their positions.
            stop.set()


def refuse_to_state(engine: sa.Engine, consumer: str) -> Refuse:
    """How a consumer puts a batch aside that it cannot read."""

    def refuse(entry: LogEntry, reason: str) -> None:
        with engine.begin() as connection:
            put_aside(connection, consumer, entry, reason)
        metrics.DEAD_LETTERS.labels(consumer).inc()

    return refuse
