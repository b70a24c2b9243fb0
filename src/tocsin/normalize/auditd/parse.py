"""Read single Linux audit records, from the kernel's netlink socket or from a log file.

The kernel prints the fields of a record type in one fixed order, so a record is split once and its values are taken by
position; the order is learnt from the first record that the careful parser has read. Whatever does not fit (quotes that
do not add up, names in another order, user-space messages) goes through the careful parser.

Source: linux/kernel/audit.c, auditsc.c; audit-userspace lib/audit_logging.c, auparse/ellist.c.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from tocsin.model.errors import InvalidRecord
from tocsin.normalize.auditd import tables
from tocsin.normalize.auditd.record import (
    MAX_SHARED_FIELDS,
    AuditRecord,
    Keys,
    ProcessPart,
    is_text,
    shared_keys,
    unescape,
)

__all__ = ["kernel_stamp", "parse_kernel", "parse_line"]

_HEADER: Final = re.compile(r"audit\((\d{1,11})\.(\d{3}):(\d{1,10})\)(?::(?: |$)| |$)", re.ASCII)
_STAMP: Final = re.compile(r"audit\((\d{1,11})\.(\d{3}):(\d{1,10})", re.ASCII)
_KIND: Final = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_UNKNOWN_KIND: Final = re.compile(r"UNKNOWN\[(\d{1,9})\]", re.ASCII)
_SELINUX: Final = re.compile(r"avc:\s+(\w+)\s+\{\s*([^}]*?)\s*\}\s+for\s")
# AppArmor prints its mode after the profile: subj=docker-default (enforce).
_FIELD: Final = re.compile(
    r"""(?<![^ (])(?P<key>[A-Za-z_][\w\-\[\]]*)="""
    r"""(?:"(?P<quoted>[^"]*)"|(?P<bare>[^ ]*(?:\ \((?:enforce|complain|kill)\))?))""",
    re.ASCII,
)
_ENRICHED: Final = "\x1d"
# What auditd adds behind it: AUID="root" SADDR={ saddr_fam=inet laddr=127.0.0.1 lport=9 }.
_WORDS: Final = re.compile(r"(?: [^\s=\"']+(?=\s|$))+")
_ENRICHMENT: Final = re.compile(r"""([A-Z][A-Z0-9_]*)=(?:"([^"]*)"|(\{[^}]*\}|\S*))""", re.ASCII)
_MAX_SERIAL: Final = 2**32 - 1


_NO_KEYS: Final = Keys((), arguments=False)
_PROCTITLE_KEYS: Final = Keys(("proctitle",), arguments=False)
_learnt: dict[str, dict[int, Keys]] = {}
# Kinds whose bodies come again and again, as the loader's PATH does with every program: each is read once.
# The kernel prints what was called first, then who called, beginning with this; no value before it holds a blank.
_PROCESS_PART: Final = " ppid="
_REPEATED: Final = frozenset({"PATH", "CWD", "SOCKADDR"})


def parse_kernel(type_number: int, payload: bytes) -> AuditRecord:
    """Read the payload of one netlink audit message.

    Raises:
        InvalidRecord: it has no readable audit(time:serial) header.
    """
    text = str(payload, "utf-8", "backslashreplace").rstrip("\0\n")
    return _parse(tables.record_type(type_number), "", text)


def kernel_stamp(payload: bytes) -> tuple[int, int] | None:
    """Time in ms and serial of a kernel's record, of which no more is needed; None if they cannot be read."""
    return _stamp(str(payload, "utf-8", "backslashreplace").partition("): ")[0])


def parse_line(line: str | bytes) -> AuditRecord:
    """Read one line of an audit log, raw or enriched, with or without its node.

    Raises:
        InvalidRecord: the line has no type or no readable audit(time:serial) header.
    """
    text = line if isinstance(line, str) else str(line, "utf-8", "backslashreplace")
    text = text.strip("\r\n\0 ")
    node = ""
    if text.startswith("node="):
        node, _, text = text[5:].partition(" ")
    start = text.find(" msg=", 5)
    if start < 0 or not text.startswith("type="):
        raise InvalidRecord(f"no 'type=... msg=' at the start of the line: {_excerpt(text)}")
    return _parse(_kind(text[5:start]), node, text[start + 5 :])


def _parse(kind: str, node: str, text: str) -> AuditRecord:
    head, found, body = text.partition("): ")
    stamp = _stamp(head) if found else None
    if stamp is None:
        return _parse_odd_header(kind, node, text)
    if not body:
        return AuditRecord(kind, stamp[0], stamp[1], node, _NO_KEYS, [])
    if kind == "PROCTITLE":
        return AuditRecord(kind, stamp[0], stamp[1], node, _PROCTITLE_KEYS, [_proctitle(body)])
    if kind in _REPEATED:
        keys, values = _repeated(kind, body)
        return AuditRecord(kind, stamp[0], stamp[1], node, keys, values)
    if kind == "SYSCALL" and (end := body.find(_PROCESS_PART)) > 0 and _ENRICHED not in body:
        process = _process_part(body[end + 1 :])
        keys, values = _fields(kind, body[:end])
        return AuditRecord(kind, stamp[0], stamp[1], node, process.keys_after(keys), values + process.values, process)
    keys, values = _fields(kind, body)
    return AuditRecord(kind, stamp[0], stamp[1], node, keys, values)


def _fields(kind: str, body: str) -> tuple[Keys, list[str]]:
    """Names and values by position if their order is known, else with care."""
    by_length = None if _ENRICHED in body else _learnt.get(kind)
    if by_length is not None:
        parts = body.replace(" ", "=").split("=")
        keys = by_length.get(len(parts))
        if keys is not None and parts[::2] == keys.names:
            values = parts[1::2]
            if _unquote(keys.text, values) == body.count('"'):
                return keys, values
    return _parse_fields(kind, body)


