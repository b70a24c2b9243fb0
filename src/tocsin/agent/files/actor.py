"""Who a process is, by /proc alone: for changes that audit tells nothing about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.agent.host import procfs
from tocsin.normalize.auditd.acting import file_values

if TYPE_CHECKING:
    from tocsin.model.event import Value

__all__ = ["Actors"]

REMEMBERED_S: Final = 5.0
MAX_REMEMBERED: Final = 512
UNSET: Final = 0xFFFFFFFF


class Actors:
    """Looks processes up, each once in a few seconds: a process that changes many files is asked for each of them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, dict[str, Value]]] = {}

    def find(self, pid: int, at: float) -> dict[str, Value]:
        """The attributes of the acting process; of one that is gone, its id alone."""
        known = self._known.get(pid)
        if known is None or at - known[0] > REMEMBERED_S:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            known = self._known[pid] = (at, _read(pid))
        return known[1]


def _read(pid: int) -> dict[str, Value]:
    if pid <= 0:  # the kernel itself, or a process of another pid namespace
        return {}
    values: dict[str, Value] = {"actor.process.pid": pid}
    stat = procfs.read_stat(pid)
    if stat is None:
        return values
    values |= {"actor.process.name": stat.name, "actor.process.parent_process.pid": stat.parent_pid}
    exe = procfs.read_exe(pid)
    if exe:
        values |= file_values("actor.process.file", exe)
    identity = procfs.read_identity(pid)
    if identity is not None:
        values |= {"actor.process.euid": identity.euid, "actor.process.egid": identity.egid}
        values |= {"actor.process.user.uid": str(identity.uid), "actor.user.uid": str(identity.uid)}
        if identity.auid != UNSET:
            values["actor.process.auid"] = identity.auid
        if identity.session != UNSET:
            values["actor.process.session.uid"] = str(identity.session)
    return values
