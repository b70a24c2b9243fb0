"""Delivery of the outbox: at least once, each notification under one key, retried with backoff, never lost.

A notification is claimed by moving its next try into the future, which only one process can do; whoever dies while
sending leaves it to be claimed again when that lease is over. After MAX_TRIES it is dead: kept, visible, not tried.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import msgspec
import sqlalchemy as sa
import structlog

from tocsin.metrics import NOTIFICATIONS, NOTIFY_LATENCY
from tocsin.model.errors import BadInput, TryLater
from tocsin.ports import Clock, Notifier
from tocsin.state.engine import reading
from tocsin.state.tables import channel, outbox

__all__ = ["MAX_TRIES", "NEVER_MS", "Claimed", "Delivery", "Outcome", "backoff_s", "claim", "due", "settle"]

MAX_TRIES = 16
NEVER_MS = 2**53
LEASE_MS = 60_000
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 1.0, 6 * 3600.0
_LANES, _LANES_PER_CHANNEL = 8, 2
_BATCH = 100
_PAUSE_AFTER_ERROR_S = 1.0

_log = structlog.get_logger(__name__)


class Claimed(msgspec.Struct, frozen=True):
    """A notification that this process may send now, and where to."""

    id: int
    channel_id: int
    kind: str
    config: dict[str, object]
    key: str
    payload: dict[str, object]
    tries: int  # this one included
    next_try_at: int


class _Alert(msgspec.Struct):
    first_event_at: str


class _Data(msgspec.Struct):
    alert: _Alert


class _Announced(msgspec.Struct):
    """As much of a notification's body as its latency needs."""

    data: _Data


class Outcome(msgspec.Struct, frozen=True):
    """How a try ended: no error is delivered; `final` means that another try cannot help."""

    error: str | None = None
    final: bool = False


def backoff_s(tries: int, jitter: float) -> float:
    """Seconds until the next try after `tries` failed ones; jitter in 0..1 spreads them over the second half."""
    longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** (tries - 1))
    return longest * (0.5 + jitter / 2)


def due(connection: sa.Connection, now_ms: int, full: set[int]) -> list[Claimed]:
    """Notifications to be sent now, oldest first, of enabled channels that are not full."""
    columns = (outbox.c.id, outbox.c.channel_id, channel.c.kind, channel.c.config, outbox.c.key, outbox.c.payload)
    wanted = (
        sa.select(*columns, (outbox.c.tries + 1).label("tries"), outbox.c.next_try_at)
        .join(channel, (channel.c.id == outbox.c.channel_id) & (channel.c.org == outbox.c.org))
        .where(outbox.c.delivered_at.is_(None), outbox.c.next_try_at <= now_ms, channel.c.enabled)
        .order_by(outbox.c.next_try_at, outbox.c.id)
        .limit(_BATCH)
    )
    if full:
        wanted = wanted.where(outbox.c.channel_id.not_in(full))
    return [Claimed(**row) for row in connection.execute(wanted).mappings()]


def claim(connection: sa.Connection, wanted: Claimed, now_ms: int) -> bool:
    """Take the notification for LEASE_MS; false if another process was faster."""
    taken = connection.execute(
        sa.update(outbox)
        .where(outbox.c.id == wanted.id, outbox.c.next_try_at == wanted.next_try_at, outbox.c.delivered_at.is_(None))
        .values(next_try_at=now_ms + LEASE_MS, tries=wanted.tries)
    )
    return taken.rowcount == 1


def settle(connection: sa.Connection, sent: Claimed, outcome: Outcome, now_ms: int, jitter: float) -> None:
    """Write down how the try ended and when the next one is."""
    row = sa.update(outbox).where(outbox.c.id == sent.id)
    if outcome.error is None:
        connection.execute(row.values(delivered_at=now_ms, last_error=None))
        return
    dead = outcome.final or sent.tries >= MAX_TRIES
    next_try = NEVER_MS if dead else now_ms + int(1000 * backoff_s(sent.tries, jitter))
    connection.execute(row.values(next_try_at=next_try, last_error=outcome.error))


