"""Indicators that have just arrived against what is stored: the same matching as live, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tocsin.columnar.flat import column_at, flat, flat_columns
from tocsin.columnar.frame import events_at
from tocsin.intel.columns import WATCHED
from tocsin.intel.finding import Sighting, findings_of
from tocsin.intel.match import Matcher
from tocsin.model.finding import Finding
from tocsin.model.schema import CLASSES, RECORDS
from tocsin.ports import Piece

__all__ = ["findings_in", "new_rows"]


def findings_in(matcher: Matcher, pieces: Iterable[Piece], since: int, until: int) -> Iterator[Finding]:
    """What of the pieces' events in that span of time (ms) is listed, marked as found in history."""
    for piece in pieces:
        sightings = _sightings(matcher, piece, since, until)
        if sightings:
            rows = sorted(sightings)
            everything = {attribute.path for attribute in CLASSES[piece.class_uid].attributes} | {RECORDS}
            frame = flat(piece.pick(rows, everything), piece.class_uid)
            events = events_at(frame, range(len(rows)))
            seen = zip(events, map(sightings.__getitem__, rows), strict=True)
            # Suppressions have yet to look at every event.
            yield from findings_of(seen, historic=True, whole=len(rows))


def _sightings(matcher: Matcher, piece: Piece, since: int, until: int) -> dict[int, list[Sighting]]:
    paths = [watch.path for watch in WATCHED[piece.class_uid]]
    if not paths or not len(piece):
        return {}
    rows = piece.read(["time", *paths])
    time = column_at(rows, "time").to_numpy()
    inside = (time >= since) & (time < until)
    if not inside.any():
        return {}
    found = matcher.sightings(piece.class_uid, flat_columns(rows, paths))
    return {row: listed for row, listed in found.items() if inside[row]}


def new_rows(rows: pa.Table, first_seen_at: int) -> pa.Table:
    """The indicators that were listed first at that time (s)."""
    return rows.filter(pc.equal(rows["first_seen"], np.uint32(first_seen_at)))
