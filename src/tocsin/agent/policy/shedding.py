"""Leave connections out before their records are read: what the agent's share of the processor is short of.

Reading and mapping cost twice what deciding afterwards saves. Only calls that succeeded are left out here: these are
always Network Activity of a kind that may be, and the same draw decides as in the gate, so that it is the same sample.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from tocsin.agent.audit.rule_fields import ARCHES, BITS
from tocsin.agent.policy.sampling import draw
from tocsin.normalize.auditd.tables import syscall_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tocsin.agent.audit.netlink import Record

__all__ = ["ADAPTIVE", "SAMPLED", "Shedder"]

SAMPLED, ADAPTIVE = "sampled", "adaptive"
SYSCALL, EOE = 1300, 1320
_PARTS: Final = frozenset({1302, 1306, 1307, 1327, EOE})  # PATH, SOCKADDR, CWD, PROCTITLE
_CALLS: Final = ("connect", "bind", "accept", "accept4")
_MOST_OPEN: Final = 4096  # events whose EOE is awaited; it never fails to come but when it is lost
_START: Final = len("audit(")


class Shedder:
    """Takes records of connections out of what was received; keeps one in `sample` times `lowered`."""

    def __init__(self, sample: int, lowered: int, salt: int, machine: str | None = None) -> None:
        self._sample, self._lowered, self._salt = sample, lowered, salt
        self._calls = tuple(_calls(machine or platform.machine()))
        self._gone: set[bytes] = set()

    def left_of(self, records: Iterable[Record], skip: Callable[[tuple[int, int], str], None]) -> Iterator[Record]:
        """What is left of the records, in order; `skip` is told time, serial and reason of each event left out."""
        for record in records:
            kind, payload = record
            if kind == SYSCALL:
                head, _, said = payload.partition(b"): ")
                if said.startswith(self._calls):
                    stamp = _stamp(head)
                    drawn = draw(f"{stamp[0]}:{stamp[1]}", self._salt)
                    if drawn % (self._sample * self._lowered):
                        self._forget(head)
                        skip(stamp, SAMPLED if drawn % self._sample else ADAPTIVE)
                        continue
            elif self._gone and kind in _PARTS and self._is_gone(kind, payload):
                continue
            yield record

    def _is_gone(self, kind: int, payload: bytes) -> bool:
        head = payload.partition(b"): ")[0]
        if head not in self._gone:
            return False
        if kind == EOE:
            self._gone.discard(head)
        return True

    def _forget(self, head: bytes) -> None:
        if len(self._gone) >= _MOST_OPEN:
            self._gone.clear()
        self._gone.add(head)


def _calls(machine: str) -> Iterable[bytes]:
    arch = BITS.get(machine, {}).get("b64", "")
    numbers = {name: number for number, name in syscall_names().get(arch, {}).items()}
    for name in _CALLS:
        if name in numbers:
            yield f"arch={ARCHES[arch]:x} syscall={numbers[name]} success=yes ".encode()


def _stamp(head: bytes) -> tuple[int, int]:
    """Time in ms and serial: audit(1790000000.123:4567."""
    time, _, serial = head[_START:].partition(b":")
    seconds, _, thousandths = time.partition(b".")
    return int(seconds) * 1000 + int(thousandths), int(serial)
