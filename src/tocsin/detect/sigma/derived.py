"""Names that rules use for what records carry as numbers, written out as conditions over the numbers.

auditd interprets `arch` and `syscall` only when it enriches its log; rules say `SYSCALL: execve` all the same.
"""

from __future__ import annotations

from tocsin.conditions.literal import passes
from tocsin.model.condition import And, Condition, Exists, Field, Match, Or, Relation, Scope, Test, Text
from tocsin.normalize.auditd.tables import ARCHITECTURES, syscall_names

__all__ = ["names_syscall", "syscall_condition"]

_NAME, _ARCH, _NUMBER = (Field(key, Scope.RECORD) for key in ("SYSCALL", "arch", "syscall"))
_KEYS = frozenset({_NAME.path, _NUMBER.path})


def names_syscall(field: Field) -> bool:
    """Does a rule that tests this field mean the system call, by name or number?"""
    return field.scope is Scope.RECORD and field.path in _KEYS


def syscall_condition(test: Test, written: str) -> Condition:
    """The system call passes the test: its name as enriched logs print it, its number, or the name of that number."""
    by_arch = [
        And((_is(_ARCH, arch, written), Or(tuple(_is(_NUMBER, number, written) for number in numbers))))
        for arch, name in ARCHITECTURES.items()
        if (numbers := _numbers(name, test))
    ]
    return Or((Match(_NAME, test, written), Match(_NUMBER, test, written), *by_arch))


def _numbers(architecture: str, test: Test) -> list[str]:
    if isinstance(test, Exists):
        return []
    names = syscall_names().get(architecture, {})
    return [str(number) for number, name in names.items() if passes(test, name)]


def _is(field: Field, value: str, written: str) -> Match:
    return Match(field, Text(Relation.EQUALS, value, cased=True), written)
