"""Accounts of this host: passwd(5) and group(5), which of them may become root by a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.inventory.item import Item

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tocsin.model.event import Value

__all__ = ["accounts"]

USER, ADMINISTRATOR, SYSTEM = 1, 2, 3
FIRST_PERSON: Final = 1000
NOBODY: Final = 65534
MAY_BECOME_ROOT: Final = frozenset({"root", "sudo", "wheel", "admin"})


def accounts(root: Path) -> Iterator[Item]:
    """Every account below `root`, with its groups."""
    groups = [line for line in _lines(root / "etc/group", 4) if line[2].isdigit()]
    for name, _, uid, gid, full_name, home, shell in _lines(root / "etc/passwd", 7):
        own = [(group, number) for group, _, number, members in groups if number == gid or name in members.split(",")]
        values: dict[str, Value] = {
            "user.name": name,
            "user.uid": uid,
            "user.full_name": full_name.rstrip(","),
            "user.type_id": _type(uid, {group for group, _ in own}),
            "user.groups": msgspec.json.encode([{"name": group, "uid": number} for group, number in own]).decode(),
            "unmapped.inventory.home": home,
            "unmapped.inventory.shell": shell,
        }
        yield Item("account", name, {path: value for path, value in values.items() if value != ""})


def _type(uid: str, groups: set[str]) -> int:
    if uid == "0" or groups & MAY_BECOME_ROOT:
        return ADMINISTRATOR
    return USER if uid.isdigit() and FIRST_PERSON <= int(uid) != NOBODY else SYSTEM


def _lines(file: Path, fields: int) -> Iterator[list[str]]:
    try:
        text = file.read_text("utf-8", "backslashreplace")
    except OSError:
        return
    for line in text.splitlines():
        values = line.split(":")
        if len(values) == fields and not line.startswith("#"):
            yield values
