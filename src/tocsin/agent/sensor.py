"""What sees the host beside the kernel's audit: one promise for files, names asked, logs, inventory, eBPF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tocsin.agent.audit.rules import Rule
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event

__all__ = ["InsteadOfRules", "Sensor", "Sensors"]


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


class Sensors:
    """The sensors that run, together."""

    def __init__(self, sensors: Iterable[Sensor] = ()) -> None:
        self._sensors = tuple(sensors)
        self._instead = tuple(sensor for sensor in self._sensors if isinstance(sensor, InsteadOfRules))

    @property
    def descriptors(self) -> list[int]:
        """What the loop is to be woken by."""
        return [descriptor for sensor in self._sensors for descriptor in sensor.descriptors()]

    def read(self, now_ms: int) -> list[Event]:
        """What all of them have seen."""
        return [event for sensor in self._sensors for event in sensor.read(now_ms)]

    def replace(self, rule: Rule) -> bool:
        """Whether one of them gives what this audit rule asks for."""
        return any(sensor.replaces(rule) for sensor in self._instead)

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
