"""Compile audit rules as auditctl writes them into what the kernel takes.

Each line of a rule file becomes a `Rule` or a `Setting`, or an `InvalidRule` with file and line: one bad line never
costs the others. A system call that another architecture has is left out where this one lacks it, so that one file
serves all; a rule left with none is invalid.

Source: auditctl(8), linux/audit.h (struct audit_rule_data).
"""

from __future__ import annotations

import errno
import functools
import grp
import platform
import pwd
import shlex
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tocsin.agent.audit.rule_fields import (
    ACTIONS,
    ADDRESS_FAMILIES,
    ARCHES,
    BITS,
    COMPARISONS,
    FIELDS,
    FILETYPES,
    FILTERS,
    OPERATORS,
    PERMISSIONS,
)
from tocsin.model.errors import InvalidRule
from tocsin.normalize.auditd.tables import syscall_names, type_number

__all__ = ["EVERY_SYSCALL", "PREPEND", "Rule", "RuleFile", "Setting", "compile_line", "compile_rules"]

PREPEND: Final = 0x10
UNSET: Final = 0xFFFFFFFF
MASK_WORDS: Final = 64
MAX_FIELDS: Final = 64
MAX_KEY_BYTES: Final = 256
KEY_SEPARATOR: Final = "\x01"
# The last 16 bits of the mask name classes of system calls, not system calls.
EVERY_SYSCALL: Final = (*(0xFFFFFFFF,) * (MASK_WORDS - 1), 0xFFFF)
EXIT_ONLY: Final = frozenset(range(100, 112)) | {FIELDS["saddr_fam"]} | frozenset(range(200, 204))
TEXT_FIELDS: Final = frozenset(
    {*range(13, 18), *range(19, 24), FIELDS["path"], FIELDS["dir"], FIELDS["exe"], FIELDS["key"]}
)
PATH_FIELDS: Final = frozenset({"path", "dir", "exe"})


@dataclass(frozen=True, slots=True)
class Setting:
    """A line that sets something of the kernel's audit as a whole, named as auditctl's long options are."""

    name: str
    value: int


@dataclass(slots=True)
class Rule:
    """One rule, and the line that it comes from."""

    text: str
    list_flags: int = FILTERS["exit"]
    action: int = ACTIONS["always"]
    mask: tuple[int, ...] = EVERY_SYSCALL
    fields: list[tuple[int, int, int]] = field(default_factory=list)
    strings: list[bytes] = field(default_factory=list)
    folder: str = ""  # must be there, or the kernel refuses the rule

    def add_number(self, name: str, operator: str, value: int) -> None:
        """Append a condition on a numeric field."""
        self.fields.append((FIELDS[name], OPERATORS[operator], value & 0xFFFFFFFF))

    def add_text(self, name: str, operator: str, value: str) -> None:
        """Append a condition on a text field, whose value is its length and whose text goes to the end of the rule."""
        encoded = value.encode()
        self.fields.append((FIELDS[name], OPERATORS[operator], len(encoded)))
        self.strings.append(encoded)
        if name in PATH_FIELDS:
            self.folder = value if name == "dir" else str(Path(value).parent)

    def pack(self) -> bytes:
        """The rule as `struct audit_rule_data`."""
        columns = list(zip(*self.fields, strict=True)) or [(), (), ()]
        numbers, operators, values = (column + (0,) * (MAX_FIELDS - len(column)) for column in columns)
        strings = b"".join(self.strings)
        head = struct.pack("=3I", self.list_flags, self.action, len(self.fields))
        return head + struct.pack("=257I", *self.mask, *numbers, *values, *operators, len(strings)) + strings


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a rule file holds, in its order, and what of it cannot be used."""

    entries: tuple[Rule | Setting, ...]
    invalid: tuple[InvalidRule, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Rule))


def compile_rules(text: str, path: str, machine: str | None = None) -> RuleFile:
    """Compile a rule file's text; `path` names it in errors, `machine` is the one it is for, by default this one."""
    entries: list[Rule | Setting] = []
    invalid: list[InvalidRule] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entry = compile_line(line, machine)
        except InvalidRule as error:
            invalid.append(InvalidRule(error.reason, path, number))
        else:
            if entry is not None:
                entries.append(entry)
    return RuleFile(tuple(entries), tuple(invalid))


