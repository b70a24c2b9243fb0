"""Which source format lines are of, by the looks of the first of them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

from tocsin.normalize.syslog import read_events

__all__ = ["source_of"]

_LOOKED_AT: Final = 65_536  # bytes of a line; one may be a whole file
_AUDIT: Final = re.compile(rb"\s*(?:node=\S+ )?type=\S+ msg=audit\(")
# The keys that only one source's objects have, the surest first: an event of ours holds its original.
_KEYS: Final = (
    ("ocsf", re.compile(rb'"class_uid"\s*:')),
    ("k8s-audit", re.compile(rb'"auditID"\s*:')),
    ("syslog", re.compile(rb'"__REALTIME_TIMESTAMP"\s*:')),
    ("cloudtrail", re.compile(rb'"(?:eventSource|CloudTrailEvent|awsRegion)"\s*:')),
    ("windows", re.compile(rb'"(?:winlog|EventID|event_id|EventRecordID|ProviderName)"\s*:')),
)


def source_of(lines: Sequence[bytes]) -> str | None:
    """The name of the format that the first lines of a file are in; None if they look like none."""
    first = b"\n".join(lines)[:_LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n")
    if first[:1] in (b"{", b"["):
        found = next((name for name, keys in _KEYS if keys.search(first)), None)
        if found or first[:1] == b"{":
            return found
    if any(_AUDIT.match(line) for line in lines):
        return "auditd"
    return "syslog" if _is_syslog(lines) else None


def _is_syslog(lines: Sequence[bytes]) -> bool:
    """Does every other line, at least, have a known form?"""
    now = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)  # only whether there is a time counts
    events = list(read_events((line[:_LOOKED_AT] for line in lines), before_ms=int(now.timestamp() * 1000)))
    known = [event for event in events if event.values["activity_id"] != 0]
    return bool(events) and 2 * len(known) >= len(events)
