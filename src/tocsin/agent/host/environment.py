"""Variables of interest in the environment that a program was started with: what is loaded into it, what it hides.

Read from /proc while the process is there. Programs that end at once are gone by then, and so are the variables of one
that has started another program in the meantime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.host import procfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tocsin.agent.host.processes import Process

__all__ = ["Environment"]

LONGEST_VALUE: Final = 1024


class Environment:
    """Looks for variables by name; `redact` cleans a value before it leaves the host."""

    def __init__(self, names: Iterable[str], redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._wanted = tuple((name, b"\0" + name.encode() + b"=") for name in dict.fromkeys(names))

    def of(self, process: Process) -> str:
        """The variables of a program that has just been started, as OCSF's JSON; empty if none is of interest."""
        if not self._wanted or not process.from_proc:  # known from a record alone: it had ended by then
            return ""
        block = b"\0" + procfs.read_environment(process.pid)
        found = [(name, block.index(start) + len(start)) for name, start in self._wanted if start in block]
        # Only now, since it is rare: is it still this program's?
        if not found or procfs.read_exe(process.pid) != process.exe:
            return ""
        variables = [{"name": name, "value": self._value(block, at)} for name, at in found]
        return msgspec.json.encode(variables).decode()

    def _value(self, block: bytes, at: int) -> str:
        value = block[at : at + LONGEST_VALUE].partition(b"\0")[0]
        return self._redact(value.decode("utf-8", "backslashreplace"))
