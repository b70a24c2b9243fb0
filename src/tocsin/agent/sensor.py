"""What sees the host beside the kernel's audit: one promise for files, names asked, logs, inventory, eBPF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tocsin.agent.audit.rules import Rule
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event

__all__ = ["Completing", "Growth", "InsteadOfRules", "Sensor", "Sensors"]


class Sensor(Protocol):
    """A source of events, read by the agent's loop. Its module in `status` has the sensor's name."""

    name: str

    def descriptors(self) -> Sequence[int]:
        """File descriptors that are readable when there is something to read; none for what only time drives."""

    def read(self, now_ms: int) -> Sequence[Event]:
        """The events that there are, mapped, not enriched; never blocks. Called after every awakening of the loop."""

    def tick(self, now_ms: int, health: Health) -> None:
        """Once a second: what is to be done now and then, and how the sensor is."""

    def losses(self) -> Mapping[str, int]:
        """Events that were not kept since the last call, by reason."""

    def close(self) -> None:
        """Let go of what the sensor holds of the kernel."""


@runtime_checkable
class InsteadOfRules(Protocol):
    """A sensor that gives what audit rules ask for as well, so that the kernel need not do both."""

    def replaces(self, rule: Rule) -> bool:
        """Does the sensor give everything that this rule asks for?"""

    def tells(self, event: Event) -> bool:
        """Does the sensor give what this event of audit tells, asked for by another rule or another daemon?"""


@runtime_checkable
class Completing(Protocol):
    """A sensor that completes events of audit with what it sees itself, and gives them back by `read`."""

    def wants(self, event: Event) -> bool:
        """Is this an event that the sensor completes?"""

    def take(self, event: Event) -> None:
        """Take an event that is wanted, enriched."""

    def rules(self, others: Sequence[Rule]) -> Sequence[Rule]:
        """The audit rules that the sensor needs beside the others."""

    def finish(self) -> None:
        """Nothing more will come: what was taken is given back by the next `read`."""


@runtime_checkable
class Hearing(Protocol):
    """A sensor that learns from what others have seen."""

    def hear(self, events: Iterable[Event]) -> None:
        """Take note of events, enriched; they are not to be changed."""

    def finish(self) -> None:
        """Nothing more will come: what still waits is given by the next `read`."""


@runtime_checkable
class Remembering(Protocol):
    """A sensor that goes on after a restart where it was left."""

    def spooled(self) -> None:
        """Everything that was given by `read` is in the spool, or counted as lost: it need not be given again."""


class Growth:
    """How much counts have grown since they were last asked for; what has not grown is left out."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}

    def since(self, totals: Mapping[str, int]) -> dict[str, int]:
        """The growth of each of these totals, which are remembered."""
        grown = {reason: total - self._before.get(reason, 0) for reason, total in totals.items()}
        self._before = dict(totals)
        return {reason: count for reason, count in grown.items() if count > 0}


class Sensors:
    """The sensors that run, together."""

    def __init__(self, sensors: Iterable[Sensor] = ()) -> None:
        self._sensors = tuple(sensors)
        self._instead = tuple(sensor for sensor in self._sensors if isinstance(sensor, InsteadOfRules))
        self._completing = tuple(sensor for sensor in self._sensors if isinstance(sensor, Completing))
        self._hearing = tuple(sensor for sensor in self._sensors if isinstance(sensor, Hearing))
        self._remembering = tuple(sensor for sensor in self._sensors if isinstance(sensor, Remembering))

    @property
    def descriptors(self) -> list[int]:
        """What the loop is to be woken by."""
        return [descriptor for sensor in self._sensors for descriptor in sensor.descriptors()]

    def completing(self, event: Event) -> Completing | None:
        """The sensor that wants an event of audit."""
        return next((sensor for sensor in self._completing if sensor.wants(event)), None)

    def rules(self, others: Sequence[Rule]) -> list[Rule]:
        """The audit rules that the sensors need beside the others."""
        return [rule for sensor in self._completing for rule in sensor.rules(others)]

    def finish(self) -> None:
        """Nothing more will come."""
        waiting: tuple[Completing | Hearing, ...] = (*self._completing, *self._hearing)
        for sensor in waiting:
            sensor.finish()

    def hear(self, events: Sequence[Event]) -> None:
        """Let those that learn from others know what was seen."""
        for sensor in self._hearing:
            sensor.hear(events)

    def spooled(self) -> None:
        """What was read is in the spool."""
        for sensor in self._remembering:
            sensor.spooled()

    def read(self, now_ms: int) -> list[Event]:
        """What all of them have seen."""
        return [event for sensor in self._sensors for event in sensor.read(now_ms)]

    def replace(self, rule: Rule) -> bool:
        """Whether one of them gives what this audit rule asks for."""
        return any(sensor.replaces(rule) for sensor in self._instead)

    def tell(self, event: Event) -> bool:
        """Whether one of them gives what this event of audit tells."""
        return any(sensor.tells(event) for sensor in self._instead)

    def tick(self, now_ms: int, health: Health) -> dict[str, int]:
        """Let each do what it does once a second; returns what was not kept since, by reason."""
        lost: dict[str, int] = {}
        for sensor in self._sensors:
            sensor.tick(now_ms, health)
            for reason, count in sensor.losses().items():
                lost[reason] = lost.get(reason, 0) + count
        return lost

    def close(self) -> None:
        """Close all."""
        for sensor in self._sensors:
            sensor.close()
