"""Warning lists over indicators: which list says of an indicator that it is harmless."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.intel.address import FULL, network, numbers, prefix_keys, prefix_keys_of
from tocsin.intel.indicator import Kind
from tocsin.intel.keys import rows_of
from tocsin.intel.read.warning_list import WarningList
from tocsin.intel.value import domain, host_of, parents

__all__ = ["hidden_by"]

_ADDRESSES: Final = (Kind.IP, Kind.CIDR)
_ROWS: Final = 65_536  # judged at a time
_PHP: Final = re.compile(r"^/(.*)/([imsxu]*)$", re.DOTALL)
_Texts = Sequence[str]
_Judge = Callable[[Kind, _Texts], npt.NDArray[np.bool_]]


def hidden_by(rows: pa.Table, lists: Iterable[tuple[str, WarningList]]) -> list[str | None]:
    """For each indicator the name of the first list that hides it, or None."""
    hidden: list[str | None] = [None] * rows.num_rows
    for name, warning_list in lists:
        judge = _JUDGES[warning_list.type](warning_list)
        for kind in sorted(warning_list.kinds):
            for places, texts in _some(rows, kind):
                for place in places[judge(kind, texts)].tolist():
                    hidden[place] = hidden[place] or name
    return hidden


def _some(rows: pa.Table, kind: Kind) -> Iterator[tuple[npt.NDArray[np.int64], list[str]]]:
    places = rows_of(rows, kind)
    for start in range(0, len(places), _ROWS):
        some = places[start : start + _ROWS]
        yield some, rows["value"].take(pa.array(some)).to_pylist()


def _by_network(warning_list: WarningList) -> _Judge:
    networks = [found for entry in warning_list.entries if (found := network(entry.strip())) is not None]
    lengths = np.array(sorted({length for _, length in networks}), np.int64)
    known = np.unique(prefix_keys([first for first, _ in networks], np.array([n for _, n in networks], np.int64)))

    def judge(kind: Kind, texts: _Texts) -> npt.NDArray[np.bool_]:
        if kind not in _ADDRESSES or not len(known):
            return np.zeros(len(texts), np.bool_)
        found = [network(text) or (bytes(16), FULL) for text in texts]
        upper, lower = numbers([first for first, _ in found])
        own = np.array([length for _, length in found], np.int64)
        keys = prefix_keys_of(upper[:, None], lower[:, None], lengths[None, :])
        # A network is harmless where all of it is: the list's network may not be the smaller one.
        inside = np.isin(keys, known) & (lengths[None, :] <= own[:, None])
        return np.asarray(inside.any(axis=1))

    return judge


def _by_text(warning_list: WarningList) -> _Judge:
    exact = {entry.strip().lower() for entry in warning_list.entries}
    exact |= {found for entry in warning_list.entries if (found := domain(entry.strip())) is not None}
    by_network = _by_network(warning_list)

    def judge(kind: Kind, texts: _Texts) -> npt.NDArray[np.bool_]:
        if kind in _ADDRESSES:
            return by_network(kind, texts)
        return _truths(text.lower() in exact for text in texts)

    return judge


def _by_host(warning_list: WarningList) -> _Judge:
    # An entry is a name, or a name with a dot before it.
    names = {found for entry in warning_list.entries if (found := domain(entry.strip().lstrip("."))) is not None}

    def harmless(kind: Kind, text: str) -> bool:
        host = host_of(text) if kind is Kind.URL else text
        return any(parent in names for parent in parents(host or ""))

    return lambda kind, texts: _truths(kind in (Kind.URL, Kind.DOMAIN) and harmless(kind, text) for text in texts)


def _by_part(warning_list: WarningList) -> _Judge:
    parts = [re.escape(entry) for entry in warning_list.entries if entry]
    return _by_patterns(["|".join(parts[start : start + 500]) for start in range(0, len(parts), 500)])


def _by_regex(warning_list: WarningList) -> _Judge:
    patterns = []
    for entry in warning_list.entries:
        php = _PHP.match(entry.strip())
        flags = "".join(sorted(set(php[2]) & set("ims"))) if php else "i"
        patterns.append(f"(?{flags}){php[1]}" if php and flags else php[1] if php else f"(?i){entry}")
    return _by_patterns(patterns)


def _by_patterns(patterns: Sequence[str]) -> _Judge:
    """By RE2, whose time is bounded; what it cannot read matches nothing."""
    usable = [pattern for pattern in patterns if _compiles(pattern)]

    def judge(_kind: Kind, texts: _Texts) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(texts), np.bool_)
        column = pa.array(texts, pa.string())
        for pattern in usable:
            found |= pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False)
        return found

    return judge


def _compiles(pattern: str) -> bool:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid:
        return False
    return True


def _truths(found: Iterable[bool]) -> npt.NDArray[np.bool_]:
    return np.array(list(found), np.bool_)


_JUDGES: Final[dict[str, Callable[[WarningList], _Judge]]] = {
    "string": _by_text,
    "cidr": _by_network,
    "hostname": _by_host,
    "substring": _by_part,
    "regex": _by_regex,
}
