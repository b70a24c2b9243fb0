"""A Linux audit record, and how audit encodes the strings in it.

Source: linux/kernel/audit.c (audit_log_untrustedstring), audit-userspace lib/audit_logging.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Final, Self

__all__ = [
    "MAX_SHARED_FIELDS",
    "AuditRecord",
    "Keys",
    "Picker",
    "ProcessPart",
    "is_text",
    "shared_keys",
    "unescape",
    "unescape_bytes",
]

# Printed by audit_log_untrustedstring: in quotes, or in hex when a byte is a quote, a blank or not printable ASCII.
_TEXT_FIELDS: Final = frozenset(
    (
        "acct",
        "cmd",
        "comm",
        "cwd",
        "data",
        "device",
        "dir",
        "exe",
        "file",
        "grp",
        "invalid_context",
        "key",
        "name",
        "ocomm",
        "path",
        "proctitle",
        "vm",
        "watch",
        "new-chardev",
        "new-disk",
        "new-fs",
        "new-rng",
        "old-chardev",
        "old-disk",
        "old-fs",
        "old-rng",
    )
)
MAX_SHARED_FIELDS: Final = 64
_ARGUMENT: Final = re.compile(r"a\d+")


Picker = Callable[[list[str]], tuple[str, ...]]


class Keys(tuple[str, ...]):  # noqa: SLOT001 - a tuple cannot have slots of its own
    """The field names of a record in their order; one shared object for all records of the same shape."""

    position: dict[str, int]
    names: list[str]
    text: tuple[int, ...]
    pickers: dict[str, Picker]

    def __new__(cls, names: tuple[str, ...], *, arguments: bool) -> Self:
        """Keep `names`; `arguments` says that a0, a1, ... are strings, as they are in EXECVE only."""
        keys = super().__new__(cls, names)
        keys.names = list(names)
        keys.position = {name: at for at, name in reversed(list(enumerate(names)))}
        keys.text = tuple(at for at, name in enumerate(names) if is_text(name, arguments=arguments))
        keys.pickers = {}
        return keys

    def picker(self, fields: tuple[str, ...]) -> Picker:
        """What takes these fields from the values of a record of this shape; those it lacks are empty."""
        take = itemgetter(*(self.position.get(name, -1) for name in fields))
        return lambda values: take([*values, ""])


class ProcessPart:
    """The end of a SYSCALL record, which names the process: the same in all its records until it changes, read once.

    `attributes` holds what has been made of it, by prefix.
    """

    __slots__ = ("_head", "_whole", "attributes", "keys", "values")

    def __init__(self, keys: Keys, values: list[str]) -> None:
        self.keys, self.values = keys, values
        self.attributes: dict[str, dict[str, str | int | bool]] = {}
        self._head = self._whole = keys

    def keys_after(self, head: Keys) -> Keys:
        """The keys of a whole record that begins with these; heads are nearly always the same object."""
        if self._head is not head:
            self._head, self._whole = head, shared_keys((*head, *self.keys))
        return self._whole


class AuditRecord:
    """One audit record: `values` in the order of `keys`, unquoted and decoded; a name may occur twice.

    Records with the same `process` were written about the same process in the same state. Only the values of records
    that hold what a person typed (EXECVE, PROCTITLE, USER_*) may be changed; others share theirs.
    """

    __slots__ = ("keys", "node", "process", "serial", "time_ms", "type", "values")

    def __init__(
        self,
        type: str,  # noqa: A002 - the field's own word
        time_ms: int,
        serial: int,
        node: str,
        keys: Keys,
        values: list[str],
        process: ProcessPart | None = None,
    ) -> None:
        self.type = type
        self.time_ms = time_ms
        self.serial = serial
        self.node = node
        self.keys = keys
        self.values = values
        self.process = process

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field, or `default`."""
        at = self.keys.position.get(name)
        return default if at is None else self.values[at]

    def fields(self) -> dict[str, str]:
        """Every field by name; a name that occurs again gets `#2`, `#3`, so that none is lost."""
        if len(self.keys.position) == len(self.keys):
            return dict(zip(self.keys, self.values, strict=True))
        found: dict[str, str] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            name, again = key, 2
            while name in found:
                name, again = f"{key}#{again}", again + 1
            found[name] = value
        return found

    def __repr__(self) -> str:
        return f"AuditRecord({self.type} {self.time_ms}:{self.serial} {self.fields()})"


def shared_keys(names: tuple[str, ...], *, arguments: bool = False) -> Keys:
    """The one `Keys` object for these names; one of its own for a record with so many that few are like it."""
    return _shared_keys(names, arguments) if len(names) <= MAX_SHARED_FIELDS else Keys(names, arguments=arguments)


@lru_cache(maxsize=1024)
def _shared_keys(names: tuple[str, ...], arguments: bool) -> Keys:  # noqa: FBT001 - a cache key
    return Keys(names, arguments=arguments)


def unescape(value: str) -> str:
    """Decode an unquoted string as the kernel prints it in hex; anything else stays as it is."""
    raw = unescape_bytes(value)
    return value if raw is None else raw.decode("utf-8", "backslashreplace")


def unescape_bytes(value: str) -> bytes | None:
    """Bytes of a string that the kernel prints in hex, or None: it prints capital letters only."""
    if len(value) % 2 or not value or value.upper() != value:
        return None
    try:
        return bytes.fromhex(value)
    except ValueError:
        return None


def is_text(name: str, *, arguments: bool) -> bool:
    """Is this the name of a field that the kernel prints encoded? `arguments`: a0, a1, ... are strings, in EXECVE."""
    return name in _TEXT_FIELDS or (arguments and _ARGUMENT.fullmatch(name) is not None)
