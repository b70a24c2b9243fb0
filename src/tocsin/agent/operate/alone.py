"""One agent per state folder: two would write the same spool and sign the same sequence."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tocsin.model.errors import InvalidSetting, WrongState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["alone"]

LOCK_FILE: Final = "agent.lock"
# A child that a killed agent had forked dies with it, but not in the same moment.
PATIENCE_S: Final = 2.0
LOOK_EVERY_S: Final = 0.05


@contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Hold the state folder; the kernel lets it go with the process, however that ends.

    Raises:
        WrongState: another agent holds it and goes on doing so; names its process.
        InvalidSetting: the folder cannot be written.
    """
    try:
        file = os.open(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidSetting(f"{state_dir / LOCK_FILE}: {error.strerror}") from error
    try:
        try:
            _lock(file, time.monotonic() + PATIENCE_S)
        except BlockingIOError as error:
            holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
            raise WrongState(f"an agent (process {holder}) already runs with {state_dir}") from error
        os.truncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def _lock(file: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOOK_EVERY_S)
        else:
            return
