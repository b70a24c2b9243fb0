"""The feeds' indicators against what events hold: every distinct value is judged once and remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tocsin.columnar.frame import Frame, events_at
from tocsin.intel.address import (
    FULL,
    Numbers,
    ipv4_numbers,
    network,
    network_text,
    numbers,
    packed,
    prefix_keys_of,
    reserved,
)
from tocsin.intel.candidates import candidates, host_form
from tocsin.intel.columns import NAMED, WATCHED, Holds, Watch
from tocsin.intel.finding import Sighting, findings_of
from tocsin.intel.index import FeedIndex, KeyFilter, Listing
from tocsin.intel.indicator import Kind
from tocsin.intel.keys import text_keys
from tocsin.intel.value import parents
from tocsin.model.finding import Finding

__all__ = ["Matcher"]

_REMEMBERED: Final = 65_536  # values per kind of attribute; a hundred bytes each
_WHOLE: Final = np.array([FULL], np.int64)
_ADDRESSES: Final = (Kind.IP, Kind.CIDR)

Found = tuple[tuple[str, Listing], ...]  # each with the value in the text that it is listed for
_Codes = npt.NDArray[np.int64]


class _Asked(msgspec.Struct, frozen=True):
    """Values to be looked up, each with the number of the text that it is from."""

    owners: Sequence[int]
    values: Sequence[str]


class Matcher:
    """A fixed set of feeds. What it finds does not depend on how events are split into batches."""

    def __init__(self, feeds: Iterable[FeedIndex]) -> None:
        self.feeds: Final = tuple(feed for feed in feeds if len(feed))
        self._filter = KeyFilter([feed.keys for feed in self.feeds])
        # Networks are few: what tells that an address is in none of them stays in the processor's cache.
        self._networks = KeyFilter([feed.network_keys for feed in self.feeds])
        self._lengths = np.array(sorted({length for feed in self.feeds for length in feed.lengths}), np.int64)
        kinds = frozenset(kind for feed in self.feeds for kind in feed.kinds)
        self._sought = frozenset(holds for holds in Holds if NAMED[holds] & kinds)
        # What has been judged, and what of it is listed. A dictionary may hold a null, which is not.
        self._judged: dict[Holds, set[str | None]] = {holds: {None} for holds in Holds}
        self._listed: dict[Holds, dict[str, Found]] = {holds: {} for holds in Holds}

    def __len__(self) -> int:
        return sum(map(len, self.feeds))

    @property
    def size_bytes(self) -> int:
        """How much memory feeds and filter take."""
        return self._filter.size_bytes + self._networks.size_bytes + sum(feed.size_bytes for feed in self.feeds)

    def findings(self, frames: Mapping[int, Frame], *, historic: bool = False) -> list[Finding]:
        """One finding for each event and indicator that it holds."""
        if not self.feeds:
            return []
        return [finding for frame in frames.values() for finding in self._findings(frame, historic=historic)]

    def _findings(self, frame: Frame, *, historic: bool) -> Iterator[Finding]:
        sightings = self.sightings(frame.class_uid, frame.table)
        if sightings:
            rows = sorted(sightings)
            seen = zip(events_at(frame, rows), map(sightings.__getitem__, rows), strict=True)
            yield from findings_of(seen, historic=historic)

    def sightings(self, class_uid: int, table: pa.Table) -> dict[int, list[Sighting]]:
        """By row of a flat table, what of it is listed; whether that holds for the event is not yet said."""
        found: dict[int, list[Sighting]] = {}
        names = frozenset(table.column_names)
        for watch in WATCHED[class_uid]:
            if watch.holds in self._sought and watch.path in names:
                for row, listed in self._rows(watch, table.column(watch.path)):
                    found.setdefault(row, []).extend(Sighting(watch, value, listing) for value, listing in listed)
        return found

    def _rows(self, watch: Watch, column: pa.ChunkedArray) -> Iterator[tuple[int, Found]]:
        array = column.combine_chunks()
        encoded = array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()
        listed = self._find(watch.holds, encoded.dictionary)
        if listed:
            codes: _Codes = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
            for row in np.flatnonzero(np.isin(codes, list(listed))).tolist():
                yield row, listed[int(codes[row])]

    def _find(self, holds: Holds, dictionary: pa.Array) -> dict[int, Found]:
        """By code, what is listed of the dictionary's values."""
        if holds is Holds.COMMAND:
            return self._find_in_commands(dictionary)
        texts = dictionary.to_pylist()
        judged = self._judged[holds]
        if fresh := [text for text in texts if text not in judged]:
            self._remember(holds, fresh, texts)
        listed = self._listed[holds]
        if listed.keys().isdisjoint(texts):
            return {}
        return {code: listed[text] for code, text in enumerate(texts) if text in listed}

    def _find_in_commands(self, dictionary: pa.Array) -> dict[int, Found]:
        # Hardly any command line has a URL in it, and looking for `://` costs less than remembering.
        some = _with_url(dictionary)
        found = self._judge(Holds.COMMAND, [dictionary[code].as_py() for code in some]) if some else {}
        return {some[place]: tuple(listed) for place, listed in found.items()}

    def _remember(self, holds: Holds, fresh: list[str], texts: Iterable[str | None]) -> None:
        judged, listed = self._judged[holds], self._listed[holds]
        if len(judged) + len(fresh) > _REMEMBERED:
            judged.clear()
            judged.add(None)
            listed.clear()
            fresh = [text for text in texts if text is not None]
        judged.update(fresh)
        for place, found in self._judge(holds, fresh).items():
            listed[fresh[place]] = tuple(found)

    def _judge(self, holds: Holds, texts: Sequence[str]) -> dict[int, list[tuple[str, Listing]]]:
        """By place in `texts`, what is listed."""
        found: dict[int, list[tuple[str, Listing]]] = {}
        for owner, value, listing in self._look_up(_asked(holds, texts)):
            found.setdefault(owner, []).append((value, listing))
        return found

    def _look_up(self, asked: Mapping[Kind, _Asked]) -> Iterator[tuple[int, str, Listing]]:
        for kind, some in asked.items():
            if kind is Kind.IP:
                yield from self._look_up_addresses(some)
            else:
                keys = text_keys(kind, some.values)
                maybe = np.flatnonzero(self._filter.may_hold(keys))
                for feed in self.feeds if len(maybe) else ():
                    for place, listing in feed.find(keys[maybe]):
                        at = int(maybe[place])
                        if listing.kind is kind and listing.value == some.values[at]:
                            yield some.owners[at], some.values[at], listing

    def _look_up_addresses(self, asked: _Asked) -> Iterator[tuple[int, str, Listing]]:
        asked, (upper, lower) = _addresses(asked)
        if not len(upper):
            return
        exact = prefix_keys_of(upper, lower, _WHOLE)
        within = prefix_keys_of(upper[:, None], lower[:, None], self._lengths[None, :])
        rows, places = np.nonzero(self._networks.may_hold(within))
        itself = np.flatnonzero(self._filter.may_hold(exact))
        rows, keys = np.concatenate((itself, rows)), np.concatenate((exact[itself], within[rows, places]))
        for feed in self.feeds if len(rows) else ():
            for place, listing in feed.find(keys):
                at = int(rows[place])
                address = int(upper[at]).to_bytes(8, "big") + int(lower[at]).to_bytes(8, "big")
                value = network_text(address, FULL)
                if _within(address, listing) and (feed.feed.private or not reserved(value)):
                    yield asked.owners[at], value, listing


