"""The eBPF sensor: programs that run in the kernel, their records, and what was lost of them.

Where it cannot run, `Unavailable` takes its place: it sees nothing and says why, and the kernel's audit goes on giving
the same events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from tocsin.agent.bpf.cgroups import Cgroups
from tocsin.agent.bpf.counters import count, misses
from tocsin.agent.bpf.layout import Kind
from tocsin.agent.bpf.loading import LOST, RING, load
from tocsin.agent.bpf.records import Mapper
from tocsin.agent.bpf.replaced import replaces, replaces_exits, tells, tells_exit
from tocsin.agent.bpf.ring import RingBuffer
from tocsin.agent.host.processes import identity_prefix
from tocsin.agent.sensor import Growth
from tocsin.model.errors import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.agent.audit.rules import Rule
    from tocsin.agent.bpf.loading import Descriptors
    from tocsin.agent.config import EbpfSettings
    from tocsin.agent.operate.health import Health
    from tocsin.model.event import Event

__all__ = ["BpfSensor", "Unavailable", "open_sensor"]

NAME: Final = "ebpf"
# So many at a time, so that a flood is not all in memory at once.
MOST_PER_READ: Final = 1024
_REASONS: Final = {
    Kind.EXEC: "ebpf_process_lost",
    Kind.REFUSED: "ebpf_process_lost",
    Kind.EXIT: "ebpf_process_lost",
    Kind.CONNECT: "ebpf_network_lost",
    Kind.ACCEPT: "ebpf_network_lost",
    Kind.ACCEPT4: "ebpf_network_lost",
    Kind.BIND: "ebpf_network_lost",
}
MISSED: Final = "ebpf_missed"


def open_sensor(settings: EbpfSettings, boot_id: str) -> BpfSensor | Unavailable:
    """The sensor, or what says why there is none."""
    try:
        return BpfSensor.start(settings, boot_id)
    except NotAvailable as error:
        return Unavailable(str(error))


class BpfSensor:
    """Programs started and refused, connections made and taken, and if asked for, processes ended."""

    name = NAME

    def __init__(self, loaded: Descriptors, ring: RingBuffer, mapper: Mapper, *, exits: bool) -> None:
        self._loaded, self._ring, self._mapper, self._exits = loaded, ring, mapper, exits
        self._growth = Growth()

    @classmethod
    def start(cls, settings: EbpfSettings, boot_id: str) -> Self:
        """Load the programs and set them going.

        Raises:
            NotAvailable: says what is missing, and what would mend it.
            InvalidSetting: no ring buffer can have this size.
        """
        loaded = load(settings)
        ring = RingBuffer(loaded.maps[RING], settings.ring_bytes)
        return cls(loaded, ring, Mapper(identity_prefix(boot_id), Cgroups()), exits=settings.exits)

    def descriptors(self) -> Sequence[int]:
        """The ring buffer's."""
        return (self._loaded.maps[RING],)

    def read(self, now_ms: int) -> Sequence[Event]:
        """What has happened since the last call."""
        del now_ms
        return self._mapper.map(self._ring.read(MOST_PER_READ))

    def replaces(self, rule: Rule) -> bool:
        """Does the sensor give everything that this audit rule asks for?"""
        return replaces(rule) or (self._exits and replaces_exits(rule))

    def tells(self, event: Event) -> bool:
        """Does the sensor give what this event of audit tells?"""
        return tells(event) or (self._exits and tells_exit(event))

    def tick(self, now_ms: int, health: Health) -> None:
        """Say how the sensor is."""
        del now_ms
        health.well(NAME, f"{', '.join(self._loaded.links)} run in the kernel")
        health.gauge("ebpf_ring_bytes", self._ring.waiting_bytes)

    def losses(self) -> Mapping[str, int]:
        """Records that found no room in the ring buffer, by what they were of, and programs that did not run."""
        totals: dict[str, int] = {MISSED: sum(map(misses, self._loaded.programs.values()))}
        for kind, reason in _REASONS.items():
            totals[reason] = totals.get(reason, 0) + count(self._loaded.maps[LOST], kind)
        return self._growth.since(totals)

    def close(self) -> None:
        """Take the programs out of the kernel."""
        self._ring.close()
        self._loaded.close()


class Unavailable:
    """In the place of the sensor where it cannot run."""

    name = NAME

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def descriptors(self) -> Sequence[int]:
        """None."""
        return ()

    def read(self, now_ms: int) -> Sequence[Event]:
        """Nothing."""
        del now_ms
        return ()

    def tick(self, now_ms: int, health: Health) -> None:
        """Say why."""
        del now_ms
        health.ill(NAME, f"{self._reason}; the kernel's audit is used instead")

    def losses(self) -> Mapping[str, int]:
        """None: nothing is expected."""
        return {}

    def close(self) -> None:
        """Nothing is held."""
