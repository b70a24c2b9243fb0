"""The windows' rows in the state: written by whoever finds matches, read and let go of by whoever correlates."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa

from tocsin.detect.window.collect import Seen
from tocsin.detect.window.group import Span
from tocsin.detect.window.groups import Evicted
from tocsin.detect.window.match import GroupKey, Match, Slot
from tocsin.detect.window.watermark import Source
from tocsin.detect.window.windows import Told
from tocsin.state.insert import insert
from tocsin.state.tables import window_head, window_mark, window_match, window_source, window_told

__all__ = [
    "SHARES",
    "Arrived",
    "Versions",
    "add_chained",
    "events_of",
    "forget",
    "forget_others",
    "head",
    "keep",
    "kept_matches",
    "kept_told",
    "kept_watermarks",
    "read_after",
    "remember",
    "sources",
]

SHARES: Final = 8  # of all groups; one owner each
_HEAD: Final = "match"
_CHUNK: Final = 400  # bound parameters per statement
_MOST_READ: Final = 5_000

Versions = Mapping[tuple[str, str], str]  # of every org's correlations, by their ids

_slot = msgspec.json.Decoder(Slot).decode
_texts = msgspec.json.Decoder(tuple[str, ...]).decode


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came after a number."""

    head: int  # the number up to which this is all
    matches: list[Match]
    sources: dict[tuple[str, str], Source]


def keep(
    connection: sa.Connection,
    seen: Sequence[Seen],
    progress: Mapping[tuple[str, str], int],
    versions: Versions,
    now_ms: int,
) -> None:
    """Write matches, and how far origins have come, in the transaction that moves the detector's position."""
    pairs = [(match, each.event) for each in seen for match in each.matches]
    number = _next(connection, len(pairs) + 1) - len(pairs) - 1
    rows = [_row(match, number + place, versions, event) for place, (match, event) in enumerate(pairs, 1)]
    if rows:
        connection.execute(sa.insert(window_match), rows)
    if progress:
        _hear(connection, progress, number + len(pairs) + 1, now_ms)


def _next(connection: sa.Connection, by: int) -> int:
    """Move the counter, which no other transaction can until this one has ended; gives what it now says."""
    row = insert(connection, window_head).values(name=_HEAD, number=by)
    moved = row.on_conflict_do_update(index_elements=["name"], set_={"number": window_head.c.number + by})
    return int(connection.execute(moved.returning(window_head.c.number)).scalar_one())


def _row(match: Match, number: int, versions: Versions, event: bytes | None) -> dict[str, object]:
    return {
        "number": number,
        "org": match.org,
        "share": zlib.crc32("\0".join((match.org, match.correlation, *match.group)).encode()) % SHARES,
        "correlation": match.correlation,
        "version": versions[match.org, match.correlation],
        "member": match.member,
        "group": _json(match.group),
        "uid": match.uid,
        "time": match.time,
        "value": _json(match.value),
        "carried": _json(match.carried),
        "event": event,
    }


def _hear(connection: sa.Connection, progress: Mapping[tuple[str, str], int], number: int, now_ms: int) -> None:
    rows = [
        {"org": org, "origin": origin, "seen_until": time, "heard_at": now_ms, "number": number}
        for (org, origin), time in progress.items()
    ]
    heard = insert(connection, window_source)
    newer = {name: heard.excluded[name] for name in ("seen_until", "heard_at", "number")}
    connection.execute(heard.on_conflict_do_update(index_elements=["org", "origin"], set_=newer), rows)


def _json(texts: tuple[object, ...]) -> str:
    return msgspec.json.encode(texts).decode()


def head(connection: sa.Connection) -> int:
    """The last number that was given."""
    return connection.scalar(sa.select(window_head.c.number).where(window_head.c.name == _HEAD)) or 0


def read_after(connection: sa.Connection, number: int, heard: int, versions: Versions) -> Arrived:
    """Matches after one number, in order, and origins that were heard of after the other; not too many at once."""
    until = head(connection)
    found = [*_matches(connection, window_match.c.number > number, versions, _MOST_READ)]
    if len(found) == _MOST_READ:
        # Time must not go on before the matches that are still to be read.
        return Arrived(found[-1].row, found, {})
    return Arrived(until, found, sources(connection, heard))


def sources(connection: sa.Connection, after: int = 0) -> dict[tuple[str, str], Source]:
    """The origins that were heard of after that number."""
    rows = connection.execute(sa.select(window_source).where(window_source.c.number > after))
    return {(row.org, row.origin): Source(row.seen_until, row.heard_at) for row in rows}


def kept_matches(connection: sa.Connection, until: int, versions: Versions) -> Iterator[Match]:
    """The matches up to a number."""
    return _matches(connection, window_match.c.number <= until, versions, None)


