"""64-bit keys of indicators and of what events hold: equal where the two may be the same, and confirmed afterwards.

Keys are salted per process and never stored, so that nobody can write a feed, or make traffic, whose keys collide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.intel.address import FULL, network, prefix_keys
from tocsin.intel.indicator import Kind

__all__ = ["Keys", "address_rows", "indicator_keys", "text_keys"]

Keys = npt.NDArray[np.int64]
_KeysOf = Callable[[Sequence[str]], Keys]

_SALTS: Final = {kind: np.int64(hash(f"tocsin {kind.value}")) for kind in Kind}
_ROWS: Final = 65_536  # made Python texts of at a time


def text_keys(kind: Kind, texts: Sequence[str]) -> Keys:
    """A key for each text of that kind; Python's own hash of texts is salted."""
    keys: Keys = np.fromiter(map(hash, texts), np.int64, len(texts)) ^ _SALTS[kind]
    return keys


def address_rows(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows are addresses or networks."""
    kinds = pc.is_in(rows["kind"].cast(pa.string()), pa.array([Kind.IP.value, Kind.CIDR.value]))
    found: npt.NDArray[np.bool_] = kinds.to_numpy(zero_copy_only=False)
    return found


def indicator_keys(rows: pa.Table) -> Keys:
    """The key of each row of a table of indicators."""
    keys = np.zeros(rows.num_rows, np.int64)
    kinds = rows["kind"].cast(pa.string())
    addresses = address_rows(rows)
    _fill(keys, addresses, rows, _network_keys)
    for kind in Kind:
        if kind not in (Kind.IP, Kind.CIDR):
            chosen = pc.equal(kinds, kind.value).to_numpy(zero_copy_only=False)
            _fill(keys, chosen, rows, partial(text_keys, kind))
    return keys


def _fill(keys: Keys, chosen: npt.NDArray[np.bool_], rows: pa.Table, keys_of: _KeysOf) -> None:
    places = np.flatnonzero(chosen)
    for start in range(0, len(places), _ROWS):
        some = places[start : start + _ROWS]
        keys[some] = keys_of(rows["value"].take(pa.array(some)).to_pylist())


def _network_keys(texts: Sequence[str]) -> Keys:
    networks = [network(text) or (bytes(16), FULL) for text in texts]
    lengths = np.array([length for _, length in networks], np.int64)
    return prefix_keys([first for first, _ in networks], lengths)
