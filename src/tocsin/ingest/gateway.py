"""The way in of one batch: open, authenticate, verify, admit, append, acknowledge; what is refused is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from tocsin import metrics
from tocsin.columnar.check import check as check_batch
from tocsin.ingest.appender import Appender
from tocsin.ingest.chain import Admission, Chains
from tocsin.ingest.coverage import DROPPED, INTENTIONAL, reason_of
from tocsin.ingest.dead_letters import DeadLetters
from tocsin.ingest.policies import Policies
from tocsin.ingest.senders import Revoked, Senders
from tocsin.model import wire
from tocsin.model.errors import BadInput, InvalidBatch
from tocsin.model.wire import BatchHeader, Envelope
from tocsin.ports import Clock, NewEntry

__all__ = ["MAX_TOGETHER", "Gateway", "Receipt"]

MAX_TOGETHER = 64  # batches in one request


class Receipt(msgspec.Struct, frozen=True):
    """The answer to a batch that is durably in the log."""

    epoch: int
    next: int
    known: bool = False
    policy: str = ""  # the capture policies that the sender is to apply


class _Parcel(NamedTuple):
    """A batch whose signature is its sender's."""

    payload: bytes
    envelope: Envelope
    header: BatchHeader


class Gateway:
    """Takes batches from senders to the log."""

    def __init__(
        self,
        senders: Senders,
        chains: Chains,
        appender: Appender,
        dead_letters: DeadLetters,
        clock: Clock,
        policies: Policies,
    ) -> None:
        self._senders, self._chains, self._appender = senders, chains, appender
        self._dead_letters, self._clock = dead_letters, clock
        self.policies = policies

    async def receive(self, payload: bytes) -> Receipt:
        """Append a batch and return once it is synced; a batch already there is acknowledged again.

        Raises:
            InvalidBatch, BadSignature, ChainBroken: refused for good, and in the dead letters.
            Revoked: nothing is taken from this sender any more.
            TryLater: not taken now.
        """
        try:
            return await self._take([self._open(payload)])
        except Revoked:
            metrics.BATCHES_REFUSED.labels(Revoked.__name__).inc()
            raise
        except BadInput as error:
            metrics.BATCHES_REFUSED.labels(type(error).__name__).inc()
            await asyncio.to_thread(self._dead_letters.put, "batch", str(error), payload)
            raise

    async def receive_all(self, payloads: Sequence[bytes]) -> Receipt:
        """Append consecutive batches of one sender, all or none, and return once they are synced.

        Raises:
            InvalidBatch, BadSignature, ChainBroken: one of them is not to be taken; nothing is in the dead letters,
                as the sender sends them one by one then, which tells which it is.
            Revoked: nothing is taken from this sender any more.
            TryLater: not taken now.
        """
        if not 0 < len(payloads) <= MAX_TOGETHER:
            raise InvalidBatch(f"{len(payloads)} batches at once: 1 to {MAX_TOGETHER} are taken")
        parcels = [self._open(payload) for payload in payloads]
        if len({(each.header.org, each.header.agent) for each in parcels}) > 1:
            raise InvalidBatch("batches that are sent at once must be of one sender")
        return await self._take(parcels)

    def _open(self, payload: bytes) -> _Parcel:
        envelope, header = wire.decode_envelope(payload)
        wire.verify(envelope, self._senders.key(header.org, header.agent))
        return _Parcel(payload, envelope, header)

    async def _take(self, parcels: Sequence[_Parcel]) -> Receipt:
        last = parcels[-1].header
        async with self._chains.lock(last):
            fresh = [pair async for pair in self._admit(parcels)]
            if fresh:
                await self._appender.append([self._entry(parcel) for parcel, _ in fresh])
            for parcel, admission in fresh:
                self._chains.advance(parcel.header)
                self._count(parcel, admission)
            link = self._chains.last(last.org, last.agent)
        following = link.sequence + 1 if link else last.sequence + 1
        return Receipt(last.epoch, following, not fresh, self.policies.wanted(last.org, last.agent))

    async def _admit(self, parcels: Sequence[_Parcel]) -> AsyncIterator[tuple[_Parcel, Admission]]:
        """Those that are not in the log yet, and what each is to its chain."""
        chain = self._chains.fork(parcels[0].header)
        for parcel in parcels:
            admission = chain.admit(parcel.header)
            if admission is Admission.KNOWN:
                continue
            if parcel.envelope.body:
                check_batch(parcel.header, wire.decode_body(parcel.envelope, parcel.header))
            chain.advance(parcel.header)
            yield parcel, admission
            await asyncio.sleep(0)  # other senders' batches are not to wait for all of these

    def _entry(self, parcel: _Parcel) -> NewEntry:
        header, now = parcel.header, self._clock.now_ms()
        return NewEntry(header.org, header.origin, header.epoch, header.sequence, now, parcel.payload)

    @staticmethod
    def _count(parcel: _Parcel, admission: Admission) -> None:
        header = parcel.header
        metrics.BATCHES_ADMITTED.inc()
        if not parcel.envelope.body and header.rows > 0:
            metrics.EVENTS_NOT_KEPT.labels(DROPPED, "false").inc(header.rows)
        else:
            metrics.EVENTS_ADMITTED.inc(header.rows)
        if admission is Admission.GAP:
            metrics.CHAIN_GAPS.inc()
        for reason, count in header.not_kept.items():
            why = reason_of(reason)
            metrics.EVENTS_NOT_KEPT.labels(why, str(why in INTENTIONAL).lower()).inc(count)
