"""Group commit: batches that arrive together are synced together."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence

from tocsin.model.errors import TryLater
from tocsin.ports import EventLog, NewEntry

__all__ = ["Appender"]

_Waiting = tuple[Sequence[NewEntry], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Appender:
    """Appends to the log from one thread; whoever awaits `append` resumes when the batch is durable.

    At most `max_waiting` requests wait; beyond that the sender is told to try later, so that memory stays bounded.
    """

    def __init__(self, log: EventLog, max_waiting: int = 1024, max_group: int = 256) -> None:
        self._log = log
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(max_waiting)
        self._max_group = max_group
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self._thread.start()

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """Return when the entries are synced to the log.

        Raises:
            TryLater: they are not in the log: too many are waiting, no space, or the log is unreachable.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        try:
            self._waiting.put_nowait((entries, loop, done))
        except queue.Full as error:
            raise TryLater("too many batches are waiting to be written") from error
        await done

    def close(self) -> None:
        """Write what is waiting, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, closing = self._gather(first)
            self._write(group)
            if closing:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        group = [first]
        while len(group) < self._max_group:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _write(self, group: list[_Waiting]) -> None:
        failure: Exception | None = None
        try:
            self._log.append([entry for entries, _, _ in group for entry in entries])
        except Exception as error:  # noqa: BLE001 -- whatever it is belongs to those who wait, not to this thread
            failure = error
        for _, loop, done in group:
            loop.call_soon_threadsafe(_resolve, done, failure)


def _resolve(done: asyncio.Future[None], failure: Exception | None) -> None:
    if done.cancelled():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
