"""Lines that tell what the kernel's audit has told: PAM, sshd, sudo and the account tools write to both.

Such a line is kept, as a Base Event, so that a failed login counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.model.event import Event, Value

__all__ = ["WAIT_MS", "Twice"]

BOTH: Final = frozenset({3001, 3002, 3005, 3006})  # accounts, logins, privileges, groups
WAIT_MS: Final = 400  # audit holds back what nothing ends
FORGET_MS: Final = 10_000
MAX_HEARD: Final = 2048
BASE_EVENT: Final = 0
PID: Final = "actor.process.pid"
_KEPT: Final = frozenset({"time", "severity_id", "message", "raw_data", "device.type_id", PID, "actor.process.name"})
_KEPT_OF: Final = ("metadata.", "unmapped.")


class Twice:
    """Remembers for a while what audit has told, by process, class and outcome."""

    def __init__(self) -> None:
        self._heard: dict[tuple[Value, int, Value | None], int] = {}
        self.count = 0

    def hear(self, events: Iterable[Event]) -> None:
        """Take note of what audit tells."""
        for event in events:
            if event.class_uid in BOTH and (event.shared or event.values).get("metadata.log_name") != "syslog":
                values = event.attributes()
                if (pid := values.get(PID)) is not None:
                    key = (pid, event.class_uid, values.get("status_id"))
                    self._heard.pop(key, None)
                    self._heard[key] = int(values["time"])
                    if len(self._heard) > MAX_HEARD:
                        del self._heard[next(iter(self._heard))]

    def wait_ms(self, event: Event) -> int:
        """How long audit may take to tell the same."""
        return WAIT_MS if event.class_uid in BOTH and PID in event.values else 0

    def settle(self, event: Event) -> Event:
        """The line as it is to be told."""
        values = event.values
        heard_ms = self._heard.get((values.get(PID, -1), event.class_uid, values.get("status_id")))
        if event.class_uid not in BOTH or heard_ms is None or abs(int(values["time"]) - heard_ms) > FORGET_MS:
            return event
        self.count += 1
        kept = {path: value for path, value in values.items() if path in _KEPT or path.startswith(_KEPT_OF)}
        return type(event)(
            BASE_EVENT, {**kept, "activity_id": 99, "status_detail": "told by the kernel's audit as well"}
        )
