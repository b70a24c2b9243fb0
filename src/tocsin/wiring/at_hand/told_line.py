"""A match as a line of NDJSON, the same wherever the event came from: the rule, the file, the event."""

from __future__ import annotations

from typing import Final

import msgspec

from tocsin.detect.window.match import Firing
from tocsin.detect.window.tell import title_of
from tocsin.model.rule import Rule

__all__ = ["Place", "alert_line", "match_line", "rule_part"]

_encode: Final = msgspec.json.Encoder().encode


class Place(msgspec.Struct, frozen=True, gc=False):
    """An event as JSON, and where it stands; line 0 is where events have no line of their own."""

    file: bytes  # as JSON
    line: int
    event: bytes


def rule_part(rule: Rule) -> bytes:
    """How every line of a rule's matches begins."""
    about = {"id": rule.id, "title": rule.title, "level": rule.level, "tags": rule.tags}
    return _encode({"rule": about})[:-1]


def match_line(rule: bytes, place: Place, title: str = "") -> bytes:
    """A rule's match, which begins as `rule_part` says; the alert's title, if it has one of its own."""
    said = b',"title":%b' % _encode(title) if title else b""
    return b"%b%b%b" % (rule, said, _tail(place))


def alert_line(firing: Firing, place: Place) -> bytes:
    """One of the events of a correlation's alert."""
    rule, title = firing.correlation, title_of(firing)
    said = {
        "rule": {"id": rule.id, "title": rule.title, "level": rule.level, "tags": rule.tags},
        **({"title": title} if title != rule.title else {}),
        "group": dict(zip(rule.group_by, firing.group, strict=True)),
        "window_start": firing.slot[0],
    }
    return _encode(said)[:-1] + _tail(place)


def _tail(place: Place) -> bytes:
    line = b',"line":%d' % place.line if place.line else b""
    return b',"file":%b%b,"event":%b}\n' % (place.file, line, place.event)
