"""What the server delivers: the policies that apply to this agent, kept on disk for a start without the server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.identity import write_private
from tocsin.model.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Delivered", "Document", "Follower"]

POLICY_FILE: Final = "policy.json"
ASK_EVERY_S: Final = 5.0  # when nothing is sent, and so no answer says what is wanted
TRY_EVERY_S: Final = 2.0


class Document(msgspec.Struct, frozen=True):
    """One policy in one version."""

    name: str
    version: int
    content: str


class Delivered(msgspec.Struct, frozen=True):
    """All policies for an agent, the most general first; `name` stands for them: base@2,web@7."""

    name: str = ""
    policies: tuple[Document, ...] = ()


class Follower:
    """Hears which policies the server wants, and holds those that it delivered last.

    The shipping thread hears and takes; the agent's loop looks at `delivered`, which is exchanged whole.
    """

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / POLICY_FILE
        self.delivered = _kept(self._file)
        self.wanted = self.delivered.name
        self._heard_at = self._asked_at = float("-inf")

    def hear(self, name: str | None) -> None:
        """An answer of the server has named what it wants; None: it said nothing of policies."""
        if name is not None:
            self.wanted, self._heard_at = name, time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the server is to be asked now."""
        now = time.monotonic()
        every_s = TRY_EVERY_S if self.wanted != self.delivered.name else ASK_EVERY_S
        quiet_s = now - (self._asked_at if every_s == TRY_EVERY_S else max(self._asked_at, self._heard_at))
        return quiet_s >= every_s

    def ask(self) -> bytes:
        """The body of the question: what the agent has."""
        self._asked_at = time.monotonic()
        return msgspec.json.encode({"name": self.delivered.name})

    def take(self, answer: bytes) -> bool:
        """Take the server's answer; gives whether it brought other policies.

        Raises:
            InvalidSetting: it is no such answer.
        """
        try:
            found = msgspec.json.decode(answer, type=Delivered)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidSetting(f"the server's policies cannot be read: {error}") from error
        self.hear(found.name)
        if found.name == self.delivered.name:
            return False
        write_private(self._file, msgspec.json.encode(found))
        self.delivered = found
        return True


def _kept(file: Path) -> Delivered:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Delivered)
    except (OSError, msgspec.MsgspecError):
        return Delivered()  # the server delivers them again
