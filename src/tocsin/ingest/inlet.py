"""The NDJSON inlet: lines of a known source become events, then a batch sealed by the gateway itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tocsin import metrics
from tocsin.ingest.appender import Appender
from tocsin.ingest.dead_letters import DeadLetters
from tocsin.model import wire
from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine
from tocsin.model.wire import ChainPosition, Signer
from tocsin.ports import Clock, NewEntry

__all__ = ["NO_ORIGIN", "Inlet", "InletReceipt", "Reader"]

NO_ORIGIN = "http"  # of lines whose sender does not say where they are from
_UNNAMED = (None, "", "unknown")  # readers say `unknown` where a log does not name its machine

Reader = Callable[[Iterable[bytes]], Iterator[Event | RefusedLine]]


class InletReceipt(msgspec.Struct, frozen=True):
    """The answer to a body of lines: how many events are durably in the log, and which lines are not."""

    accepted: int
    refused: int
    problems: list[str]


class Inlet:
    """Takes lines from clients to the log. Each gateway process is an epoch of its own, per origin."""

    def __init__(
        self,
        readers: dict[str, Reader],
        signer: Signer,
        appender: Appender,
        dead_letters: DeadLetters,
        clock: Clock,
        *,
        gateway: str,
    ) -> None:
        self._readers, self._signer, self._appender = readers, signer, appender
        self._dead_letters, self._clock, self._gateway = dead_letters, clock, gateway
        self._epoch = clock.now_ms()
        self._positions: dict[tuple[str, str], ChainPosition] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def receive(self, org: str, origin: str, source: str, body: bytes, product: str = "") -> InletReceipt:
        """Append what can be read, return once it is synced; every line that cannot is in the dead letters.

        `product` is what wrote the lines, for events that do not name their log.

        Raises:
            BadInput: the source is not known.
            TryLater: nothing was taken.
        """
        reader = self._readers.get(source)
        if reader is None:
            raise BadInput(f"source {source!r} is not known; known are {', '.join(sorted(self._readers))}")
        events, refused = await asyncio.to_thread(_read, reader, body)
        if origin != NO_ORIGIN:
            _name_machine(events, origin)
        if product:
            name_log(events, product)
        for start in range(0, len(events), wire.MAX_ROWS):
            async with self._locks[org, origin]:
                await self._append(org, origin, events[start : start + wire.MAX_ROWS])
        if refused:
            metrics.LINES_REFUSED.labels(source).inc(len(refused))
            letters = [(f"line {r.line}: {r.reason}", r.text) for r in refused]
            await asyncio.to_thread(self._dead_letters.put_all, source, letters, org)
        return InletReceipt(len(events), len(refused), [f"line {r.line}: {r.reason}" for r in refused[:20]])

    async def _append(self, org: str, origin: str, events: list[Event]) -> None:
        now = self._clock.now_ms()
        start = ChainPosition(org, f"{self._gateway}/{origin}", "", self._epoch, 0, b"")
        position = self._positions.get((org, origin), start)
        payload, batch_hash = wire.seal(wire.encode_sections(events), position, self._signer, created_at=now)
        await self._appender.append([NewEntry(org, position.agent, position.epoch, position.sequence, now, payload)])
        self._positions[org, origin] = position.after(batch_hash)
        metrics.EVENTS_ADMITTED.inc(len(events))
        metrics.BATCHES_ADMITTED.inc()


def _read(reader: Reader, body: bytes) -> tuple[list[Event], list[RefusedLine]]:
    events: list[Event] = []
    refused: list[RefusedLine] = []
    for item in reader(body.splitlines()):
        if isinstance(item, Event):
            events.append(item)
        else:
            refused.append(item)
    return events, refused


def name_log(events: Iterable[Event], product: str) -> None:
    """Let events that do not name their log be the product's: rules of other products then leave them alone."""
    for event in events:
        if "metadata.log_name" not in event.shared:
            event.values.setdefault("metadata.log_name", product)


def _name_machine(events: Iterable[Event], origin: str) -> None:
    """Let events that do not name their machine be the origin's."""
    for event in events:
        if "device.hostname" not in event.shared and event.values.get("device.hostname") in _UNNAMED:
            event.values["device.hostname"] = origin
