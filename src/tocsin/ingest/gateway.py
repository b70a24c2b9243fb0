"""The way in of one batch: open, authenticate, verify, admit, append, acknowledge; what is refused is kept."""

from __future__ import annotations

import asyncio

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
from tocsin.model.errors import BadInput
from tocsin.model.wire import BatchHeader, Envelope
from tocsin.ports import Clock, NewEntry

__all__ = ["Gateway", "Receipt"]


class Receipt(msgspec.Struct, frozen=True):
    """The answer to a batch that is durably in the log."""

    epoch: int
    next: int
    known: bool = False
    policy: str = ""  # the capture policies that the sender is to apply


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
            envelope, header = self._open(payload)
            async with self._chains.lock(header):
                return await self._take(payload, envelope, header)
        except Revoked:
            metrics.BATCHES_REFUSED.labels(Revoked.__name__).inc()
            raise
        except BadInput as error:
            metrics.BATCHES_REFUSED.labels(type(error).__name__).inc()
            await asyncio.to_thread(self._dead_letters.put, "batch", str(error), payload)
            raise

    def _open(self, payload: bytes) -> tuple[Envelope, BatchHeader]:
        envelope, header = wire.decode_envelope(payload)
        wire.verify(envelope, self._senders.key(header.org, header.agent))
        return envelope, header

    async def _take(self, payload: bytes, envelope: Envelope, header: BatchHeader) -> Receipt:
        admission = self._chains.admit(header)
        if admission is not Admission.KNOWN:
            if envelope.body:
                check_batch(header, wire.decode_body(envelope, header))
            await self._appender.append(self._entry(payload, header))
            self._chains.advance(header)
            self._count(header, admission, dropped=not envelope.body and header.rows > 0)
        last = self._chains.last(header.org, header.agent)
        following = last.sequence + 1 if last else header.sequence + 1
        wanted = self.policies.wanted(header.org, header.agent)
        return Receipt(header.epoch, following, admission is Admission.KNOWN, wanted)

    def _entry(self, payload: bytes, header: BatchHeader) -> NewEntry:
        now = self._clock.now_ms()
        return NewEntry(header.org, header.origin, header.epoch, header.sequence, now, payload)

    @staticmethod
    def _count(header: BatchHeader, admission: Admission, *, dropped: bool) -> None:
        metrics.BATCHES_ADMITTED.inc()
        if dropped:
            metrics.EVENTS_NOT_KEPT.labels(DROPPED, "false").inc(header.rows)
        else:
            metrics.EVENTS_ADMITTED.inc(header.rows)
        if admission is Admission.GAP:
            metrics.CHAIN_GAPS.inc()
        for reason, count in header.not_kept.items():
            why = reason_of(reason)
            metrics.EVENTS_NOT_KEPT.labels(why, str(why in INTENTIONAL).lower()).inc(count)
