"""STIX 2.1: bundles, and the envelopes of TAXII.

Indicators give their patterns' values. Observables (addresses, names, URLs, files) are listed too, tagged `observable`
and with little confidence: that somebody saw them says less than that somebody warns of them. What an indicator
indicates (malware, campaigns) becomes a tag, if the feed holds that too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tocsin.intel.indicator import Indicator, Item, Items, Kind, Refused, Withdrawn
from tocsin.intel.options import Options
from tocsin.intel.read.stix_pattern import kind_of, values
from tocsin.intel.read.table import seconds
from tocsin.intel.value import normal
from tocsin.model.errors import InvalidFeed

__all__ = ["OBSERVED", "objects", "read", "read_objects"]

OBSERVED: Final = 15  # confidence of an observable that says none: "low" on STIX's scale
_Object = Mapping[str, Any]
_READ: Final = ("indicator", "file", "ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr")


def read(content: bytes, _options: Options) -> Items:
    """Indicators and observables of a bundle, an envelope, a list of objects, or a single object.

    Raises:
        InvalidFeed: not JSON, or no STIX.
    """
    return read_objects(objects(content))


def objects(content: bytes) -> list[_Object]:
    """The STIX objects in a JSON document.

    Raises:
        InvalidFeed: not JSON, or no STIX.
    """
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFeed(f"not JSON: {error}") from error
    if isinstance(document, dict):
        document = document.get("objects", [document] if "type" in document and "id" in document else None)
    if not isinstance(document, list):
        raise InvalidFeed("no STIX: neither a bundle nor a list of objects")
    return [each for each in document if isinstance(each, dict)]


def read_objects(found: Sequence[_Object]) -> Items:
    """What the objects list; an object comes after word that what came of it before is gone."""
    named = _indicated(found)
    for each in found:
        kind = each.get("type")
        source = str(each.get("id", ""))
        if kind in _READ:
            yield Withdrawn(source)
            if each.get("revoked") is not True:
                yield from _of_object(each, source, named.get(source, ()))


def _of_object(each: _Object, source: str, named: Sequence[str]) -> Iterator[Item]:
    try:
        found = list(_values(each))
        common = _common(each, source, named)
    except (ValueError, TypeError, AttributeError) as error:
        yield Refused(source, str(error))
        return
    for path, text in found:
        try:
            kind, value = normal(kind_of(path), text)
        except ValueError as error:
            yield Refused(source, str(error))
        else:
            yield msgspec.structs.replace(common, kind=kind, value=value)


def _values(each: _Object) -> Iterator[tuple[str, str]]:
    kind = each["type"]
    if kind == "indicator":
        language = each.get("pattern_type", "stix")
        if language != "stix":
            raise ValueError(f"its pattern is {language}, not STIX")
        yield from values(str(each.get("pattern", "")))
    elif kind == "file":
        hashes = each.get("hashes") or {}
        for name, value in hashes.items():
            if name.upper() in ("MD5", "SHA-1", "SHA-256"):
                yield f"file:hashes.{name}", str(value)
    else:
        yield f"{kind}:value", str(each.get("value", ""))


def _common(each: _Object, source: str, named: Sequence[str]) -> Indicator:
    observed = each["type"] != "indicator"
    confidence = each.get("confidence", OBSERVED if observed else None)
    if confidence is not None and not (isinstance(confidence, int) and 0 <= confidence <= 100):  # noqa: PLR2004
        raise ValueError(f"confidence {confidence!r} is not between 0 and 100")
    return Indicator(
        Kind.IP,
        "",
        confidence,
        seconds(str(each.get("valid_from") or "")),
        seconds(str(each.get("valid_until") or "")),
        tuple(dict.fromkeys([*(["observable"] if observed else []), *_labels(each), *named])),
        source,
    )


def _labels(each: _Object) -> Iterator[str]:
    for key in ("indicator_types", "labels"):
        yield from (str(label) for label in each.get(key) or [])
    for phase in each.get("kill_chain_phases") or []:
        yield f"{phase.get('kill_chain_name')}:{phase.get('phase_name')}"


def _indicated(found: Sequence[_Object]) -> dict[str, list[str]]:
    """By indicator, the names of what it indicates."""
    names = {str(each.get("id")): str(each["name"]) for each in found if isinstance(each.get("name"), str)}
    named: dict[str, list[str]] = {}
    for each in found:
        if each.get("type") == "relationship" and each.get("relationship_type") in ("indicates", "based-on"):
            target = names.get(str(each.get("target_ref")))
            if target:
                named.setdefault(str(each.get("source_ref")), []).append(target)
    return named
