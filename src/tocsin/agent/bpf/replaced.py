"""Which audit rules the eBPF sensor makes superfluous: those whose every event it gives as well; and which events.

Other rules may ask for the same, and another daemon's rules do: one deed is one event.
"""

from __future__ import annotations

import errno
import platform
from functools import cache
from typing import TYPE_CHECKING, Final

from tocsin.agent.audit.rule_fields import ACTIONS, ADDRESS_FAMILIES, ARCHES, BITS, FIELDS, FILTERS, OPERATORS
from tocsin.normalize.auditd.tables import syscall_names

if TYPE_CHECKING:
    from tocsin.agent.audit.rules import Rule
    from tocsin.model.event import Event

__all__ = ["replaces", "replaces_exits", "tells", "tells_exit"]

MACHINE: Final = platform.machine()
_LAUNCHES: Final = frozenset({"execve", "execveat"})
_CONNECTIONS: Final = frozenset({"connect", "bind", "accept", "accept4"})
_EXIT: Final = "exit_group"
_SUCCESS: Final = 1
_REFUSALS: Final = frozenset({"EACCES", "EPERM"})
_EQUAL: Final = OPERATORS["="]
_SUCCEEDED: Final = (FIELDS["success"], _EQUAL, 1)
_DENIED: Final = frozenset((FIELDS["exit"], _EQUAL, -code & 0xFFFFFFFF) for code in (errno.EACCES, errno.EPERM))
_OVER_IP: Final = frozenset((FIELDS["saddr_fam"], _EQUAL, ADDRESS_FAMILIES[name]) for name in ("inet", "inet6"))


def replaces(rule: Rule, machine: str = MACHINE) -> bool:
    """Does the sensor, on such a machine, give everything that this rule asks for?

    It gives every program that was started; of what was refused or connected, what came by the machine's own system
    calls, not by those of 32-bit programs.
    """
    if not _asks_for_calls(rule):
        return False
    arch, conditions = _arch(rule), _conditions(rule)
    calls = _calls(rule, arch)
    if calls and calls <= _LAUNCHES:
        return conditions == {_SUCCEEDED} or (
            arch == _native(machine) and len(conditions) == 1 and conditions <= _DENIED
        )
    if calls and calls <= _CONNECTIONS:
        return arch == _native(machine) and len(conditions) == 1 and conditions <= _OVER_IP
    return False


def replaces_exits(rule: Rule) -> bool:
    """Does the sensor, if it tells of exits, give everything that this rule asks for?"""
    return _asks_for_calls(rule) and not _conditions(rule) and _calls(rule, _arch(rule)) == {_EXIT}


def tells_exit(event: Event) -> bool:
    """Does the sensor, if it tells of exits, give what this event of audit tells?"""
    return event.values.get("metadata.event_code") == _EXIT


def tells(event: Event, machine: str = MACHINE) -> bool:
    """Does the sensor, on such a machine, give what this event of audit tells?"""
    values = event.values
    code = values.get("metadata.event_code")
    if code in _LAUNCHES:
        return values.get("status_id") == _SUCCESS or (
            values.get("status_code") in _REFUSALS and _is_native(event, machine)
        )
    over_ip = "dst_endpoint.ip" in values or "src_endpoint.ip" in values
    return code in _CONNECTIONS and over_ip and _is_native(event, machine)


def _asks_for_calls(rule: Rule) -> bool:
    return rule.list_flags & 0xF == FILTERS["exit"] and rule.action == ACTIONS["always"]


def _arch(rule: Rule) -> int | None:
    return next((value for number, _, value in rule.fields if number == FIELDS["arch"]), None)


def _conditions(rule: Rule) -> set[tuple[int, int, int]]:
    """What it asks for beside the calls of an architecture."""
    return {condition for condition in rule.fields if condition[0] not in {FIELDS["arch"], FIELDS["key"]}}


def _is_native(event: Event, machine: str) -> bool:
    """Whether it came by a system call of the machine's own word size."""
    for record in event.records:
        if record.type == "SYSCALL":
            arch = dict(zip(record.keys, record.values, strict=True)).get("arch", "")
            return arch == f"{_native(machine) or 0:x}"
    return False


@cache
def _native(machine: str) -> int | None:
    return ARCHES.get(BITS.get(machine, {}).get("b64", machine))


def _calls(rule: Rule, arch: int | None) -> frozenset[str]:
    """The system calls of a rule by name; none if it does not say for which architecture."""
    name = next((name for name, code in ARCHES.items() if code == arch), "")
    table = syscall_names().get(name, {})
    numbers = (word * 32 + bit for word, mask in enumerate(rule.mask) for bit in range(32) if mask >> bit & 1)
    return frozenset(table.get(number, str(number)) for number in numbers)
