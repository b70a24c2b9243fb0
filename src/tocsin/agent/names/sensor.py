"""The sensor of names: its thread reads what passes port 53, while those who asked are still there to be found."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tocsin.agent.names.connects import WAIT_MS, Connects
from tocsin.agent.names.lookups import Lookups
from tocsin.agent.names.mapping import map_lookup
from tocsin.agent.names.message import read_message
from tocsin.agent.names.owner import Owners
from tocsin.agent.names.packet import read_packet
from tocsin.agent.names.tap import Tap
from tocsin.agent.policy.bucket import TokenBucket
from tocsin.agent.sensor import Growth
from tocsin.model.errors import InvalidRecord, TocsinError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tocsin.agent.config import NameSettings
    from tocsin.agent.names.lookups import Lookup
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event

__all__ = ["NameSensor"]

LIMITED, DROPPED, UNREADABLE = "names_limited", "names_dropped", "names_unreadable"
EXPIRE_S: Final = 1.0
FULL_PAUSE_S: Final = 0.05  # while there is more than may be read, the kernel drops it, which costs nothing
STOP_WITHIN_S: Final = 5.0
FOUND_BY: Final = "unmapped.process_found_by"


class NameSensor:
    """Gives one event per lookup, with the process that asked where it can be told."""

    name = "names"

    def __init__(self, settings: NameSettings, prefix: str) -> None:
        self._prefix = prefix
        self._bucket = TokenBucket(settings.max_packets_per_s, time.monotonic)
        self._lookups, self._connects = Lookups(), Connects()
        self._done: deque[Lookup] = deque()
        self._waiting: deque[Lookup] = deque()
        self._counted = {LIMITED: 0, DROPPED: 0, UNREADABLE: 0}
        self._growth = Growth()
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._stopping, self._trouble = False, ""

    def descriptors(self) -> Sequence[int]:
        """One, readable once a lookup is over."""
        return (self._ready,)

    def hear(self, events: Iterable[Event]) -> None:
        """Learn from what audit tells who connected to a name server."""
        self._connects.hear(events)

    def read(self, now_ms: int) -> Sequence[Event]:
        """The lookups that are over; whose process is not known yet, once audit has had the time to tell."""
        if self._done:
            os.eventfd_read(self._ready)
            self._waiting.extend(self._done.popleft() for _ in range(len(self._done)))
        if not self._waiting:
            return ()
        waiting, self._waiting = self._waiting, deque()
        events = []
        for lookup in waiting:
            if self._may_be_told(lookup) and not self._stopping and 0 <= now_ms - lookup.done_ms < WAIT_MS:
                self._waiting.append(lookup)
            else:
                events.append(map_lookup(lookup))
        return events

    def tick(self, now_ms: int, health: Health) -> None:
        """Start listening, once; tell how it is."""
        del now_ms
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="names", daemon=True)
            self._thread.start()
        elif self._trouble:
            health.ill(self.name, self._trouble)
        else:
            health.well(self.name)

    def losses(self) -> Mapping[str, int]:
        """Packets of more than the settings allow, that the kernel had no room for, or that are no DNS."""
        return self._growth.since(self._counted)

    def finish(self) -> None:
        """Let what waits for its answer wait no longer."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    def close(self) -> None:
        """Let go of the kernel."""
        self.finish()
        os.close(self._ready)
        os.close(self._wake)

    def _may_be_told(self, lookup: Lookup) -> bool:
        """Whether to wait for audit; if it has told who asked, that is noted."""
        if lookup.actor or not lookup.is_local:
            return False
        lookup.actor = self._connects.actor(lookup)
        if lookup.actor:
            lookup.actor |= {FOUND_BY: "connect"}
        return not lookup.actor

    def _run(self) -> None:
        try:
            tap, owners = Tap.open(), Owners(self._prefix)
        except (TocsinError, OSError) as error:
            self._trouble = str(error)
            return
        try:
            self._listen(tap, owners)
        except OSError as error:
            self._trouble = f"listening for names has stopped: {error}"
        finally:
            self._lookups.flush(_now_ms())
            self._publish()
            tap.close()
            owners.close()

    def _listen(self, tap: Tap, owners: Owners) -> None:
        poll = select.poll()
        poll.register(tap, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping:
            poll.poll(EXPIRE_S * 1000)
            self._read_all(tap, owners)
            self._counted[DROPPED] += tap.dropped()
            self._lookups.expire(_now_ms())
            self._publish()

    def _read_all(self, tap: Tap, owners: Owners) -> None:
        """Take what there is, as far as the settings allow; the rest is thrown away, and the kernel's for a while."""
        while self._bucket.take():
            received = tap.receive()
            if received is None:
                return
            self._take(*received, owners)
        while tap.receive() is not None and not self._stopping:
            self._counted[LIMITED] += 1
        time.sleep(FULL_PAUSE_S)

    def _take(self, raw: bytes, is_local: bool, owners: Owners) -> None:  # noqa: FBT001 - what the tap says of it
        packet = read_packet(raw)
        if packet is None:
            return
        now_ms = _now_ms()
        for part in packet.messages:
            try:
                message = read_message(part)
            except InvalidRecord:
                self._counted[UNREADABLE] += 1
                continue
            if message.is_response != packet.from_server:
                self._counted[UNREADABLE] += 1
                continue
            begun = self._lookups.see(packet.flow, message, now_ms, is_local=is_local)
            if begun is not None and is_local:
                begun.actor = owners.find(packet.flow, now_ms)
                if begun.actor:
                    begun.actor |= {FOUND_BY: "socket"}

    def _publish(self) -> None:
        done, self._lookups.done = self._lookups.done, []
        if done:
            self._done.extend(done)
            os.eventfd_write(self._ready, 1)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