def _addresses(asked: _Asked) -> tuple[_Asked, tuple[Numbers, Numbers]]:
    """What of the values are addresses, and these as numbers."""
    quick = ipv4_numbers(asked.values)
    if quick is not None:
        return asked, quick
    found = [
        (owner, value, number)
        for owner, value in zip(asked.owners, asked.values, strict=True)
        if (number := packed(value)) is not None
    ]
    kept = _Asked([owner for owner, _, _ in found], [value for _, value, _ in found])
    return kept, numbers([number for _, _, number in found])


def _with_url(texts: pa.StringArray) -> list[int]:
    """Which of the texts have `://` in them, or hardly any other; all bytes are looked at together."""
    texts = texts if texts.type == pa.string() else texts.cast(pa.string())
    _, offsets, content = texts.buffers()
    if content is None:
        return []
    edges = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    found = np.frombuffer(content, np.uint8)[: edges[-1]]
    colons = np.flatnonzero(found[:-2] == ord(":"))
    at = colons[(found[colons + 1] == ord("/")) & (found[colons + 2] == ord("/")) & (colons >= edges[0])]
    rows: list[int] = np.unique(np.searchsorted(edges, at, side="right") - 1).tolist()
    return rows


def _asked(holds: Holds, texts: Sequence[str]) -> dict[Kind, _Asked]:
    if holds is Holds.ADDRESS:
        return {Kind.IP: _Asked(range(len(texts)), texts)}
    if holds is Holds.NAME:
        return _asked_names(texts)
    found: dict[Kind, tuple[list[int], list[str]]] = {}
    for owner, text in enumerate(texts):
        for kind, value in candidates(holds, text):
            owners, values = found.setdefault(kind, ([], []))
            owners.append(owner)
            values.append(value)
    return {kind: _Asked(*each) for kind, each in found.items()}


def _asked_names(texts: Sequence[str]) -> dict[Kind, _Asked]:
    """The same as for all others, written out: there are many names, and most are new."""
    names = [host_form(text) for text in texts]
    above = [parents(name) for name in names]
    owners = [owner for owner, found in enumerate(above) for _ in found]
    numeric = [owner for owner, name in enumerate(names) if ":" in name or name[-1:].isdigit()]
    return {
        Kind.DOMAIN: _Asked(owners, [name for found in above for name in found]),
        Kind.IP: _Asked(numeric, [names[owner] for owner in numeric]),
    }


def _within(address: bytes, listing: Listing) -> bool:
    if listing.kind not in _ADDRESSES:
        return False
    first, length = network(listing.value) or (b"", 0)
    shift = FULL - length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(first, "big") >> shift
