"""Bring the sensor's programs into the kernel, and keep nothing of what that takes.

libbpf reads all of the kernel's types, some 11 MB, which would stay the agent's largest moment. So a child of its own
loads, sends the descriptors of programs, maps and links, and ends; the kernel keeps what somebody has a descriptor of.
"""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.model.errors import InvalidSetting, NotAvailable

if TYPE_CHECKING:
    from tocsin.agent.config import EbpfSettings

__all__ = ["EXIT_PROGRAM", "LOST", "OBJECT", "PROGRAMS", "RING", "Descriptors", "load"]

OBJECT: Final = Path(__file__).parents[2] / "content" / "agent" / f"sensor-{platform.machine()}.bpf.o"
KERNEL_TYPES: Final = Path("/sys/kernel/btf/vmlinux")
RING, LOST = "records", "lost"
PROGRAMS, EXIT_PROGRAM = ("on_exec", "on_sys_exit"), "on_exit"
LEAST_RING_BYTES: Final = 1 << 16
LONGEST_ANSWER: Final = 4096
MOST_DESCRIPTORS: Final = 16


class Descriptors(msgspec.Struct):
    """File descriptors by the names of what they are; a program that has a link runs."""

    maps: dict[str, int]
    programs: dict[str, int]
    links: dict[str, int]

    def close(self) -> None:
        """Let go of all, so that the kernel forgets them."""
        for descriptor in (*self.links.values(), *self.programs.values(), *self.maps.values()):
            os.close(descriptor)


class _Answer(msgspec.Struct):
    """What the child says: the names in the order of the descriptors that come along, or why there are none."""

    maps: list[str] = []
    programs: list[str] = []
    links: list[str] = []
    problem: str = ""


def load(
    settings: EbpfSettings, *, attach: bool = True, path: Path = OBJECT, kernel_types: Path = KERNEL_TYPES
) -> Descriptors:
    """The sensor's programs in the kernel, running if they are to be attached.

    Raises:
        NotAvailable: says what is missing, and what would mend it.
        InvalidSetting: no ring buffer can have this size.
    """
    size = settings.ring_bytes
    if size < LEAST_RING_BYTES or size & (size - 1):
        raise InvalidSetting(f"ebpf.ring_bytes cannot be {size}: a power of two from {LEAST_RING_BYTES} on")
    if not kernel_types.exists():
        raise NotAvailable(f"{kernel_types} is missing: this kernel was built without CONFIG_DEBUG_INFO_BTF")
    if not path.exists():
        raise NotAvailable(f"{path} is missing: build it with `make ebpf`, or install a package that has it")
    programs = (*PROGRAMS, EXIT_PROGRAM) if settings.exits else PROGRAMS
    return _load_apart(path, programs, programs if attach else (), size)


def _load_apart(path: Path, programs: tuple[str, ...], attached: tuple[str, ...], ring_bytes: int) -> Descriptors:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            _answer(theirs, path, programs, attached, ring_bytes)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        text, descriptors, _, _ = socket.recv_fds(ours, LONGEST_ANSWER, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    os.waitpid(child, 0)
    answer = msgspec.json.decode(text, type=_Answer) if text else _Answer(problem="the child that loads them has died")
    if answer.problem:
        raise NotAvailable(answer.problem)
    waiting = iter(descriptors)
    return Descriptors(
        *({name: next(waiting) for name in names} for names in (answer.maps, answer.programs, answer.links))
    )


def _answer(
    sock: socket.socket, path: Path, programs: tuple[str, ...], attached: tuple[str, ...], ring_bytes: int
) -> None:
    """The child's whole life."""
    from tocsin.agent.bpf.library import LoadedObject  # noqa: PLC0415 - not in the agent

    try:
        loaded = LoadedObject.load(path, programs, RING, ring_bytes)
        links = [loaded.attach(name) for name in attached]
    except NotAvailable as error:
        sock.send(msgspec.json.encode(_Answer(problem=str(error))))
        return
    answer = _Answer([RING, LOST], list(programs), list(attached))
    maps = map(loaded.map_descriptor, answer.maps)
    descriptors = [*maps, *map(loaded.program_descriptor, programs), *links]
    socket.send_fds(sock, [msgspec.json.encode(answer)], descriptors)