class Delivery:
    """Sends what is due until stopped; a slow receiver holds back nobody but itself."""

    def __init__(
        self,
        engine: sa.Engine,
        notifier: Callable[[str, Mapping[str, object]], Notifier],
        clock: Clock,
        *,
        poll_s: float = 0.05,
    ) -> None:
        """Take what to read, how to make the notifier of a channel's kind and config, and the time.

        `poll_s` is the longest that an alert recorded by another process waits; `wake` is immediate.
        """
        self._engine, self._notifier, self._clock, self._poll_s = engine, notifier, clock, poll_s
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._busy: Counter[int] = Counter()
        self._failures: list[BaseException] = []

    def wake(self) -> None:
        """Look for due notifications now."""
        self._woken.set()

    def stop(self) -> None:
        """Make `run` return once what is being sent has been answered."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Deliver until `stop`; a failing state is waited out, any other error of ours is raised here."""
        with ThreadPoolExecutor(_LANES, thread_name_prefix="notify") as lanes:
            while not self._stopped.is_set():
                self._woken.clear()
                try:
                    self._send_due(lanes)
                except sa.exc.OperationalError as error:
                    _log.warning("outbox cannot be read; trying again", error=str(error.orig))
                    self._stopped.wait(_PAUSE_AFTER_ERROR_S)
                if self._failures:
                    raise self._failures[0]
                self._woken.wait(self._poll_s)

    def _send_due(self, lanes: ThreadPoolExecutor) -> None:
        with self._lock:
            full = {number for number, busy in self._busy.items() if busy >= _LANES_PER_CHANNEL}
            room = _LANES - self._busy.total()
        now_ms = self._clock.now_ms()
        with reading(self._engine) as connection:
            wanted = due(connection, now_ms, full) if room > 0 else []
        for claimed in self._take(wanted, room, now_ms):
            lanes.submit(self._deliver, claimed).add_done_callback(self._done)

    def _take(self, wanted: list[Claimed], room: int, now_ms: int) -> list[Claimed]:
        if not wanted:
            return []
        taken: list[Claimed] = []
        with self._engine.begin() as connection, self._lock:
            for one in wanted:
                if len(taken) == room or self._busy[one.channel_id] >= _LANES_PER_CHANNEL:
                    continue
                if claim(connection, one, now_ms):
                    self._busy[one.channel_id] += 1
                    taken.append(one)
        return taken

    def _deliver(self, claimed: Claimed) -> None:
        try:
            outcome = self._send(claimed)
            now_ms = self._clock.now_ms()
            with self._engine.begin() as connection:
                settle(connection, claimed, outcome, now_ms, random.random())  # noqa: S311  # jitter is no secret
            self._count(claimed, outcome, now_ms)
        finally:
            with self._lock:
                self._busy[claimed.channel_id] -= 1
            self._woken.set()

    def _send(self, claimed: Claimed) -> Outcome:
        try:
            notifier = self._notifier(claimed.kind, claimed.config)
            notifier.send(claimed.key, claimed.payload, self._clock.now_ms() / 1000)
        except BadInput as error:
            return Outcome(str(error), final=True)
        except TryLater as error:
            return Outcome(str(error))
        return Outcome()

    def _count(self, claimed: Claimed, outcome: Outcome, now_ms: int) -> None:
        if outcome.error is None:
            NOTIFICATIONS.labels("delivered").inc()
            NOTIFY_LATENCY.observe(max(0.0, now_ms / 1000 - _event_s(claimed.payload)))
            return
        dead = outcome.final or claimed.tries >= MAX_TRIES
        NOTIFICATIONS.labels("dead" if dead else "failed").inc()
        report = _log.error if dead else _log.warning
        report("notification not delivered", key=claimed.key, tries=claimed.tries, error=outcome.error, dead=dead)

    def _done(self, sent: Future[None]) -> None:
        error = sent.exception()
        if isinstance(error, sa.exc.OperationalError):
            _log.warning("notification sent but not marked; it will be sent again", error=str(error.orig))
        elif error is not None:
            self._failures.append(error)
            self._woken.set()


def _event_s(payload: Mapping[str, object]) -> float:
    return datetime.fromisoformat(msgspec.convert(payload, _Announced).data.alert.first_event_at).timestamp()
