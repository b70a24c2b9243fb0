"""Who connected to a name server, as audit tells: it names a process that has ended before anyone could look."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tocsin.agent.names.packet import PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.agent.names.lookups import Lookup
    from tocsin.model.event import Event, Value

__all__ = ["WAIT_MS", "Connects"]

WAIT_MS: Final = 250  # audit's records are read some at a time
MAX_CONNECTS: Final = 512
_NETWORK_ACTIVITY: Final = 4001
_BEFORE_MS, _AFTER_MS = 2_000, 20  # of the query; their clocks are not the same, and one lookup may ask several times
_PID: Final = "actor.process.pid"


class Connects:
    """The last connections to name servers."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, str, dict[str, Value]]] = deque(maxlen=MAX_CONNECTS)

    def hear(self, events: Iterable[Event]) -> None:
        """Note those of these events that are connections to port 53."""
        for event in events:
            if event.class_uid == _NETWORK_ACTIVITY and event.values.get("dst_endpoint.port") == PORT:
                values = event.attributes()
                actor = {path: value for path, value in values.items() if path.startswith("actor.")}
                if _PID in actor:
                    self._seen.append((int(values["time"]), str(values.get("dst_endpoint.ip", "")), actor))

    def actor(self, lookup: Lookup) -> dict[str, Value]:
        """The process that alone can have asked; empty if there is none, or more than one."""
        server, asked_ms = lookup.flow.server, lookup.time_ms
        actors = [
            actor
            for time_ms, address, actor in self._seen
            if address == server and -_AFTER_MS <= asked_ms - time_ms <= _BEFORE_MS
        ]
        return actors[-1] if len({actor[_PID] for actor in actors}) == 1 else {}