def _matches(
    connection: sa.Connection, which: sa.ColumnElement[bool], versions: Versions, most: int | None
) -> Iterator[Match]:
    columns = [column for column in window_match.c if column.name not in ("event", "share")]
    for row in connection.execute(sa.select(*columns).where(which).order_by(window_match.c.number).limit(most)):
        yield Match(
            time=row.time,
            uid=row.uid,
            org=row.org,
            # What another version of the correlation has left means nothing to this one.
            correlation=row.correlation if versions.get((row.org, row.correlation)) == row.version else "",
            member=row.member,
            group=_texts(row.group),
            value=_texts(row.value),
            carried=_texts(row.carried),
            row=row.number,
        )


def kept_told(connection: sa.Connection, versions: Versions) -> dict[tuple[GroupKey, Slot], list[Span]]:
    """What was told, of the correlations as they are."""
    return {
        ((row.org, row.correlation, _texts(row.group)), _slot(row.slot)): [(first, last) for first, last in row.spans]
        for row in connection.execute(sa.select(window_told))
        if versions.get((row.org, row.correlation)) == row.version
    }


def kept_watermarks(connection: sa.Connection) -> dict[str, int]:
    """Up to where anchors are settled, by org."""
    return {row.org: row.watermark for row in connection.execute(sa.select(window_mark))}


def events_of(connection: sa.Connection, numbers: Iterable[int]) -> dict[int, bytes]:
    """The events beside matches."""
    wanted = list(numbers)
    found: dict[int, bytes] = {}
    columns = sa.select(window_match.c.number, window_match.c.event)
    for start in range(0, len(wanted), _CHUNK):
        rows = connection.execute(columns.where(window_match.c.number.in_(wanted[start : start + _CHUNK])))
        found |= {row.number: row.event for row in rows if row.event is not None}
    return found


def remember(connection: sa.Connection, told: Told, watermarks: Mapping[str, int], versions: Versions) -> None:
    """Write what was told, and up to where anchors are settled."""
    rows = [
        {
            "org": key[0],
            "correlation": key[1],
            "version": versions[key[:2]],
            "group": _json(key[2]),
            "slot": _json(slot),
            "spans": spans,
            "until": spans[-1][1],
        }
        for (key, slot), spans in told.items()
    ]
    if rows:
        written = insert(connection, window_told)
        newer = {name: written.excluded[name] for name in ("spans", "until")}
        index = [column.name for column in window_told.primary_key]
        connection.execute(written.on_conflict_do_update(index_elements=index, set_=newer), rows)
    for org, watermark in watermarks.items():
        mark = insert(connection, window_mark).values(org=org, watermark=watermark)
        connection.execute(mark.on_conflict_do_update(index_elements=["org"], set_={"watermark": watermark}))


def add_chained(connection: sa.Connection, matches: Sequence[Match], versions: Versions) -> int:
    """Write firings that are matches of outer correlations; gives the last number."""
    last = _next(connection, len(matches))
    rows = [_row(match, last - place, versions, None) for place, match in enumerate(reversed(matches))]
    if rows:
        connection.execute(sa.insert(window_match), rows)
    return last


def forget(
    connection: sa.Connection,
    horizons: Mapping[tuple[str, str], int],
    evicted: Iterable[Evicted],
    late: Iterable[Match],
) -> None:
    """Let go of what the windows have let go of."""
    match, told = window_match, window_told
    for (org, correlation), before in horizons.items():
        mine = (match.c.org == org) & (match.c.correlation == correlation) & (match.c.time < before)
        connection.execute(sa.delete(match).where(mine))
        mine = (told.c.org == org) & (told.c.correlation == correlation) & (told.c.until < before)
        connection.execute(sa.delete(told).where(mine))
    for each in evicted:
        mine = (match.c.org == each.key[0]) & (match.c.correlation == each.key[1]) & (match.c.time < each.before)
        connection.execute(sa.delete(match).where(mine, match.c.group == _json(each.key[2])))
    numbers = [one.row for one in late]
    for start in range(0, len(numbers), _CHUNK):
        connection.execute(sa.delete(match).where(match.c.number.in_(numbers[start : start + _CHUNK])))


def forget_others(connection: sa.Connection, versions: Versions) -> None:
    """Let go of what correlations have left that there are no more, or that say something else now."""
    for table in (window_match, window_told):
        kept = sa.select(table.c.org, table.c.correlation, table.c.version).distinct()
        for org, correlation, version in connection.execute(kept).all():
            if versions.get((org, correlation)) != version:
                mine = (table.c.org == org) & (table.c.correlation == correlation) & (table.c.version == version)
                connection.execute(sa.delete(table).where(mine))
