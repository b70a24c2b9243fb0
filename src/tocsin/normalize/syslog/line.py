"""The head of a syslog line: RFC 5424, RFC 3164, and the ISO times that rsyslog and journalctl write."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["Line", "LineReader"]

# fmt: off
_FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)
_MONTHS: Final = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6,
    "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}
# fmt: on
_LARGEST_PRIORITY: Final = 191
_PRIORITY: Final = r"(?:<(?P<priority>\d{1,3})>)?"
# A program's name runs to its process id or to the colon; without a colon all of it is text.
_TAG: Final = r"(?:(?P<program>[^\s:\[\]]{1,64})(?:\[(?P<pid>\d{1,10})\])?: ?)?(?P<text>.*)"
_RFC_5424: Final = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) (?P<id>\S+) "
    r"(?P<data>-|(?:\[(?:[^\"\]]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: (?:\ufeff)?(?P<text>.*))?",
    re.DOTALL,
)
_ISO: Final = re.compile(
    _PRIORITY + r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) (?P<host>\S+) " + _TAG,
    re.DOTALL,
)
_RFC_3164: Final = re.compile(
    _PRIORITY
    + rf"(?P<month>{'|'.join(_MONTHS)}) {{1,2}}(?P<day>\d{{1,2}}) (?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<part>\d{{1,9}}))? "
    r"(?P<host>\S+) " + _TAG,
    re.DOTALL,
)
_DATA: Final = re.compile(r"\[([^\s\]]+)((?: [^=\s\]]+=\"(?:[^\"\\]|\\.)*\")*)\]")
_PARAMETER: Final = re.compile(r" ([^=\s\]]+)=\"((?:[^\"\\]|\\.)*)\"")
_DAY: Final = dt.timedelta(days=1)


class Line(msgspec.Struct, gc=False):
    """A line of syslog, or an entry of the journal."""

    time: int
    text: str
    host: str = ""
    program: str = ""
    pid: int | None = None
    facility: str = ""
    severity: int | None = None  # syslog's: 0 emergency .. 7 debug
    data: dict[str, dict[str, str]] = {}  # RFC 5424's structured data


class LineReader:
    """Reads lines whose times may lack year and zone."""

    def __init__(self, before_ms: int, zone: dt.tzinfo) -> None:
        self._latest = dt.datetime.fromtimestamp(before_ms / 1000, zone) + _DAY
        self._zone = zone
        # Most lines are of a second that another line is of.
        self._moment = lru_cache(maxsize=256)(self._without_year)

    def read(self, text: str) -> Line | None:
        """The line, or None if it has no head of a known form."""
        if found := _ISO.match(text):
            time = self.iso_ms(found["time"])
        elif found := _RFC_3164.match(text):
            time = self._moment(found["month"], found["day"], found["clock"])
            if time is not None and found["part"]:
                time += int(float(f"0.{found['part']}") * 1000)
        elif found := _RFC_5424.match(text):
            return self._rfc_5424(found)
        if found is None or time is None:
            return None
        facility, severity = _priority(found["priority"])
        pid = int(found["pid"]) if found["pid"] else None
        return Line(time, found["text"], found["host"], found["program"] or "", pid, facility, severity)

    def _rfc_5424(self, found: re.Match[str]) -> Line | None:
        time = self.iso_ms(found["time"]) if found["time"] != "-" else int((self._latest - _DAY).timestamp() * 1000)
        if time is None:
            return None
        facility, severity = _priority(found["priority"])
        host, program = ("" if part == "-" else part for part in (found["host"], found["program"]))
        pid = int(found["pid"]) if found["pid"].isascii() and found["pid"].isdecimal() else None
        return Line(time, found["text"] or "", host, program, pid, facility, severity, _structured(found["data"]))

    def iso_ms(self, text: str) -> int | None:
        """Milliseconds of an ISO time, None if there is no such time."""
        try:
            moment = dt.datetime.fromisoformat(text)
            return int(moment.replace(tzinfo=moment.tzinfo or self._zone).timestamp() * 1000)
        except (ValueError, OverflowError):
            return None

    def _without_year(self, month: str, day: str, clock: str) -> int | None:
        for year in range(self._latest.year, self._latest.year - 9, -1):  # the 29th of February is eight years away
            found = _moment(year, _MONTHS[month], int(day), clock, self._zone)
            if found is not None and found <= self._latest:
                return int(found.timestamp() * 1000)
        return None


def _moment(year: int, month: int, day: int, clock: str, zone: dt.tzinfo) -> dt.datetime | None:
    hour, minute, second = map(int, clock.split(":"))
    try:
        return dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _priority(text: str | None) -> tuple[str, int | None]:
    if text is None or int(text) > _LARGEST_PRIORITY:
        return "", None
    return _FACILITIES[int(text) >> 3], int(text) & 7


def _structured(text: str) -> dict[str, dict[str, str]]:
    return {
        name: {key: re.sub(r"\\([\"\\\]])", r"\1", value) for key, value in _PARAMETER.findall(parameters)}
        for name, parameters in _DATA.findall(text)
    }
