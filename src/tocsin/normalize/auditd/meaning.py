"""Which event class and activity a system call or a record type becomes; read from content/mappings/auditd.toml."""

from __future__ import annotations

import pkgutil
import tomllib
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from tocsin.normalize.auditd.tables import syscall_name, uring_operation

__all__ = ["NO_MEANING", "Meaning", "of_call", "of_record", "of_uring"]

_BASE_EVENT, _OTHER = 0, 99


class Meaning(NamedTuple):
    """What an audit event becomes."""

    code: str
    class_uid: int
    activity_id: int
    reader: str


NO_MEANING: Final = Meaning("", _BASE_EVENT, _OTHER, "none")


@cache
def _mapping() -> dict[str, dict[str, Meaning]]:
    text = (pkgutil.get_data("tocsin", "content/mappings/auditd.toml") or b"").decode()
    tables: dict[str, list[dict[str, Any]]] = tomllib.loads(text)
    return {table: _by_name(entries) for table, entries in tables.items()}


def _by_name(entries: list[dict[str, Any]]) -> dict[str, Meaning]:
    return {
        name: Meaning(name, entry["class"], entry["activity"], entry["read"])
        for entry in entries
        for name in entry["names"]
    }


@lru_cache(maxsize=4096)
def of_call(arch: str, number: str) -> Meaning:
    """Meaning of a system call from a record's `arch` and `syscall`."""
    name = syscall_name(arch, number)
    return _mapping()["calls"].get(name) or NO_MEANING._replace(code=name)


def of_uring(number: str) -> Meaning:
    """Meaning of an io_uring operation from a record's `uring_op`: that of the system call of the same name."""
    name = uring_operation(number)
    return _mapping()["calls"].get(name) or NO_MEANING._replace(code=name)


@lru_cache(maxsize=4096)
def of_record(kind: str, op: str = "") -> Meaning | None:
    """Meaning of a record type, refined by the operation it names; None if the type decides nothing."""
    found = _mapping()["records"].get(kind)
    by_op = _mapping()["ops"].get(op.replace("-", " ")) if found and op else None
    return by_op._replace(code=kind) if by_op else found
