"""Which container a cgroup belongs to, asked once per cgroup.

The sensor names a process's cgroup by its id: that in version 2's hierarchy, or that of the memory controller where
version 1 rules. The path is read from the process, or if that has ended, found by the id.

Source: cgroups(7), open_by_handle_at(2); linux/fs/kernfs/mount.c (the handle of a cgroup is its id).
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tocsin.agent.host.procfs import container_of, read_cgroup

if TYPE_CHECKING:
    from tocsin.agent.host.procfs import Container
    from tocsin.model.event import Value

__all__ = ["Cgroups"]

MOUNTS: Final = Path("/proc/self/mounts")
MAX_KNOWN: Final = 4096
VERSION_1: Final = 1 << 63
HANDLE: Final = struct.Struct("=IiQ")  # size, type, id
KERNFS_HANDLE: Final = 0xFE

_libc = ctypes.CDLL(None, use_errno=True)


class Cgroups:
    """The containers of cgroups by their ids; bounded, forgotten all at once when there are too many."""

    def __init__(self, mounts: Path = MOUNTS) -> None:
        self._known: dict[int, tuple[tuple[str, str], ...]] = {}
        self._mount = _version_2(mounts)

    def container(self, cgroup: int, pid: int, prefix: str) -> dict[str, Value]:
        """Attributes of the container that a process runs in, under a prefix; none if it runs in none."""
        found = self._known.get(cgroup)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._look(cgroup, pid)
        return {f"{prefix}.container.{name}": value for name, value in found} if found else {}

    def _look(self, cgroup: int, pid: int) -> tuple[tuple[str, str], ...]:
        paths = read_cgroup(pid) or (b"" if cgroup & VERSION_1 else self._by_id(cgroup))
        found = _attributes(container_of(paths))
        if paths:
            self._known[cgroup] = found
        return found

    def _by_id(self, cgroup: int) -> bytes:
        """The path of a cgroup of version 2; empty if it is gone, or the mount is not to be seen."""
        if not self._mount:
            return b""
        mount = os.open(self._mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            handle = ctypes.create_string_buffer(HANDLE.pack(8, KERNFS_HANDLE, cgroup), HANDLE.size)
            found = _libc.open_by_handle_at(mount, handle, os.O_PATH | os.O_CLOEXEC)
        finally:
            os.close(mount)
        if found < 0:
            return b""
        try:
            return os.readlink(f"/proc/self/fd/{found}").encode()  # noqa: PTH115 - a link of the kernel's own
        finally:
            os.close(found)


def _attributes(container: Container | None) -> tuple[tuple[str, str], ...]:
    if container is None:
        return ()
    known = (("uid", container.uid), ("runtime", container.runtime), ("pod_uuid", container.pod_uuid))
    return tuple((name, value) for name, value in known if value)


def _version_2(mounts: Path) -> str:
    fields = [line.split() for line in mounts.read_text().splitlines()]
    return next((field[1] for field in fields if field[2] == "cgroup2"), "")
