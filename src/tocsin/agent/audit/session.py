"""Hold the kernel's audit for as long as the agent runs, and leave it as it was found.

What was found is written to the state folder before anything is changed, so that an agent that was killed restores, on
its next stop, what the first one found.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from tocsin.agent.audit.control import AuditControl, AuditStatus
from tocsin.agent.audit.netlink import AuditReceiver, Coalesce, KernelRefused, SocketOwned
from tocsin.agent.audit.rules import PREPEND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.agent.audit.rules import Rule
    from tocsin.agent.config import AuditSettings

__all__ = ["AuditSession", "Limits"]

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
FOUND_FILE: Final = "audit-found.json"
RESTORED: Final = ("backlog_limit", "backlog_wait_time", "enabled")
PROCTITLE: Final = 1327
BPRM_FCAPS: Final = 1321


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the kernel holds back for a slow agent, and how long a process waits before its record is lost."""

    backlog_records: int = 8192
    backlog_wait_jiffies: int = 60
    receive_buffer_bytes: int = 8 << 20
    coalesce: Coalesce = field(default_factory=Coalesce)

    @classmethod
    def of(cls, settings: AuditSettings) -> Self:
        """As the settings say."""
        return cls(
            settings.backlog_records,
            settings.backlog_wait_jiffies,
            settings.receive_buffer_bytes,
            Coalesce(settings.coalesce_ms / 1000, settings.coalesce_busy_ms / 1000),
        )


class _Found(msgspec.Struct):
    """The kernel's audit as it was, and which of its rules are the agent's."""

    boot_id: str
    settings: dict[str, int]
    added: list[bytes]
    exclusions: list[bytes] = []  # rules of policies, which are exchanged while the agent runs


