"""Who may append what next: the last batch admitted of every sender."""

from __future__ import annotations

import asyncio
import enum
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from tocsin.model.errors import ChainBroken
from tocsin.model.wire import BatchHeader

__all__ = ["Admission", "Chains", "Link"]


class Link(msgspec.Struct, frozen=True):
    """The last batch of a sender that is in the log."""

    epoch: int
    sequence: int
    hash: bytes


class Admission(enum.Enum):
    """What a batch is to its chain."""

    NEXT = "next"
    GAP = "gap"  # batches before it are missing: admitted, and the ledger shows the gap
    KNOWN = "known"  # already in the log: acknowledged again, not appended again


class Chains:
    """The chains of all senders, in memory; the ledger and the log's tail restore them at start."""

    def __init__(self, links: Iterable[tuple[tuple[str, str], Link]] = ()) -> None:
        self._links: dict[tuple[str, str], Link] = dict(links)
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        # Sequences of the current epoch that were passed over; bounded by the gaps of one run of an agent.
        self._missing: defaultdict[tuple[str, str], list[range]] = defaultdict(list)

    def lock(self, header: BatchHeader) -> asyncio.Lock:
        """Held from `admit` to `advance`, so that one sender's batches are judged one after another."""
        return self._locks[header.org, header.agent]

    def last(self, org: str, agent: str) -> Link | None:
        """The last batch of that sender, if it has sent any."""
        return self._links.get((org, agent))

    def fork(self, header: BatchHeader) -> Chains:
        """That sender's chain alone, to be advanced by batches that are not in the log yet."""
        sender = (header.org, header.agent)
        forked = Chains([(sender, self._links[sender])] if sender in self._links else ())
        forked._missing[sender] = list(self._missing.get(sender, ()))
        return forked

    def admit(self, header: BatchHeader) -> Admission:
        """Judge a verified batch by the sender's last one.

        Raises:
            ChainBroken: it is of an epoch that is over, or does not name its predecessor's hash.
        """
        last = self.last(header.org, header.agent)
        if last is None:
            return Admission.NEXT if header.sequence == 0 else Admission.GAP
        if header.epoch < last.epoch:
            raise ChainBroken(f"epoch {header.epoch} of agent {header.agent} is over; the ledger is at {last.epoch}")
        if header.epoch > last.epoch:
            return Admission.NEXT if (header.sequence, header.previous) == (0, last.hash) else Admission.GAP
        return self._admit_within_epoch(header, last)

    def _admit_within_epoch(self, header: BatchHeader, last: Link) -> Admission:
        if header.sequence <= last.sequence:
            if header.sequence == last.sequence and header.hash() != last.hash:
                raise ChainBroken(f"agent {header.agent} sent another batch as sequence {header.sequence}")
            if any(header.sequence in gap for gap in self._missing[header.org, header.agent]):
                raise ChainBroken(f"batch {header.sequence} of agent {header.agent} comes after its successors")
            return Admission.KNOWN
        if header.sequence > last.sequence + 1:
            return Admission.GAP
        if header.previous != last.hash:
            raise ChainBroken(
                f"batch {header.sequence} of agent {header.agent} does not follow its batch {last.sequence}"
            )
        return Admission.NEXT

    def advance(self, header: BatchHeader) -> None:
        """The batch is durably in the log; one that the log holds twice changes nothing."""
        sender = (header.org, header.agent)
        last = self._links.get(sender)
        if last is not None and (header.epoch, header.sequence) <= (last.epoch, last.sequence):
            return
        if last is None or last.epoch != header.epoch:
            self._missing.pop(sender, None)
        first = last.sequence + 1 if last is not None and last.epoch == header.epoch else 0
        if header.sequence > first:
            self._missing[sender].append(range(first, header.sequence))
        self._links[sender] = Link(header.epoch, header.sequence, header.hash())
