"""Names of user ids, as /etc/passwd has them now."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

__all__ = ["Users"]

CHECK_INTERVAL_S: Final = 1.0
PASSWD: Final = Path("/etc/passwd")


class Users:
    """Looks names up in a copy of the file, which is read again when it changes; never asks a directory service."""

    def __init__(self, path: Path = PASSWD) -> None:
        self._path = path
        self._names: dict[str, str] = {}
        self._stamp = (0, 0)
        self._checked_at = float("-inf")

    def name(self, uid: str) -> str | None:
        """The login name of a user id in text, None if it has none."""
        now = time.monotonic()
        if now - self._checked_at > CHECK_INTERVAL_S:
            self._checked_at = now
            self._reload()
        return self._names.get(uid)

    def uid(self, name: str) -> str | None:
        """The user id of a login name, in text; None if nobody has it."""
        self._reload()
        return next((uid for uid, known in self._names.items() if known == name), None)

    def _reload(self) -> None:
        try:
            status = self._path.stat()
            if (status.st_mtime_ns, status.st_ino) == self._stamp:
                return
            lines = self._path.read_text(errors="replace").splitlines()
        except OSError:  # being replaced: the copy still holds, the next check reads it
            return
        self._stamp = (status.st_mtime_ns, status.st_ino)
        fields = [line.split(":", 3) for line in lines]
        # The first of several names for one id counts, as getpwuid(3) has it.
        self._names = {field[2]: field[0] for field in reversed(fields) if len(field) == 4}  # noqa: PLR2004 - passwd(5)
