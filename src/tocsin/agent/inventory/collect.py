"""Everything that a host has, in a process of its own: the agent keeps neither the time nor the memory it takes."""

from __future__ import annotations

import os
import platform
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.inventory.accounts import accounts
from tocsin.agent.inventory.item import Item
from tocsin.agent.inventory.jobs import JOB_FOLDERS, UNIT_FOLDERS, cron_jobs, units
from tocsin.agent.inventory.languages import language_packages
from tocsin.agent.inventory.machine import machine
from tocsin.agent.inventory.packages import (
    APK_INSTALLED,
    DPKG_STATUS,
    DPKG_STATUS_FOLDER,
    RPM_FOLDERS,
    distribution_packages,
)
from tocsin.agent.inventory.ports import listening_ports
from tocsin.agent.operate.supervised import end_with_agent

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KINDS", "WATCHED", "Collection", "collect"]

ROOT: Final = Path("/")
POLITELY: Final = 10
LARGEST_READ: Final = 1 << 16
KINDS: Final = ("machine", "account", "job", "unit", "port", "package")
# Files and folders whose times change with the items of a kind; ports are looked at themselves.
WATCHED: Final = {
    "account": ("etc/passwd", "etc/group"),
    "job": JOB_FOLDERS,
    "unit": (*UNIT_FOLDERS, "etc/systemd/system/multi-user.target.wants"),
    "package": (DPKG_STATUS, DPKG_STATUS_FOLDER, APK_INSTALLED, *RPM_FOLDERS),
}


def collect(kinds: Iterable[str], language_roots: Iterable[str], root: Path = ROOT) -> list[Item]:
    """The items of those kinds."""
    found: list[Item] = []
    for kind in kinds:
        if kind == "package":
            found += distribution_packages(root, _distribution())
            found += language_packages(language_roots)
        else:
            source = {"machine": machine, "port": listening_ports}.get(kind)
            of_root = {"account": accounts, "job": cron_jobs, "unit": units}
            found += source() if source else of_root[kind](root)
    return found


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["ID"]
    except (OSError, KeyError):
        return "linux"


class Collection:
    """A child process that collects; `take` gives its items when all have come."""

    def __init__(self, kinds: tuple[str, ...], language_roots: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.descriptor, its_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.descriptor, False)
        self._read = bytearray()
        agent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            end_with_agent(agent)
            _collect_and_end(its_end, kinds, language_roots)
        os.close(its_end)

    def take(self) -> list[Item] | None:
        """The items, None while there are more to come; empty if the child failed, then `failed` is set."""
        while True:
            try:
                part = os.read(self.descriptor, LARGEST_READ)
            except BlockingIOError:
                return None
            if not part:
                break
            self._read += part
        return self._finish()

    def _finish(self) -> list[Item] | None:
        os.close(self.descriptor)
        self.descriptor = -1
        _, status = os.waitpid(self._pid, 0)
        self.failed = bool(status)
        return [] if self.failed else msgspec.msgpack.decode(bytes(self._read), type=list[Item])

    failed = False

    def stop(self) -> None:
        """End it, whatever it has."""
        if self.descriptor >= 0:
            os.kill(self._pid, signal.SIGKILL)
            os.close(self.descriptor)
            os.waitpid(self._pid, 0)
            self.descriptor = -1


def _collect_and_end(descriptor: int, kinds: tuple[str, ...], language_roots: tuple[str, ...]) -> None:
    """In the child: never returns into the agent's loop, whatever happens."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.nice(POLITELY)
        with os.fdopen(descriptor, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(collect(kinds, language_roots)))
        status = 0
    finally:
        os._exit(status)
