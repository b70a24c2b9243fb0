"""One feed's indicators, ready to be looked up by key."""

from __future__ import annotations

from copy import copy
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.intel.address import FULL, network
from tocsin.intel.indicator import Kind
from tocsin.intel.keys import Keys, indicator_keys, rows_of
from tocsin.intel.table import kinds_of

__all__ = ["Feed", "FeedIndex", "KeyFilter", "Listing"]

_BITS_PER_KEY: Final = 32
_FEWEST_BITS: Final = 16  # as a power of two: 8 KB, which is always at hand


class Feed(msgspec.Struct, frozen=True):
    """What a match says of the feed that it is found in."""

    org: str  # empty: every org's
    name: str
    level: str
    fetched_at: int  # ms
    private: bool = False  # whether private and own addresses may match


class Listing(msgspec.Struct, frozen=True):
    """One indicator as one feed lists it. Times are seconds since the epoch, 0 is none."""

    feed: Feed
    kind: Kind
    value: str
    confidence: int | None
    first_seen: int
    valid_from: int
    valid_until: int
    tags: tuple[str, ...]
    source: str


class FeedIndex:
    """The indicators of a feed that no warning list hides, sorted by key.

    lengths: the prefix lengths, out of 128, that its networks have.
    kinds: what it lists.
    """

    def __init__(self, feed: Feed, rows: pa.Table) -> None:
        self.feed = feed
        shown = rows.filter(pc.is_null(rows["hidden"])) if rows["hidden"].null_count < rows.num_rows else rows
        self._rows = shown.drop_columns(["hidden"])
        keys = indicator_keys(self._rows)
        self.network_keys: Final[Keys] = keys[rows_of(self._rows, Kind.CIDR)]
        self._order = np.argsort(keys, kind="stable").astype(np.int32)
        self.keys: Final[Keys] = keys[self._order]
        self.lengths: Final = _lengths(self._rows)
        self.kinds: Final = frozenset(Kind(name) for name in kinds_of(self._rows))

    def __len__(self) -> int:
        return len(self.keys)

    def of_feed(self, feed: Feed) -> FeedIndex:
        """The same indicators, of a feed about which something else is known by now."""
        same = copy(self)
        same.feed = feed
        return same

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        return int(self._rows.nbytes + self.keys.nbytes + self._order.nbytes)

    def find(self, keys: Keys) -> list[tuple[int, Listing]]:
        """The indicators that have one of the keys, each with the key's place; the caller compares the values."""
        if not len(self.keys):
            return []
        first = np.searchsorted(self.keys, keys)
        # Nearly all that is asked for is not here, and each search misses every cache: one is enough to see that.
        places = np.flatnonzero(self.keys[np.minimum(first, len(self.keys) - 1)] == keys)
        last = np.searchsorted(self.keys, keys[places], side="right")
        found = zip(places.tolist(), first[places].tolist(), last.tolist(), strict=True)
        return [(at, self.listing(int(self._order[entry]))) for at, low, high in found for entry in range(low, high)]

    def listing(self, row: int) -> Listing:
        """One indicator whole."""
        values = {name: column[row].as_py() for name, column in zip(self._rows.column_names, self._rows, strict=True)}
        tags = tuple((values["tags"] or "").split("\n")) if values["tags"] else ()
        return Listing(
            self.feed,
            Kind(values["kind"]),
            values["value"],
            values["confidence"],
            values["first_seen"],
            values["valid_from"],
            values["valid_until"],
            tags,
            values["source"] or "",
        )


def _lengths(rows: pa.Table) -> frozenset[int]:
    networks = rows["value"].take(pa.array(rows_of(rows, Kind.CIDR))).to_pylist()
    return frozenset(length for text in networks for _, length in [network(text) or (b"", FULL)])


class KeyFilter:
    """Tells quickly of most keys that no feed has them: 4 MB for a million, and 1 in 32 passes by mistake."""

    def __init__(self, keys: list[Keys]) -> None:
        total = sum(map(len, keys))
        size = 1 << max(_FEWEST_BITS, (total * _BITS_PER_KEY - 1).bit_length())
        self._mask = np.int64(size - 1)
        self._bits = np.zeros(size >> 3, np.uint8)
        for some in keys:
            at = some & self._mask
            np.bitwise_or.at(self._bits, at >> 3, (1 << (at & 7)).astype(np.uint8))

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        return int(self._bits.nbytes)

    def may_hold(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of the keys some feed may have."""
        at = keys & self._mask
        found: npt.NDArray[np.bool_] = (self._bits[at >> 3] >> (at & 7).astype(np.uint8)) & 1 != 0
        return found
