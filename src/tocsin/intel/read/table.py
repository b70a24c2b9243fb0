"""CSV with named columns.

The first line that is no comment names the columns; where it is a comment itself (`# "ioc","type"`), the last comment
before the rows does. Which column holds what is the feed's option, or found by usual names.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from tocsin.intel.indicator import Indicator, Items, Kind, Refused
from tocsin.intel.options import Options
from tocsin.intel.read.plain import lines_of
from tocsin.intel.value import guess, normal
from tocsin.model.errors import InvalidFeed

__all__ = ["MEANINGS", "kind_named", "read", "seconds"]

MEANINGS: Final = ("value", "kind", "confidence", "from", "until", "tags", "source")
_USUAL: Final = {
    "value": ("value", "indicator", "ioc", "ioc_value", "dst_ip", "ip", "ip_address", "domain", "url", "sha256_hash"),
    "kind": ("kind", "type", "ioc_type", "indicator_type"),
    "confidence": ("confidence", "confidence_level", "score"),
    "from": ("valid_from", "first_seen", "first_seen_utc"),
    "until": ("valid_until", "valid_to", "until", "expires", "expiry", "expiration"),
    "tags": ("tags", "malware", "malware_printable", "threat_type"),
    "source": ("id", "ioc_id", "uuid", "reference"),
}
_KINDS: Final = {
    "ipv4": Kind.IP,
    "ipv6": Kind.IP,
    "ip:port": Kind.IP,
    "ip-src": Kind.IP,
    "ip-dst": Kind.IP,
    "network": Kind.CIDR,
    "netblock": Kind.CIDR,
    "hostname": Kind.DOMAIN,
    "host": Kind.DOMAIN,
    "fqdn": Kind.DOMAIN,
    "uri": Kind.URL,
    "md5_hash": Kind.MD5,
    "filehash-md5": Kind.MD5,
    "sha1_hash": Kind.SHA1,
    "sha-1": Kind.SHA1,
    "filehash-sha1": Kind.SHA1,
    "sha256_hash": Kind.SHA256,
    "sha-256": Kind.SHA256,
    "filehash-sha256": Kind.SHA256,
}


def read(content: bytes, options: Options) -> Items:
    """Every row with a value.

    Raises:
        InvalidFeed: no column is known to hold the values.
    """
    names, rows = _header(content)
    places = _places(names, options.columns)
    for number, row in rows:
        cells = {what: row[at].strip() for what, at in places.items() if at < len(row)}
        if not cells.get("value"):
            continue
        try:
            yield _indicator(cells, options)
        except ValueError as error:
            yield Refused(f"line {number}", str(error))


def _header(content: bytes) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of the columns, and the rows with their lines."""
    lines = list(lines_of(content))
    start = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    commented = bool(start) and lines[start - 1].count(",") > 0
    head = lines[start - 1].lstrip("# ") if commented else lines[start] if start < len(lines) else ""
    names = next(csv.reader([head], skipinitialspace=True), [])
    return [name.strip().lower() for name in names], _rows(lines, start + (not commented))


def _rows(lines: Sequence[str], start: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines[start:], skipinitialspace=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        if row and not row[0].startswith("#"):
            yield start + reader.line_num, row


def _places(names: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    places = {}
    for what in MEANINGS:
        wanted = [given[what].lower()] if what in given else _USUAL[what]
        found = next((names.index(name) for name in wanted if name in names), None)
        if found is not None:
            places[what] = found
        elif what in given or what == "value":
            known = ", ".join(names) or "none"
            raise InvalidFeed(f"no column {' or '.join(wanted)} for {what}: the file's columns are {known}")
    return places


def _indicator(cells: Mapping[str, str], options: Options) -> Indicator:
    text, said = cells["value"], cells.get("kind", "")
    kind = options.kind or (kind_named(said) if said else None)
    if kind is Kind.IP and text.count(":") == 1:
        text = text.partition(":")[0]  # ip:port
    found, value = guess(text) if kind is None else normal(kind, text)
    tags = tuple(tag.strip() for tag in cells.get("tags", "").split(",") if tag.strip() not in ("", "None"))
    return Indicator(
        found,
        value,
        _confidence(cells.get("confidence", "")),
        seconds(cells.get("from", "")),
        seconds(cells.get("until", "")),
        tags,
        cells.get("source", ""),
    )


def kind_named(name: str) -> Kind:
    """The kind that feeds call so.

    Raises:
        ValueError: no kind of indicator that can be matched.
    """
    name = name.strip().lower()
    if name in _KINDS:
        return _KINDS[name]
    try:
        return Kind(name)
    except ValueError:
        raise ValueError(f"{name!r} is no kind of indicator that is matched") from None


def _confidence(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) > 100:  # noqa: PLR2004 -- STIX's scale
        raise ValueError(f"confidence {text!r} is not between 0 and 100")
    return int(text)


def seconds(text: str) -> int:
    """A time in ISO 8601 or in seconds since the epoch, as seconds; 0 if there is none.

    Raises:
        ValueError: it is no time.
    """
    if not text or text == "None":
        return 0
    if text.isascii() and text.isdigit():
        return _within(int(text), text)
    try:
        time = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        raise ValueError(f"{text!r} is no time") from None
    return _within(int(time.replace(tzinfo=time.tzinfo or UTC).timestamp()), text)


def _within(second: int, text: str) -> int:
    if not 0 <= second < 2**32:
        raise ValueError(f"{text!r} is no time between 1970 and 2106")
    return second
