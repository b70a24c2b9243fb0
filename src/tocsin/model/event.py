"""One event, flat in memory and nested at the edge."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from tocsin.model.errors import InvalidEvent
from tocsin.model.schema import CLASSES, OCSF_VERSION, RECORDS, Kind, attribute

__all__ = ["DEFAULTS", "Event", "Json", "Record", "RefusedLine", "Value", "batch_id", "event_uid", "flatten", "nest"]

Value = str | int | bool
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

# What an event has where its source says nothing: everywhere, for the detector as in the lake.
DEFAULTS = {"activity_id": 0, "severity_id": 1}
_SEVERITIES = {0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"}
_STATUSES = {1: "Success", 2: "Failure"}


class Record(Protocol):
    """One record of the source's original, e.g. an audit SYSCALL: a type, and values in the order of their keys."""

    @property
    def type(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> Sequence[str]: ...


class Event(msgspec.Struct, gc=False):
    """An event of one class: dotted path -> value, nulls left out; and the source's records, if it has any.

    `shared` holds attributes that many events have in common, such as those of one acting process: the same dict object
    in all of them, encoded once per batch. No path is in both.
    """

    class_uid: int
    values: dict[str, Value]
    records: Sequence[Record] = ()
    shared: dict[str, Value] = {}

    def attributes(self) -> dict[str, Value]:
        """All attributes, shared ones included."""
        return self.shared | self.values if self.shared else self.values


class RefusedLine(msgspec.Struct, frozen=True):
    """A line of input that could not be read as an event; lines count from 1."""

    line: int
    reason: str
    text: bytes


def batch_id(org: str, origin: str, epoch: int, sequence: int) -> str:
    """16 hex digits that name a batch: where it came from and its place in the sender's sequence."""
    return hashlib.sha256(f"{org}\0{origin}\0{epoch}\0{sequence}".encode()).hexdigest()[:16]


def event_uid(time_ms: int, batch: str, row: int) -> str:
    """The event's id: sorts by time, and names the batch it came in and its row there."""
    return f"{time_ms:012x}{row:05x}-{batch}"


def nest(event: Event) -> dict[str, Json]:
    """The event in OCSF's own nested form, with everything that follows from class and activity filled in.

    Raises:
        InvalidEvent: unknown class, or a path that runs through a value.
    """
    nested: dict[str, Json] = {}
    for path, value in _derived(event).items():
        _put(nested, path, value)
    for path, value in event.attributes().items():
        known = attribute(path)
        _put(nested, path, msgspec.json.decode(str(value)) if known and known.kind is Kind.JSON else value)
    if event.records:
        _put(nested, RECORDS, [_record(r) for r in event.records])
    return nested


def _derived(event: Event) -> dict[str, Json]:
    event_class = CLASSES.get(event.class_uid)
    if event_class is None:
        raise InvalidEvent(f"unknown event class {event.class_uid}")
    values = event.attributes()
    activity = int(values.get("activity_id", DEFAULTS["activity_id"]))
    severity = int(values.get("severity_id", DEFAULTS["severity_id"]))
    derived: dict[str, Json] = {
        "activity_id": activity,
        "activity_name": event_class.activities.get(activity, "Other"),
        "category_name": event_class.category,
        "category_uid": event_class.category_uid,
        "class_name": event_class.caption,
        "class_uid": event_class.uid,
        "type_uid": event_class.type_uid(activity),
        "type_name": f"{event_class.caption}: {event_class.activities.get(activity, 'Other')}",
        "severity_id": severity,
        "severity": _SEVERITIES.get(severity, "Other"),
        "metadata.version": OCSF_VERSION,
        "metadata.product.name": "Tocsin",
        "metadata.product.vendor_name": "Tocsin",
        "metadata.profiles": _profiles(values),
    }
    status = values.get("status_id")
    if status is not None:
        derived["status"] = _STATUSES.get(int(status), "Other")
    return derived


def _profiles(values: Mapping[str, Value]) -> list[Json]:
    profiles: list[Json] = ["host"]
    if any(path.endswith(("process.euid", "process.auid")) for path in values):
        profiles.append("linux/linux_users")
    if any(".container." in path for path in values):
        profiles.append("container")
    if any(path.startswith("cloud.") for path in values):
        profiles.append("cloud")
    return profiles


def _record(record: Record) -> dict[str, Json]:
    fields: dict[str, Json] = {"type": record.type}
    for key, value in zip(record.keys, record.values, strict=True):
        # A key that comes twice in one record (an inner pid in msg='...') keeps both values.
        fields[key if key not in fields else f"{key}#2"] = value
    return fields


def _put(nested: dict[str, Json], path: str, value: Json) -> None:
    *folders, leaf = path.split(".")
    place = nested
    for folder in folders:
        inner = place.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise InvalidEvent(f"attribute {path} runs through the value of {folder}")
        place = inner
    place[leaf] = value


def flatten(nested: Mapping[str, Json]) -> Event:
    """An event from OCSF's nested form; the inverse of `nest`, what the schema lacks goes to `unmapped.source`.

    Raises:
        InvalidEvent: no class, an unknown class, or a value whose type is not the attribute's.
    """
    uid = nested.get("class_uid")
    if not isinstance(uid, int) or isinstance(uid, bool) or uid not in CLASSES:
        raise InvalidEvent(f"class_uid {uid!r} is not an event class that Tocsin knows")
    values: dict[str, Value] = {}
    _flatten("", nested, CLASSES[uid].paths, values)
    if not isinstance(values.get("time"), int):
        raise InvalidEvent("time is missing: milliseconds since the epoch")
    return Event(uid, values, tuple(_records(nested)))


def _flatten(prefix: str, nested: Mapping[str, Json], paths: frozenset[str], values: dict[str, Value]) -> None:
    for key, value in nested.items():
        path = f"{prefix}{key}"
        if path in paths:
            if value is not None:
                values[path] = _typed(path, value)
        elif isinstance(value, dict):
            _flatten(f"{path}.", value, paths, values)


def _typed(path: str, value: Json) -> Value:
    known = attribute(path)
    kind = known.kind if known else Kind.STRING
    if kind is Kind.JSON:
        return msgspec.json.encode(value).decode()
    wanted: type = {Kind.STRING: str, Kind.BOOLEAN: bool}.get(kind, int)
    if type(value) is not wanted:
        raise InvalidEvent(f"{path} must be {kind.value}, not {value!r}")
    return value  # type: ignore[return-value]  # checked against `wanted` above


class _PlainRecord(msgspec.Struct, frozen=True):
    type: str
    keys: tuple[str, ...]
    values: tuple[str, ...]


def _records(nested: Mapping[str, Json]) -> list[_PlainRecord]:
    unmapped = nested.get("unmapped")
    audit = unmapped.get("audit") if isinstance(unmapped, dict) else None
    records = audit.get("records") if isinstance(audit, dict) else None
    if not isinstance(records, list):
        return []
    return [_plain_record(record) for record in records]


def _plain_record(record: Json) -> _PlainRecord:
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise InvalidEvent("unmapped.audit.records must be objects with a type")
    fields = {key: value for key, value in record.items() if key != "type"}
    return _PlainRecord(str(record["type"]), tuple(fields), tuple(str(v) for v in fields.values()))
