"""Signed batches on disk, from sealing until the server has them.

Over the limit, batches of the lowest priority lose their bodies first, oldest first; their signed tombstones stay, so
that the chain holds and the loss is on record.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.deliver.segment import Entry, Segment, open_segments
from tocsin.agent.identity import write_private
from tocsin.model.errors import OutOfSpace
from tocsin.model.wire import ChainPosition, Envelope, decode_envelope, tombstone

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.agent.config import SpoolSettings
    from tocsin.agent.identity import Identity
    from tocsin.model.wire import Signer

__all__ = ["Spool"]

EPOCH_FILE: Final = "epoch"
ACKNOWLEDGED_FILE: Final = "acknowledged"
PRIORITIES_TO_DROP: Final = (2, 1, 0)


class Spool:
    """The agent's outgoing chain of batches. One thread appends, another one sends; both may use it at any time."""

    def __init__(self, folder: Path, settings: SpoolSettings, identity: Identity, signer: Signer, boot_id: str) -> None:
        self.damaged_bytes = 0
        self.dropped_rows = 0
        self.trouble = ""  # what is wrong with the disk, until a write succeeds
        self._folder, self._settings, self._signer = folder, settings, signer
        self._changed = threading.Condition()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._segments = open_segments(folder)
        self._acknowledged = _read_pair(folder / ACKNOWLEDGED_FILE)
        self._waiting = deque(self._load(identity))
        last = max((entry for segment in self._segments for entry in segment.entries), key=Entry.place, default=None)
        self.position = ChainPosition(
            identity.org,
            identity.agent_id,
            boot_id,
            epoch=self._next_epoch(last.epoch if last else -1),
            sequence=0,
            previous=last.hash if last else b"",
        )
        self._synced_at = time.monotonic()

    def _load(self, identity: Identity) -> list[Entry]:
        """Entries that the server may not have, without those of another identity, which it would refuse."""
        self.damaged_bytes = sum(segment.damaged_bytes for segment in self._segments)
        for segment in list(self._segments):
            if any(entry.sender != (identity.org, identity.agent_id) for entry in segment.entries):
                segment.delete()
                self._segments.remove(segment)
        reached = self._acknowledged
        return [entry for segment in self._segments for entry in segment.entries if entry.place() >= reached]

    def _next_epoch(self, last_epoch: int) -> int:
        """One more than ever before on this disk; synced, as two runs in one epoch would contradict each other."""
        path = self._folder / EPOCH_FILE
        epoch = max(_read_pair(path)[0], last_epoch) + 1
        write_private(path, f"{epoch} 0".encode())
        return epoch

    @property
    def size_bytes(self) -> int:
        """What the spool takes on the disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def waiting(self) -> int:
        """Batches that the server has not acknowledged."""
        with self._changed:
            return len(self._waiting)

    def append(self, envelope: bytes, batch_hash: bytes) -> None:
        """Add the batch that was sealed at `position`, and move on.

        Raises:
            OutOfSpace: nothing was added, and the position stays.
        """
        with self._changed:
            try:
                entry = self._newest().append(envelope)
                self.trouble = ""
            except OSError as error:
                self.trouble = f"the spool cannot be written: {error.strerror}"
                raise OutOfSpace(self.trouble) from error
            self._waiting.append(entry)
            self.position = self.position.after(batch_hash)
            self._changed.notify()
            if self.size_bytes > self._settings.max_bytes:
                self._shrink()

    def _newest(self) -> Segment:
        if not self._segments or self._segments[-1].size >= self._settings.segment_bytes:
            number = self._segments[-1].number + 1 if self._segments else 0
            self._segments.append(Segment(self._folder, number))
            self._delete_finished()
        return self._segments[-1]

    def next(self, timeout_s: float) -> tuple[Entry, bytes] | None:
        """The oldest batch that is not acknowledged, waiting for one if need be; the same again until it is."""
        return next(iter(self.next_together(timeout_s, 1, 0)), None)

    def next_together(self, timeout_s: float, most: int, max_bytes: int) -> list[tuple[Entry, bytes]]:
        """The oldest batches that are not acknowledged: one if any comes in time, and more as long as they fit."""
        with self._changed:
            if not self._waiting and not self._changed.wait_for(lambda: bool(self._waiting), timeout_s):
                return []
            found = list(itertools.islice(self._waiting, most))
            fitting = sum(size <= max_bytes for size in itertools.accumulate(entry.length for entry in found))
            return [(entry, entry.read()) for entry in found[: max(fitting, 1)]]

    def acknowledge(self, epoch: int, following: int) -> None:
        """The server has everything before batch `following` of that epoch."""
        with self._changed:
            while self._waiting and self._waiting[0].place() < (epoch, following):
                self._waiting.popleft()
            self._acknowledged = max(self._acknowledged, (epoch, following))
            self._delete_finished()

    def _delete_finished(self) -> None:
        """Delete segments that nobody waits for; never the last one that has entries, as the chain goes on from it."""
        first = self._waiting[0].segment.number if self._waiting else self._segments[-1].number
        while len(self._segments) > 1 and self._segments[0].number < first and self._segments[1].entries:
            self._segments.pop(0).delete()

    def bury(self, entry: Entry) -> None:
        """Replace a batch that the server will never take by its tombstone; give up on what is one already."""
        with self._changed:
            if entry.buried:
                self._waiting.remove(entry)
            else:
                self._rewrite(entry.segment, {entry})

    def tick(self) -> None:
        """Sync what is old enough and note what was acknowledged; to be called often."""
        now = time.monotonic()
        if (now - self._synced_at) * 1000 < self._settings.sync_ms:
            return
        self._synced_at = now
        with self._changed:
            acknowledged = self._acknowledged
            try:
                if self._waiting:
                    self._segments[-1].sync()
                (self._folder / ACKNOWLEDGED_FILE).write_text(f"{acknowledged[0]} {acknowledged[1]}")
            except OSError as error:
                self.trouble = f"the spool cannot be synced: {error.strerror}"

    def close(self) -> None:
        """Sync everything."""
        self._synced_at = float("-inf")
        self.tick()

    def take_dropped_rows(self) -> int:
        """How many events lost their place since the last call; the next batch says so."""
        with self._changed:
            dropped, self.dropped_rows = self.dropped_rows, 0
            return dropped

    def _shrink(self) -> None:
        """Bury batches, the least important first, until a tenth of the space is free."""
        wanted = self._settings.max_bytes * 9 // 10
        for priority, segment in itertools.product(PRIORITIES_TO_DROP, self._segments):
            if self.size_bytes <= wanted:
                return
            victims = {e for e in segment.entries if e.priority == priority and not e.buried}
            try:
                if victims:
                    self._rewrite(segment, victims)
            except OSError as error:  # no room for the smaller file beside the larger one: the next batch tries again
                self.trouble = f"the spool cannot be made smaller: {error.strerror}"

    def _rewrite(self, segment: Segment, victims: set[Entry]) -> None:
        self.dropped_rows += sum(entry.rows for entry in victims.intersection(self._waiting))
        segment.rewrite(lambda entry, raw: tombstone(raw, self._signer) if entry in victims else raw)

    def rebase(self, epoch: int) -> None:
        """Sign everything that waits anew, as a chain of its own in a later epoch.

        For an agent whose state was set back, as by a restored snapshot: the server has batches of its epoch already.
        """
        with self._changed:
            old, self._segments = self._segments, [Segment(self._folder, self._segments[-1].number + 1)]
            waiting, self._waiting = self._waiting, deque()
            self.position = msgspec.structs.replace(self.position, epoch=epoch, sequence=0, previous=b"")
            write_private(self._folder / EPOCH_FILE, f"{epoch} 0".encode())
            for entry in waiting:
                self.append(*_signed_anew(entry.read(), self.position, self._signer))
            for segment in old:
                segment.delete()


def _signed_anew(raw: bytes, position: ChainPosition, signer: Signer) -> tuple[bytes, bytes]:
    envelope, header = decode_envelope(raw)
    moved = msgspec.structs.replace(
        header, epoch=position.epoch, sequence=position.sequence, previous=position.previous
    )
    encoded = msgspec.msgpack.encode(moved)
    signed = msgspec.msgpack.encode(Envelope(encoded, envelope.body, signer.sign(encoded)))
    return (signed if envelope.body else tombstone(signed, signer)), moved.hash()


def _read_pair(path: Path) -> tuple[int, int]:
    """Two numbers from a file, or a pair below all others if it is missing or damaged."""
    try:
        first, second = path.read_text().split()
        return int(first), int(second)
    except (OSError, ValueError):
        return -1, 0
