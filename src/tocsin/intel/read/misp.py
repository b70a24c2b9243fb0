"""MISP events, as exported or as found in a feed: the attributes that are meant for detection (`to_ids`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tocsin.intel.indicator import Indicator, Item, Items, Kind, Refused, Withdrawn
from tocsin.intel.options import Options
from tocsin.intel.value import normal
from tocsin.model.errors import InvalidFeed

__all__ = ["KINDS", "event_names", "read"]

# The parts of an attribute's type, divided by `|` as its value is; a part that is not here is left out.
KINDS: Final = {
    "ip-src": Kind.IP,
    "ip-dst": Kind.IP,
    "ip": Kind.IP,
    "domain": Kind.DOMAIN,
    "hostname": Kind.DOMAIN,
    "url": Kind.URL,
    "uri": Kind.URL,
    "link": Kind.URL,
    "md5": Kind.MD5,
    "sha1": Kind.SHA1,
    "sha256": Kind.SHA256,
    "filename": Kind.FILENAME,
    "email": Kind.EMAIL,
    "email-src": Kind.EMAIL,
    "email-dst": Kind.EMAIL,
}
_PORT: Final = "port"
_Json = Mapping[str, Any]


def read(content: bytes, _options: Options) -> Items:
    """Attributes of every event in the document: one event, a list, or an answer of MISP's API.

    Raises:
        InvalidFeed: not JSON, or no MISP event.
    """
    found = list(_events(_decoded(content)))
    if not found:
        raise InvalidFeed("no MISP event: it has neither Event nor response")
    for event in found:
        yield from _read_event(event)


def event_names(manifest: bytes) -> list[str]:
    """The ids of the events that a feed's manifest.json lists; each is in the file `ID.json` beside it.

    Raises:
        InvalidFeed: it is no manifest.
    """
    document = _decoded(manifest)
    if not isinstance(document, dict) or not all(isinstance(each, dict) for each in document.values()):
        raise InvalidFeed("no manifest of a MISP feed")
    return [name for name in document if name.replace("-", "").isalnum()]


def _decoded(content: bytes) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFeed(f"not JSON: {error}") from error


def _events(document: Any) -> Iterator[_Json]:  # noqa: ANN401 -- any JSON
    if isinstance(document, list):
        for each in document:
            yield from _events(each)
    elif isinstance(document, dict):
        if isinstance(document.get("Event"), dict):
            yield document["Event"]
        elif "response" in document:
            yield from _events(document["response"])


def _read_event(event: _Json) -> Iterator[Item]:
    tags = _tags(event)
    for key in ("Attribute", "Object"):
        if not isinstance(event.get(key) or [], list):
            yield Refused(str(event.get("uuid", "")), f"its {key} is no list")
    yield from _attributes(event, tags)
    for group in _members(event, "Object"):
        yield from _attributes(group, tags)


def _members(holder: _Json, key: str) -> list[_Json]:
    """The objects in a list that lies there; of anything else none."""
    found = holder.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _attributes(holder: _Json, tags: tuple[str, ...]) -> Iterator[Item]:
    for attribute in _members(holder, "Attribute"):
        source = str(attribute.get("uuid", ""))
        yield Withdrawn(source)
        if attribute.get("to_ids") is True and attribute.get("deleted") is not True:
            yield from _read_attribute(attribute, source, tuple(dict.fromkeys(tags + _tags(attribute))))


def _read_attribute(attribute: _Json, source: str, tags: tuple[str, ...]) -> Iterator[Item]:
    kinds = str(attribute.get("type", "")).split("|")
    texts = str(attribute.get("value", "")).split("|") if len(kinds) > 1 else [str(attribute.get("value", ""))]
    parts = [(KINDS[kind], text) for kind, text in zip(kinds, texts, strict=False) if kind in KINDS]
    if len(kinds) > 1 and any(kind in ("md5", "sha1", "sha256", "domain") for kind in kinds):
        # `filename|sha256`, `domain|ip`: the hash says it all, and an address is shared by many names.
        parts = [(kind, text) for kind, text in parts if kind not in (Kind.FILENAME, Kind.IP)]
    if not parts:
        yield Refused(source, f"{attribute.get('type')} is no kind of attribute that events are matched with")
    for kind, text in parts:
        try:
            found, value = normal(kind, text)
        except ValueError as error:
            yield Refused(source, str(error))
        else:
            yield Indicator(found, value, tags=tags, source=source)


def _tags(holder: _Json) -> tuple[str, ...]:
    return tuple(str(tag["name"]) for tag in _members(holder, "Tag") if "name" in tag)
