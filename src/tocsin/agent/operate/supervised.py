"""Ending with the supervisor: a child that outlived it would keep its port, its log and the kernel's audit."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

__all__ = ["SUPERVISOR", "end_with_agent", "end_with_supervisor"]

SUPERVISOR: Final = "TOCSIN_SUPERVISOR"  # variable with the supervisor's process id
PR_SET_PDEATHSIG: Final = 1


def end_with_supervisor() -> None:
    """Be sent SIGTERM when the supervisor dies, however it dies; nothing if this process has none."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it has died already
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_agent(agent: int) -> None:
    """In a child that the agent has forked: die when it dies, however it dies.

    A child that outlived it would hold the state folder's lock and the audit's socket, and no agent could follow.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:  # it has died already
        os._exit(1)
