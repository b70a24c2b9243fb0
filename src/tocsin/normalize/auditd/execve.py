"""Put together the arguments of a program that the kernel had to spread over several EXECVE records.

A record holds about 7,500 bytes. Arguments go on in the next record, which has no `argc`; one that is too long for a
record comes in chunks, `a1_len=8293 a1[0]=... a1[1]=...`, each in hex or in quotes. A chunk may end in the middle of a
UTF-8 sequence, so bytes are joined before they are decoded.

Source: linux/kernel/auditsc.c, audit_log_execve_info.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tocsin.normalize.auditd.record import AuditRecord, shared_keys, unescape_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_partial", "join"]


def is_partial(record: AuditRecord) -> bool:
    """Does this EXECVE record need others to be understood?"""
    keys = record.keys
    return bool(keys) and (keys[0] != "argc" or keys[-1].endswith("]"))


def join(records: Sequence[AuditRecord]) -> AuditRecord:
    """One EXECVE record with whole arguments, in the place of the first of `records`."""
    values: dict[str, str] = {}
    chunks: dict[str, bytearray] = {}
    for key, value in _fields(records):
        name, chunked, _ = key.partition("[")
        if chunked:
            values.setdefault(name, "")
            chunks.setdefault(name, bytearray()).extend(_chunk_bytes(value))
        elif not key.endswith("_len"):
            values.setdefault(key, value)
    for name, raw in chunks.items():
        values[name] = raw.decode("utf-8", "backslashreplace")
    first = records[0]
    keys = shared_keys(tuple(values), arguments=True)
    return AuditRecord(first.type, first.time_ms, first.serial, first.node, keys, list(values.values()))


def _fields(records: Sequence[AuditRecord]) -> Iterator[tuple[str, str]]:
    for record in records:
        yield from zip(record.keys, record.values, strict=True)


def _chunk_bytes(printed: str) -> bytes:
    """Bytes of a chunk as printed, in quotes or in hex."""
    if printed[:1] == '"':
        return printed.strip('"').encode()
    raw = unescape_bytes(printed)
    return printed.encode() if raw is None else raw
