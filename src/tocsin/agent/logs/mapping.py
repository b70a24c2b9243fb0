"""What a line of a log becomes on its own host."""

from __future__ import annotations

import datetime as dt
import socket
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tocsin.normalize.syslog import read_line
from tocsin.normalize.syslog.line import LineReader

if TYPE_CHECKING:
    from tocsin.agent.logs.tail import Line
    from tocsin.model.event import Event

__all__ = ["LineMapper"]

LOCAL_TIME: Final = Path("/etc/localtime")
# A process id is worth something while the process may still be there.
PROCESS_WITHIN_MS: Final = 10_000
RENEW_AFTER_MS: Final = 3_600_000


class LineMapper:
    """Maps lines to events; times without a zone are this host's."""

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._zone = _zone()
        self._renewed_ms = 0
        self._reader = LineReader(0, self._zone)

    def of_file(self, line: Line, now_ms: int) -> Event:
        """The event of a line in a file."""
        text = line.text.replace(b"\0", b"").decode("utf-8", "backslashreplace").rstrip()
        event = self.of_text(text, now_ms)
        values = event.values
        values["unmapped.log.file"], values["unmapped.log.offset"] = line.position.path, line.offset
        if values.get("message") != text:
            values["raw_data"] = text
        if line.is_cut:
            values["unmapped.truncated"] = True
        return event

    def of_text(self, text: str, now_ms: int) -> Event:
        """The event of a line, or of an entry of the journal."""
        if now_ms - self._renewed_ms > RENEW_AFTER_MS:  # it tells the year by what time it is
            self._renewed_ms, self._reader = now_ms, LineReader(now_ms, self._zone)
        event = read_line(text, self._reader, now_ms)
        values = event.values
        said = str(values.pop("device.hostname", "unknown"))  # the batch says which host it is
        if said not in ("unknown", "localhost") and said.partition(".")[0] != self._host.partition(".")[0]:
            values["unmapped.log.host"] = said
        if values.get("dst_endpoint.hostname") == "unknown":
            values["dst_endpoint.hostname"] = self._host
        if "unmapped.log.host" in values or not 0 <= now_ms - int(values["time"]) < PROCESS_WITHIN_MS:
            values.pop("actor.process.pid", None)
        return event


def _zone() -> dt.tzinfo:
    try:
        with LOCAL_TIME.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return dt.UTC
