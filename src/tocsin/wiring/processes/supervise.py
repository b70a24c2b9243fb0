"""One supervisor for all processes of `tocsin up`: start, restart with backoff, stop in order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tocsin.agent.operate.supervised import SUPERVISOR

__all__ = ["Child", "Supervisor"]

_log = structlog.get_logger(__name__)
_STOP_S = 15.0
_STABLE_S = 30.0
_LONGEST_BACKOFF_S = 30.0
_SAID_WHY = (2, 3)  # exit codes of a process that has said in a sentence why it cannot run


@dataclass
class Child:
    """A process that is to run until the end."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None  # this process's own if none
    error_file: Path | None = None  # standard error goes to this process's own if none
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    backoff_s: float = field(default=0.25)

    def start(self, now: float) -> None:
        """Start it with SIGINT and SIGHUP blocked: the supervisor stops it, and only who can renew itself unblocks."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        error = self.error_file.open("ab") if self.error_file else None
        inherited = os.environ if self.environment is None else self.environment
        environment = {**inherited, SUPERVISOR: str(os.getpid())}
        try:
            self.process = subprocess.Popen(self.command, env=environment, stderr=error)  # noqa: S603 -- our own
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            if error is not None:
                error.close()
        self.started_at = now

    def ended(self, now: float) -> int | None:
        """Its exit code if it has ended; then it is due again after a pause that doubles while it keeps failing."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        stable = now - self.started_at > _STABLE_S
        self.backoff_s = 0.25 if stable else min(self.backoff_s * 2, _LONGEST_BACKOFF_S)
        self.start_at = now + self.backoff_s
        return code


class Supervisor:
    """Keeps its children running until it is told to stop; children stop in the reverse order of their start."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = list(children)
        self._stopping = False
        self._answered = False
        self._failure = 0

    def answered(self) -> None:
        """The server has answered: from now on whatever fails is started again."""
        self._answered = True

    @property
    def stopping(self) -> bool:
        """Whether it is about to return."""
        return self._stopping

    def add(self, child: Child) -> None:
        """One more to be kept running; may be called from any thread."""
        self._children = [*self._children, child]

    def run(self) -> int:
        """Start all, restart what ends, return after SIGTERM or SIGINT when all have ended.

        Until the server has answered, a child that says that it cannot run ends all; then its exit code is the answer,
        else 0. SIGHUP is passed on, so that detectors look at their rules; from a terminal that has gone it is the end.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()  # nohup ignores it
        signal.signal(signal.SIGHUP, self._hang_up if with_terminal else self._renew)
        for child in self._children:
            child.start(time.monotonic())
        while not self._stopping:
            self._tend(time.monotonic())
            time.sleep(0.1)
        self._stop_all()
        return self._failure

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _hang_up(self, number: int, frame: object) -> None:
        (self._renew if _has_terminal() else self._stop)(number, frame)

    def _renew(self, _number: int, _frame: object) -> None:
        for child in self._children:
            if child.process is not None:
                child.process.send_signal(signal.SIGHUP)

    def _tend(self, now: float) -> None:
        for child in self._children:
            code = child.ended(now)
            if code in _SAID_WHY and not self._answered:
                self._failure, self._stopping = code, True
                return
            if code is not None:
                _log.error("process ended", name=child.name, code=code, restart_in_s=round(child.backoff_s, 2))
            if child.process is None and now >= child.start_at:
                child.start(now)

    def _stop_all(self) -> None:
        for child in reversed(self._children):
            if child.process is None:
                continue
            child.process.terminate()
            try:
                child.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                _log.error("process does not stop, killing it", name=child.name)
                child.process.kill()
                child.process.wait()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
