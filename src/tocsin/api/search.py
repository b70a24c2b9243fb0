"""Searching events: a SQL boolean expression, a span of time, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from tocsin.model.errors import BadInput
from tocsin.model.event import Event, Json, Value, nest
from tocsin.model.schema import CLASSES, RECORDS
from tocsin.model.wire import PlainRecord
from tocsin.ports import Query, Selection

__all__ = ["MAX_PAGE", "EventPage", "document", "event_page"]

MAX_PAGE = 1_000


class EventPage(msgspec.Struct, frozen=True):
    """Events in OCSF's nested form, newest first, and the cursor of the next page; no cursor after the last one."""

    events: list[dict[str, Json]]
    cursor: str | None


class _Cursor(msgspec.Struct, array_like=True):
    """The time of the last event given, and the ids of all given of that very millisecond."""

    time: int
    given: list[str]


def event_page(query: Query, wanted: Selection, cursor: str = "") -> EventPage:
    """One page of matching events; no event comes twice, though many may share a millisecond.

    Raises:
        BadInput: the cursor is none that a page gave.
    """
    after = _decode(cursor) if cursor else _Cursor(wanted.until, [])
    until = after.time + 1 if cursor else wanted.until
    given = set(after.given)
    selection = msgspec.structs.replace(wanted, until=until, limit=wanted.limit + len(given) + 1)
    rows = [row for row in query.events(selection) if row.get("metadata.uid") not in given]
    shown = rows[: wanted.limit]
    more = len(rows) > wanted.limit
    return EventPage([document(row) for row in shown], _encode(shown, after) if more else None)


def _encode(shown: list[dict[str, object]], after: _Cursor) -> str:
    last = int(str(shown[-1]["time"]))
    given = [str(row["metadata.uid"]) for row in shown if row["time"] == last]
    cursor = _Cursor(last, given + (after.given if last == after.time else []))
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _decode(cursor: str) -> _Cursor:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=_Cursor)
    except (binascii.Error, ValueError) as error:
        raise BadInput("the cursor is not one that an earlier page gave") from error


def document(row: Mapping[str, object]) -> dict[str, Json]:
    """A flat row of a query as the nested event that it stands for."""
    class_uid = int(str(row["class_uid"]))
    paths = CLASSES[class_uid].paths
    values: dict[str, Value] = {
        path: value for path, value in row.items() if path in paths and isinstance(value, str | int)
    }
    return nest(Event(class_uid, values, _records(row.get(RECORDS))))


def _records(stored: object) -> tuple[PlainRecord, ...]:
    found = msgspec.convert(stored or [], list[dict[str, str]])
    fields = [(each["type"], {key: value for key, value in each.items() if key != "type"}) for each in found]
    return tuple(PlainRecord(kind, tuple(named), tuple(named.values())) for kind, named in fields)
