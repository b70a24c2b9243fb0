"""64-bit keys of indicators and of what events hold: equal where the two may be the same, and confirmed afterwards.

Keys are salted per process and never stored, so that nobody can write a feed, or make traffic, whose keys collide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.intel.address import FULL, network, packed, prefix_keys
from tocsin.intel.indicator import Kind

__all__ = ["Keys", "indicator_keys", "rows_of", "text_keys"]

Keys = npt.NDArray[np.int64]

_SALTS: Final = {kind: np.int64(hash(f"tocsin {kind.value}")) for kind in Kind}
_ROWS: Final = 65_536  # made Python texts of at a time


def text_keys(kind: Kind, texts: Sequence[str]) -> Keys:
    """A key for each text of that kind; Python's own hash of texts is salted."""
    keys: Keys = np.fromiter(map(hash, texts), np.int64, len(texts)) ^ _SALTS[kind]
    return keys


def rows_of(rows: pa.Table, kind: Kind) -> npt.NDArray[np.int64]:
    """The numbers of the rows of that kind."""
    found: npt.NDArray[np.int64] = pc.indices_nonzero(pc.equal(rows["kind"], kind.value)).to_numpy().astype(np.int64)
    return found


def indicator_keys(rows: pa.Table) -> Keys:
    """The key of each row of a table of indicators."""
    keys = np.zeros(rows.num_rows, np.int64)
    special = {Kind.IP: _address_keys, Kind.CIDR: _network_keys}
    for kind in Kind:
        keys_of = special.get(kind, partial(text_keys, kind))
        places = rows_of(rows, kind)
        for start in range(0, len(places), _ROWS):
            some = places[start : start + _ROWS]
            keys[some] = keys_of(rows["value"].take(pa.array(some)).to_pylist())
    return keys


def _address_keys(texts: Sequence[str]) -> Keys:
    return prefix_keys([packed(text) or bytes(16) for text in texts], np.full(len(texts), FULL, np.int64))


def _network_keys(texts: Sequence[str]) -> Keys:
    networks = [network(text) or (bytes(16), FULL) for text in texts]
    lengths = np.array([length for _, length in networks], np.int64)
    return prefix_keys([first for first, _ in networks], lengths)
