"""What the stages need from the outside, as promises; `adapters` keeps them, `wiring` chooses.

The state is no port of its own: SQLAlchemy is the seam between SQLite and PostgreSQL, and the tables are in `state`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

    from tocsin.model.condition import Condition

__all__ = [
    "Clock",
    "EventLog",
    "Lake",
    "LakePosition",
    "LogEntry",
    "NewEntry",
    "Notifier",
    "Piece",
    "Query",
    "Selection",
]


class NewEntry(msgspec.Struct, frozen=True, gc=False):
    """A batch to be appended: its sealed envelope, and what partitions and orders it."""

    org: str
    origin: str
    epoch: int
    sequence: int
    received_at: int  # ms
    payload: bytes


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """A batch in the log."""

    partition: int
    offset: int
    org: str
    origin: str
    epoch: int
    sequence: int
    received_at: int  # ms
    payload: bytes


class EventLog(Protocol):
    """A replayable log of batches, in order within a partition; all of one (org, origin) is in one partition."""

    @property
    def partitions(self) -> int:
        """How many partitions there are, numbered from 0."""
        ...

    def append(self, entries: Sequence[NewEntry]) -> list[tuple[int, int]]:
        """Append all or none, durably (synced) before returning; gives (partition, offset) of each.

        Raises:
            OutOfSpace, Unreachable: nothing was appended.
        """
        ...

    def read(self, partition: int, offset: int, *, max_bytes: int, wait_s: float = 0.0) -> list[LogEntry]:
        """Entries from `offset` on, in order; waits up to `wait_s` for the first one.

        Always gives at least one if there is one, however large.
        """
        ...

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset still kept, and the offset that the next entry will get."""
        ...

    def offset_at(self, partition: int, time_ms: int) -> int:
        """The first offset received at or after that time."""
        ...

    def trim(self, partition: int, before: int) -> None:
        """Forget entries below that offset."""
        ...

    def close(self) -> None: ...


class LakePosition(msgspec.Struct, frozen=True):
    """Up to where the lake holds the log: next offset per partition, and the last (epoch, sequence) taken per origin.

    The origin's key is "org/origin", so that a batch that the log holds twice is stored once.
    """

    offsets: dict[int, int]
    taken: dict[str, tuple[int, int]]


class Lake(Protocol):
    """Event tables on files, one table per class; an append and its position become visible together."""

    def position(self, class_uid: int) -> LakePosition:
        """What the class's table holds, from its current snapshot."""
        ...

    def append(self, class_uid: int, rows: pa.Table, position: LakePosition) -> None:
        """Write rows (of `columnar.nested`) to files, sync them, commit them and the position in one snapshot.

        Raises:
            OutOfSpace: nothing was committed.
            Fenced: a newer writer committed meanwhile.
        """
        ...

    def compact(self, class_uid: int) -> int:
        """Merge small files of closed days into large ones; gives the number of files that went away."""
        ...

    def expire(self, class_uid: int, before_ms: int) -> int:
        """Drop whole days before that time; gives the number of files that went away."""
        ...


class Selection(msgspec.Struct, frozen=True):
    """What to look for in the events of one org."""

    org: str
    since: int  # ms, inclusive
    until: int  # ms, exclusive
    condition: Condition | None = None
    class_uids: tuple[int, ...] = ()  # empty: all classes
    limit: int = 100
    newest_first: bool = True


class Query(Protocol):
    """Reads events: the lake's files and the hot rows that no file holds yet, as one."""

    def events(self, selection: Selection) -> list[dict[str, object]]:
        """Matching events as flat rows (path -> value) with `class_uid`, ordered by time."""
        ...

    def count(self, selection: Selection) -> int:
        """How many events match; the limit is ignored."""
        ...

    def histogram(self, selection: Selection, bins: int) -> list[tuple[int, int]]:
        """Number of matching events per equal span of time: (start ms, count), empty spans included."""
        ...

    def by_uid(self, org: str, uids: Sequence[str]) -> list[dict[str, object]]:
        """Events by their ids."""
        ...


class Piece(Protocol):
    """Some stored rows of one class and org, by time; a process of its own may read them."""

    @property
    def class_uid(self) -> int: ...

    def __len__(self) -> int: ...

    def read(self, paths: Collection[str]) -> pa.Table:
        """These paths of all rows, nested; paths that the rows lack are left out."""
        ...

    def pick(self, rows: Sequence[int], paths: Collection[str]) -> pa.Table:
        """The same of some rows, by their ascending numbers."""
        ...

    def grams(self) -> Sequence[bytes]:
        """What `columnar.grams` says of the rows, one part after the other; an empty one says nothing."""
        ...


class Notifier(Protocol):
    """Sends one notification; called at least once per notification, the key is the same at every try."""

    def send(self, key: str, payload: Mapping[str, object], now_s: float) -> None:
        """Deliver, or raise.

        Raises:
            Unreachable: try later.
            BadInput: the receiver refuses for good.
        """
        ...


class Clock(Protocol):
    """Wall time and sleeping, apart from the time of events."""

    def now_ms(self) -> int: ...

    def sleep(self, seconds: float) -> None: ...