@lru_cache(maxsize=512)
def _repeated(kind: str, body: str) -> tuple[Keys, list[str]]:
    return _fields(kind, body)


@lru_cache(maxsize=1024)
def _process_part(body: str) -> ProcessPart:
    return ProcessPart(*_fields("SYSCALL", body))


def _parse_odd_header(kind: str, node: str, text: str) -> AuditRecord:
    """Read records that auditd itself writes, `audit(1.2:3) config changed`, or that have no body."""
    header = _HEADER.match(text)
    stamp = _stamp(text[: header.end(3)]) if header else None
    if header is None or stamp is None:
        # AUDIT_REPLACE carries a bare process id in binary and no header; auditd logs it all the same.
        if kind == "REPLACE":
            return AuditRecord(kind, 0, 0, node, shared_keys(("msg",)), [text])
        raise InvalidRecord(f"{kind} record without a readable audit(time:serial) header: {_excerpt(text)}")
    keys, values = _parse_fields(kind, text[header.end() :])
    return AuditRecord(kind, stamp[0], stamp[1], node, keys, values)


@lru_cache(maxsize=128)  # of the few events that are under way at one time
def _stamp(head: str) -> tuple[int, int] | None:
    """Time in ms and serial; the records of one event share it, hence the cache."""
    found = _STAMP.fullmatch(head)
    if found is None or int(found[3]) > _MAX_SERIAL:
        return None
    return int(found[1]) * 1000 + int(found[2]), int(found[3])


@lru_cache(maxsize=1024)
def _kind(text: str) -> str:
    unknown = _UNKNOWN_KIND.fullmatch(text)
    if unknown:
        return tables.record_type(int(unknown[1]))
    if _KIND.fullmatch(text) is None:
        raise InvalidRecord(f"not a record type: {_excerpt(text)}")
    return text


def _proctitle(body: str) -> str:
    """The command line, its arguments set apart by blanks as people write it; the kernel has NULs there."""
    printed = body.strip().removeprefix("proctitle=")
    if printed[:1] == '"':
        return printed.strip('"')
    return unescape(printed).rstrip("\0").replace("\0", " ")


def _unquote(text_positions: tuple[int, ...], values: list[str]) -> int:
    """Decode the strings among `values` in place; answer how many quotes were taken off."""
    quotes = 0
    for at in text_positions:
        value = values[at]
        if value[:1] == '"':
            if value[-1] != '"':
                return -1
            values[at] = value[1:-1]
            quotes += 2
        elif value != "(null)":
            values[at] = unescape(value)
    return quotes


def _parse_fields(kind: str, body: str) -> tuple[Keys, list[str]]:
    """Read any body with care, and remember the order of its names if the kernel alone prints this kind."""
    plain, _, enriched = body.partition(_ENRICHED)
    pairs = _pairs(kind, plain)
    if enriched:
        pairs += [(key, quoted or bare) for key, quoted, bare in _ENRICHMENT.findall(enriched)]
    if not pairs and plain.strip():
        pairs = [("msg", plain.strip())]
    keys = shared_keys(tuple(key for key, _ in pairs), arguments=kind == "EXECVE")
    if not enriched and tables.is_kernel_type(kind) and 0 < len(keys) <= MAX_SHARED_FIELDS:
        _learnt.setdefault(kind, {})[2 * len(keys)] = keys
    return keys, [value for _, value in pairs]


def _pairs(kind: str, body: str) -> list[tuple[str, str]]:
    """Names and values in order; the message that user space put in msg='...' is read as part of the record."""
    if kind in {"AVC", "USER_AVC"}:
        body = _SELINUX.sub(_selinux_fields, body)
    elif kind == "LOGIN":
        # Kernels before 3.3 wrote "old auid=... new auid=...".
        body = body.replace("old ", "old_").replace("new ", "new_")
    before, found, message = body.partition("msg='")
    if not found:
        return _scan(kind, body)
    inner, _, after = message.rpartition("'") if "'" in message else (message, "", "")
    return _scan(kind, before) + _scan(kind, inner) + _scan(kind, after)


def _scan(kind: str, text: str) -> list[tuple[str, str]]:
    pairs = []
    for field in _FIELD.finditer(text):
        key, quoted, bare = field["key"], field["quoted"], field["bare"]
        if key == "op" and bare:
            # shadow-utils writes words: op=adding user to group id=1000.
            words = _WORDS.match(text, field.end())
            pairs.append((key, _value(key, bare + (words[0] if words else ""), kind)))
        elif key.endswith("]"):  # a chunk of a long argument keeps its quotes: only the joined bytes can be decoded
            pairs.append((key, f'"{quoted}"' if quoted is not None else bare))
        else:
            pairs.append((key, quoted if quoted is not None else _value(key, bare, kind)))
    return pairs


def _value(key: str, text: str, kind: str) -> str:
    """A value as printed, without what programs put around it: `(hostname=?, terminal=cron)`."""
    value = text.rstrip('"')
    if not tables.is_kernel_type(kind):
        value = value.rstrip("\"',")
        if value.endswith(")") and "(" not in value:
            value = value[:-1]
    return unescape(value) if is_text(key, arguments=kind == "EXECVE") else value


def _selinux_fields(found: re.Match[str]) -> str:
    return f"seresult={found[1]} seperms={','.join(found[2].split())} "


def _excerpt(text: str) -> str:
    return repr(text[:80])
