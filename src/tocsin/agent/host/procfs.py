"""What /proc says about a process, read in as few system calls as possible.

Source: proc(5), cgroups(7).
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from typing import Final

__all__ = [
    "Container",
    "Identity",
    "Stat",
    "container_of",
    "read_cgroup",
    "read_cmd_line",
    "read_container",
    "read_environment",
    "read_exe",
    "read_identity",
    "read_stat",
]

LONGEST_STAT: Final = 1024
LONGEST_STATUS: Final = 4096
LONGEST_NUMBER: Final = 32
LONGEST_CGROUP: Final = 4096
LONGEST_CMD_LINE: Final = 4096
LONGEST_ENVIRONMENT: Final = 32768

_CONTAINER: Final = re.compile(
    r"(?:/|(docker|cri-containerd|crio|libpod)-)([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE
)
_POD: Final = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
_RUNTIMES: Final = {"docker": "docker", "cri-containerd": "containerd", "crio": "cri-o", "libpod": "podman"}


@dataclass(frozen=True, slots=True)
class Stat:
    """Of /proc/PID/stat, what identifies a process and places it in the tree."""

    name: str
    parent_pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose process it is; `auid` and `session` are 4294967295 where nobody logged in."""

    uid: int
    euid: int
    egid: int
    auid: int
    session: int


@dataclass(frozen=True, slots=True)
class Container:
    """The container of a cgroup path; an empty text is unknown."""

    uid: str
    runtime: str
    pod_uuid: str


def read_stat(pid: int) -> Stat | None:
    """None if the process is gone."""
    if not _exists(pid):
        return None
    content = _read(f"/proc/{pid}/stat", LONGEST_STAT)
    if not content:
        return None
    # comm may contain ")" and spaces, so the right-most ")" ends it (proc(5)).
    head, _, tail = content.rpartition(b") ")
    fields = tail.split(b" ", 20)
    return Stat(head.partition(b" (")[2].decode("utf-8", "backslashreplace"), int(fields[1]), int(fields[19]))


def read_identity(pid: int) -> Identity | None:
    """None if the process is gone."""
    status = _read(f"/proc/{pid}/status", LONGEST_STATUS)
    users, groups = _ids(status, b"\nUid:"), _ids(status, b"\nGid:")
    login = _read(f"/proc/{pid}/loginuid", LONGEST_NUMBER), _read(f"/proc/{pid}/sessionid", LONGEST_NUMBER)
    if not users or not groups or not all(login):
        return None
    return Identity(users[0], users[1], groups[1], int(login[0]), int(login[1]))


def _ids(status: bytes, label: bytes) -> list[int]:
    """Real, effective, saved and file system id."""
    return [int(number) for number in status.partition(label)[2].partition(b"\n")[0].split()]


def read_cmd_line(pid: int) -> str:
    """Arguments joined by spaces; empty for a kernel thread and for a process that is gone."""
    content = _read(f"/proc/{pid}/cmdline", LONGEST_CMD_LINE)
    return content.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")


def read_environment(pid: int) -> bytes:
    """The variables, as they were when the program was started, each with a NUL behind it; empty if it is gone."""
    return _read(f"/proc/{pid}/environ", LONGEST_ENVIRONMENT) if _exists(pid) else b""


def read_exe(pid: int) -> str:
    """Path of the executable; empty for a kernel thread and for a process that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - Path costs four times as much
    except OSError:
        return ""


def read_container(pid: int) -> Container | None:
    """The container that a process runs in, None if in none that has an id."""
    return container_of(read_cgroup(pid))


def read_cgroup(pid: int) -> bytes:
    """The paths of a process's cgroups; empty if it is gone."""
    return _read(f"/proc/{pid}/cgroup", LONGEST_CGROUP)


@functools.lru_cache(maxsize=1024)
def container_of(cgroup: bytes) -> Container | None:
    """The container named by the content of a cgroup file, of version 1 or 2."""
    text = cgroup.decode("utf-8", "replace")
    found = _CONTAINER.search(text)
    if found is None:
        return None
    pod = _POD.search(text)
    runtime = _RUNTIMES.get(found[1] or "", "docker" if "/docker/" in text else "")
    return Container(found[2], runtime, pod[1].replace("_", "-") if pod else "")


def _exists(pid: int) -> bool:
    """Whether there is such a process; to open what is not in /proc takes ten times as long."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's, or the number is none
        return True
    return True


def _read(path: str, limit: int) -> bytes:
    """The first bytes of a file in /proc; empty if it cannot be read, as when the process is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, limit)
    except OSError:  # ESRCH: it ended between open and read
        return b""
    finally:
        os.close(descriptor)