class AuditSession:
    """The agent's hold on the kernel's audit; `start` takes it, `stop` gives it back."""

    def __init__(self, control: AuditControl, receiver: AuditReceiver, found: _Found | None, file: Path) -> None:
        self.control, self.receiver = control, receiver
        self.refused: list[str] = []
        self.absent: list[str] = []
        self.exclusions_changed = 0  # since the start: the kernel tells of each
        self._found, self._file = found, file

    @classmethod
    def start(cls, state_dir: Path, limits: Limits) -> Self:
        """Become the kernel's audit daemon, or listen beside the one there is without changing anything of its.

        Raises:
            NotAllowed: the process may not use the kernel's audit.
        """
        control, file = AuditControl(), state_dir / FOUND_FILE
        found = _left_behind(file) or _Found(_boot_id(), _settings(control.status()), [])
        try:
            receiver = AuditReceiver.own(limits.receive_buffer_bytes, coalesce=limits.coalesce)
        except SocketOwned:
            dropped = (PROCTITLE, BPRM_FCAPS)
            receiver = AuditReceiver.listen(dropped, limits.receive_buffer_bytes, coalesce=limits.coalesce)
            return cls(control, receiver, None, file)
        session = cls(control, receiver, found, file)
        session._remember()
        session._apply(backlog_limit=limits.backlog_records, backlog_wait_time=limits.backlog_wait_jiffies)
        return session

    @property
    def owner(self) -> bool:
        """Whether records come to the agent alone."""
        return self._found is not None

    @property
    def switched_on(self) -> bool:
        """Whether auditing was off until now: processes that started before it was first on are never recorded."""
        return self._found is not None and not self._found.settings["enabled"]

    def load(self, rules: Iterable[Rule]) -> int:
        """Load the rules that are not loaded yet and return how many of the kernel's are the agent's.

        `refused` then names those that this kernel does not take, `absent` those whose path does not exist.
        """
        if self._found is None:
            return 0
        self.refused, self.absent = [], []
        loaded = set(self.control.rules())
        before = len(self._found.added)
        for rule in rules:
            packed = rule.pack()
            if packed not in loaded and self._add(rule, packed):
                self._found.added.append(packed)
                loaded.add(packed)
        if len(self._found.added) > before:
            self._remember()
        # Only now, so that the kernel does not tell of every rule that it has been given.
        if not self.control.status().enabled:
            self._apply(enabled=1)
        return len(self._found.added)

    def exclude(self, rules: Iterable[Rule]) -> int:
        """Have these rules before all others in the kernel, and no longer those of the last call; gives how many are.

        One whose path does not exist yet, or that this kernel does not take, is left out: the agent does its work.
        """
        wanted = {_as_listed(rule): rule for rule in rules}
        if self._found is None or not (wanted or self._found.exclusions):
            return 0
        loaded = set(self.control.rules())
        kept = [packed for packed in self._found.exclusions if packed in wanted and packed in loaded]
        gone = [packed for packed in self._found.exclusions if packed not in wanted]
        for packed in gone:
            self._delete(packed)
        added = [packed for packed, rule in wanted.items() if packed not in loaded and self._prepend(rule)]
        self.exclusions_changed += len(gone) + len(added)
        if kept + added != self._found.exclusions:
            self._found.exclusions = kept + added
            self._remember()
        return len(self._found.exclusions)

    def _prepend(self, rule: Rule) -> bool:
        if _must_wait(rule):
            return False
        try:
            self.control.add_rule(rule.pack())
        except KernelRefused:
            return False
        return True

    def _delete(self, packed: bytes) -> None:
        with contextlib.suppress(KernelRefused):  # somebody else has removed it, or the configuration is locked
            self.control.delete_rule(packed)

    def _add(self, rule: Rule, packed: bytes) -> bool:
        if _must_wait(rule):
            self.absent.append(f"{rule.text}: {rule.folder} does not exist")
            return False
        try:
            self.control.add_rule(packed)
        except KernelRefused as error:
            (self.absent if error.errno == errno.ENOENT else self.refused).append(f"{rule.text}: {error}")
            return False
        return True

    def _apply(self, **settings: int) -> None:
        try:
            self.control.set(**settings)
        except KernelRefused as error:
            self.refused.append(f"{error}; the audit configuration is locked until the next boot")

    def _remember(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self._found))
        part.replace(self._file)

    def release(self) -> dict[str, tuple[int, int]]:
        """Remove the agent's rules and restore the settings that were found; what is on its way still arrives.

        Returns the settings that this changes, new and old value: the kernel will tell of them.
        """
        if self._found is None:
            return {}
        status = self.control.status()
        own = {name: (value, getattr(status, name)) for name, value in self._found.settings.items()}
        with contextlib.suppress(KernelRefused):  # the configuration is locked
            self.control.set(**self._found.settings)
        for packed in reversed(self._found.added + self._found.exclusions):
            self._delete(packed)
        self._found.added.clear()
        self._found.exclusions.clear()
        return {name: change for name, change in own.items() if change[0] != change[1]}

    def leave(self) -> None:
        """Close, and restore nothing: the next agent takes over, and tells by the serials what came in between."""
        self.receiver.close()
        self.control.close()

    def stop(self) -> None:
        """Release, and give up ownership."""
        self.release()
        if self._found is not None:
            self.control.set(pid=0)
            self._file.unlink(missing_ok=True)
            self._found = None
        self.receiver.close()
        self.control.close()


def _as_listed(rule: Rule) -> bytes:
    """The rule as the kernel lists it: where it was put is not part of it."""
    return replace(rule, list_flags=rule.list_flags & ~PREPEND).pack()


def _left_behind(file: Path) -> _Found | None:
    """What an agent that was killed had found, if that was in this boot."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_Found)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found if found.boot_id == _boot_id() else None


def _settings(status: AuditStatus) -> dict[str, int]:
    return {name: getattr(status, name) for name in RESTORED}


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()


def _must_wait(rule: Rule) -> bool:
    """Whether the folder of the rule's path is missing: it is not asked for, as the kernel tells of each refusal."""
    return bool(rule.folder) and not Path(rule.folder).exists()
