"""What the values of an audit record mean: numbers become names, contexts and addresses are taken apart.

The names are those of Elastic's go-libaudit, whose published examples are the test.
"""

from __future__ import annotations

import signal
from typing import Final

from tocsin.normalize.auditd.record import AuditRecord
from tocsin.normalize.auditd.sockaddr import decode_sockaddr
from tocsin.normalize.auditd.tables import ARCHITECTURES, errno_name, syscall_name

__all__ = ["UNSET_IDS", "decode_sockaddr", "interpret", "is_success", "rule_keys", "syscall_name"]

UNSET_IDS: Final = frozenset({"4294967295", "-1"})
_UNSET_FIELDS: Final = ("auid", "old-auid", "ses")
_MEANINGLESS: Final = frozenset({"", "?", "(null)"})
_CONTEXT_PARTS: Final = ("user", "role", "domain", "level", "category")


def interpret(record: AuditRecord) -> dict[str, str]:
    """The fields of a record as a person reads them; those that say nothing are left out, `rule_keys` has the key."""
    fields = {key: value for key, value in record.fields().items() if value not in _MEANINGLESS and key != "key"}
    for name in _UNSET_FIELDS:
        if fields.get(name) in UNSET_IDS:
            fields[name] = "unset"
    if "exit" in fields:
        fields["exit"] = errno_name(fields["exit"])
    _name_result(fields)
    _split_context(fields, "subj")
    if record.type == "PATH":
        _split_context(fields, "obj")
    elif record.type in {"SYSCALL", "SECCOMP"}:
        _name_call(fields)
    elif record.type == "SOCKADDR":
        fields |= decode_sockaddr(fields.pop("saddr", ""))
    return fields


def rule_keys(record: AuditRecord) -> tuple[str, ...]:
    """The keys of the rules that asked for this record; the kernel puts a byte of value 1 between several."""
    printed = record.get("key")
    if printed in _MEANINGLESS:
        return ()
    # Old auditctl stored -k x as "key=x".
    return tuple(key.removeprefix("key=") for key in printed.split("\x01"))


def is_success(printed: str) -> bool:
    """Does `res` or `success` say that it worked? Kernel and programs write yes, 1 or success."""
    return printed[:3].lower() in {"yes", "1", "suc"}


def _name_result(fields: dict[str, str]) -> None:
    printed = fields.pop("success", None) or fields.pop("res", None)
    if printed is not None:
        fields["result"] = "success" if is_success(printed) else "fail"


def _name_call(fields: dict[str, str]) -> None:
    arch = fields.get("arch", "")
    if "syscall" in fields:
        fields["syscall"] = syscall_name(arch, fields["syscall"])
    if arch:
        fields["arch"] = ARCHITECTURES.get(arch, arch)
    if "sig" in fields:
        fields["sig"] = _signal_name(fields["sig"])


def _signal_name(number: str) -> str:
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return number


def _split_context(fields: dict[str, str], name: str) -> None:
    """SELinux user:role:domain:level:category, as far as it is there."""
    context = fields.pop(name, None)
    if context is not None:
        parts = context.split(":", len(_CONTEXT_PARTS) - 1)
        fields |= {f"{name}_{part}": value for part, value in zip(_CONTEXT_PARTS, parts, strict=False)}