def compile_line(line: str, machine: str | None = None) -> Rule | Setting | None:
    """Compile one line; None for a comment, an empty line, or an option that only matters to auditctl itself.

    Raises:
        InvalidRule: without file and line, which the caller knows.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InvalidRule(f"cannot be read: {error}") from error
    if words[0] in _SETTINGS:
        return _setting(words)
    if words[0] in {"-a", "-A", "-w"}:
        return _compile(line, _options(words), machine or platform.machine())
    if words[0] in {"-c", "-i"}:
        return None
    raise InvalidRule(f"{words[0]} is not an option that a rule file may use here")


_SETTINGS = {
    "-D": "delete_all",
    "-b": "backlog_limit",
    "-e": "enabled",
    "-f": "failure",
    "-r": "rate_limit",
    "--backlog_wait_time": "backlog_wait_time",
    "--loginuid-immutable": "loginuid_immutable",
}
_WITHOUT_VALUE = {"-D", "--loginuid-immutable"}


def _setting(words: list[str]) -> Setting:
    option, rest = words[0], words[1:]
    if option in _WITHOUT_VALUE:
        return Setting(_SETTINGS[option], 1)
    if len(rest) != 1:
        raise InvalidRule(f"{option} takes one number")
    return Setting(_SETTINGS[option], _integer(rest[0]))


def _options(words: list[str]) -> list[tuple[str, str]]:
    options = list(zip(words[::2], words[1::2], strict=False))
    for option, _ in options:
        if option not in {"-a", "-A", "-w", "-S", "-F", "-C", "-k", "-p"}:
            raise InvalidRule(f"{option} is not an option of a rule")
    if len(words) % 2:
        raise InvalidRule(f"{words[-1]} lacks its value or its option")
    return options


def _compile(line: str, options: list[tuple[str, str]], machine: str) -> Rule:
    rule = Rule(line)
    for option, value in options:
        if option in {"-a", "-A"}:
            _set_list(rule, value, prepend=option == "-A")
        elif option == "-w":
            _add_watch(rule, value)
        elif option == "-F":
            _add_field(rule, value, machine)
        elif option == "-C":
            _add_comparison(rule, value)
        elif option == "-p":
            _add_permissions(rule, "=", value)
    _finish_watch(rule, options)
    _add_keys(rule, [value for option, value in options if option == "-k"])
    _set_syscalls(rule, [name for option, value in options if option == "-S" for name in value.split(",")], machine)
    if len(rule.fields) > MAX_FIELDS:
        raise InvalidRule(f"{len(rule.fields)} conditions, at most {MAX_FIELDS} are possible")
    return rule


def _set_list(rule: Rule, value: str, *, prepend: bool) -> None:
    names = value.split(",")
    lists = [FILTERS[name] for name in names if name in FILTERS]
    actions = [ACTIONS[name] for name in names if name in ACTIONS]
    if len(names) != 2 or len(lists) != 1 or len(actions) != 1:  # noqa: PLR2004 - a list and an action
        raise InvalidRule(f"{value} does not name one list and one action, such as always,exit")
    rule.list_flags = lists[0] | (PREPEND if prepend else 0)
    rule.action = actions[0]


def _add_watch(rule: Rule, path: str) -> None:
    trimmed = path.rstrip("/") or "/"
    is_folder = path.endswith("/") or Path(path).is_dir()
    rule.add_text("dir" if is_folder else "path", "=", _absolute(trimmed))


def _finish_watch(rule: Rule, options: list[tuple[str, str]]) -> None:
    """A watch without permissions means all; its path comes first, whatever the order of the options."""
    names = {option for option, _ in options}
    if "-w" not in names:
        return
    if "-p" not in names:
        _add_permissions(rule, "=", "rwxa")
    rule.fields.sort(key=lambda condition: condition[0] == FIELDS["perm"])


def _add_field(rule: Rule, condition: str, machine: str) -> None:
    name, operator, value = _split(condition)
    if name not in FIELDS or name == "field_compare":
        raise InvalidRule(f"{name} is not a field of audit rules")
    number, list_ = FIELDS[name], rule.list_flags & ~PREPEND
    if number in EXIT_ONLY and list_ not in {FILTERS["exit"], FILTERS["io_uring"], FILTERS["filesystem"]}:
        raise InvalidRule(f"{name} is only known when a system call ends: use the exit list")
    if number in TEXT_FIELDS:
        rule.add_text(name, operator, _absolute(value) if name in PATH_FIELDS else value)
    elif name == "perm":
        _add_permissions(rule, operator, value)
    else:
        rule.add_number(name, operator, _number(name, value, machine))


def _split(condition: str) -> tuple[str, str, str]:
    for start in range(len(condition)):
        for operator in OPERATORS:
            if condition.startswith(operator, start):
                return condition[:start], operator, condition[start + len(operator) :]
    raise InvalidRule(f"{condition} has no operator; one of {' '.join(OPERATORS)} is needed")


def _number(name: str, value: str, machine: str) -> int:
    if name == "arch":
        return _arch(value, machine)
    if value == "unset" and name in {"auid", "loginuid", "sessionid", "uid", "euid"}:
        return UNSET
    if name in _NAMED and not value.lstrip("-").isdigit():
        return _NAMED[name](value)
    return _integer(value)


def _integer(value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise InvalidRule(f"{value} is not a number") from None


def _arch(value: str, machine: str) -> int:
    name = BITS.get(machine, {}).get(value, value)
    if name in ARCHES:
        return ARCHES[name]
    if value in {"b32", "b64"}:
        raise InvalidRule(f"{value} has no meaning on {machine}")
    return int(value, 16) if value.startswith("0x") else _unknown("architecture", value)


def _user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return _unknown("user on this host", name)


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return _unknown("group on this host", name)


def _errno(name: str) -> int:
    sign = -1 if name.startswith("-") else 1
    code = getattr(errno, name.lstrip("-"), None)
    return sign * code if isinstance(code, int) else _unknown("error", name)


def _message_type(name: str) -> int:
    return type_number(name) or _unknown("record type", name)


def _filetype(name: str) -> int:
    return FILETYPES[name] if name in FILETYPES else _unknown("file type", name)


def _address_family(name: str) -> int:
    return ADDRESS_FAMILIES[name] if name in ADDRESS_FAMILIES else _unknown("address family", name)


def _unknown(what: str, name: str) -> int:
    raise InvalidRule(f"{name} is not a known {what}")


_USERS = ("uid", "euid", "suid", "fsuid", "auid", "loginuid", "obj_uid")
_GROUPS = ("gid", "egid", "sgid", "fsgid", "obj_gid")
_NAMED = {
    **dict.fromkeys(_USERS, _user),
    **dict.fromkeys(_GROUPS, _group),
    "exit": _errno,
    "msgtype": _message_type,
    "filetype": _filetype,
    "saddr_fam": _address_family,
}


def _add_comparison(rule: Rule, condition: str) -> None:
    left, operator, right = _split(condition)
    number = COMPARISONS.get(frozenset({left, right}))
    if number is None or operator not in {"=", "!="}:
        raise InvalidRule(f"{condition} is not a comparison that the kernel can make")
    rule.add_number("field_compare", operator, number)


def _add_permissions(rule: Rule, operator: str, letters: str) -> None:
    if not letters or set(letters) - set(PERMISSIONS):
        raise InvalidRule(f"{letters} are not permissions; use some of r, w, x, a")
    rule.add_number("perm", operator, sum(PERMISSIONS[letter] for letter in set(letters)))


def _add_keys(rule: Rule, keys: list[str]) -> None:
    joined = KEY_SEPARATOR.join(keys)
    if len(joined.encode()) > MAX_KEY_BYTES:
        raise InvalidRule(f"a key may have {MAX_KEY_BYTES} bytes")
    if joined:
        rule.add_text("key", "=", joined)


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise InvalidRule(f"{path} is not an absolute path")
    return path


def _set_syscalls(rule: Rule, names: list[str], machine: str) -> None:
    if not names or "all" in names:
        return
    arch = _arch_of(rule, machine)
    numbers = {number for name in names if (number := _syscall(name, arch)) is not None}
    if not numbers:
        raise InvalidRule(f"{arch} has none of the system calls {', '.join(names)}")
    mask = [0] * MASK_WORDS
    for number in numbers:
        mask[number // 32] |= 1 << number % 32
    rule.mask = tuple(mask)


def _arch_of(rule: Rule, machine: str) -> str:
    for number, _, value in rule.fields:
        if number == FIELDS["arch"]:
            return next(name for name, code in ARCHES.items() if code == value)
    return machine


def _syscall(name: str, arch: str) -> int | None:
    """The number of a system call, None if only other architectures have it."""
    if name.isdigit():
        return int(name)
    tables = _syscalls()
    name = name if name in tables.get(arch, {}) else _LIBC_NAMES.get(name, name)
    if name in tables.get(arch, {}):
        return tables[arch][name]
    if any(name in table for table in tables.values()):
        return None
    return _unknown("system call", name)


# What the kernel's headers call differently from auditctl.
_LIBC_NAMES = {"pread64": "pread", "pwrite64": "pwrite", "pread": "pread64", "pwrite": "pwrite64", "umount": "umount2"}


@functools.cache
def _syscalls() -> dict[str, dict[str, int]]:
    return {arch: {name: number for number, name in table.items()} for arch, table in syscall_names().items()}
