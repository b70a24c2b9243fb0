"""Lines of an audit log as the kernel and auditd write them, for events that somebody asks for."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator, Mapping

__all__ = ["Log"]

_X86_64 = "c000003e"
_EXECVE, _OPENAT, _CONNECT = "59", "257", "42"
_O_CREAT_WRITE = "241"
_CALL = (
    *("arch", "syscall", "success", "exit", "a0", "a1", "a2", "a3", "items", "ppid", "pid", "auid", "uid", "gid"),
    *("euid", "suid", "fsuid", "egid", "sgid", "fsgid", "tty", "ses", "comm", "exe", "subj", "key"),
)
_USER_SPACE = ["pid", "uid", "auid", "ses"]


class Log:
    """Writes events one after the other; each has its own second and serial."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._serial = 0

    def event(self, *records: tuple[str, Mapping[str, str]]) -> int:
        """Write an event of these records, in their order; gives its time in ms."""
        self._serial += 1
        second = 1_700_000_000 + self._serial
        for kind, fields in records:
            body = _user_message(fields) if kind not in _KERNEL else " ".join(_printed(kind, fields))
            self.lines.append(f"type={kind} msg=audit({second}.000:{self._serial}): {body}".encode())
        return second * 1000

    def launch(self, exe: str, arguments: list[str], **others: str) -> int:
        """A program starts: SYSCALL, EXECVE, CWD, PATH."""
        execve = {"argc": str(len(arguments)), **{f"a{n}": argument for n, argument in enumerate(arguments)}}
        return self.event(
            ("SYSCALL", call(_EXECVE, exe, **others)),
            ("EXECVE", execve),
            ("CWD", {"cwd": others.get("cwd", "/root")}),
            ("PATH", path(exe, "NORMAL")),
        )

    def create(self, name: str, exe: str, **others: str) -> int:
        """A file is created: SYSCALL openat, CWD, PATH of folder and file."""
        return self.event(
            ("SYSCALL", call(_OPENAT, exe, a0="ffffff9c", a2=_O_CREAT_WRITE, **others)),
            ("CWD", {"cwd": "/root"}),
            ("PATH", path(name.rpartition("/")[0] or "/", "PARENT")),
            ("PATH", path(name, "CREATE") | {"item": "1"}),
        )

    def connect(self, address: str, port: int, exe: str, **others: str) -> int:
        """A connection is opened: SYSCALL connect, SOCKADDR."""
        return self.event(
            ("SYSCALL", call(_CONNECT, exe, exit="-115", success="no", **others)),
            ("SOCKADDR", {"saddr": _sockaddr(address, port)}),
        )


def call(number: str, exe: str, **others: str) -> dict[str, str]:
    """The fields of a SYSCALL record."""
    fields = dict.fromkeys(_CALL, "0")
    fields |= {
        "arch": _X86_64,
        "syscall": number,
        "success": "yes",
        "ppid": "2",
        "pid": "77",
        "tty": "pts0",
        "ses": "3",
    }
    fields |= {"comm": exe.rpartition("/")[2][:15], "exe": exe, "subj": "unconfined", "key": "(null)"}
    return fields | {key: value for key, value in others.items() if key in fields}


def path(name: str, nametype: str) -> dict[str, str]:
    """The fields of a PATH record."""
    fields = {"item": "0", "name": name, "inode": "4711", "dev": "fd:01", "mode": "0100644", "ouid": "0", "ogid": "0"}
    return fields | {
        "rdev": "00:00",
        "nametype": nametype,
        "cap_fp": "0",
        "cap_fi": "0",
        "cap_fe": "0",
        "cap_fver": "0",
    }


_TEXTS = {"cwd", "name", "comm", "exe", "key", "proctitle", "data"}
_KERNEL = {"SYSCALL", "EXECVE", "CWD", "PATH", "SOCKADDR", "PROCTITLE"}


def _printed(kind: str, fields: Mapping[str, str]) -> Iterator[str]:
    for key, value in fields.items():
        is_text = key in _TEXTS or (kind == "EXECVE" and re.fullmatch(r"a\d+", key))
        yield f"{key}={_untrusted(value) if is_text else value}"


def _untrusted(value: str) -> str:
    """As audit_log_untrustedstring prints it: in quotes, or in hex if that could be misread."""
    if value == "(null)":
        return value
    raw = value.encode()
    if any(byte < 0x21 or byte > 0x7E or byte == 0x22 for byte in raw):
        return raw.hex().upper()
    return f'"{value}"'


def _user_message(fields: Mapping[str, str]) -> str:
    """As a program writes it: the kernel's part, then its own in msg='...'."""
    outer = {"pid": "1", "uid": "0", "auid": "4294967295", "ses": "4294967295"}
    outer |= {key: fields[key] for key in _USER_SPACE if key in fields}
    inner = {"comm": "systemd", "exe": "/usr/lib/systemd/systemd", "hostname": "?", "addr": "?", "terminal": "?"}
    inner = (
        {key: value for key, value in fields.items() if key not in outer} | inner | dict(fields) | {"res": "success"}
    )
    said = " ".join(f"{key}={_untrusted(value) if key in _TEXTS else value}" for key, value in inner.items())
    return " ".join(f"{key}={value}" for key, value in outer.items()) + f" msg='{said}'"


def _sockaddr(address: str, port: int) -> str:
    found = ipaddress.ip_address(address)
    if found.version == 4:
        return (struct.pack("<H", 2) + struct.pack(">H", port) + found.packed + bytes(8)).hex().upper()
    return (struct.pack("<H", 10) + struct.pack(">HI", port, 0) + found.packed + bytes(4)).hex().upper()
