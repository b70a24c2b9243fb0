"""The rules that the agent loads: rule files, with what depends on the host filled in."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tocsin.agent.audit.rule_fields import BITS
from tocsin.agent.audit.rules import RuleFile, compile_rules
from tocsin.model.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BASE_RULES", "EXIT_RULES", "expand", "login_homes", "read_rules"]

BASE_RULES: Final = Path(__file__).parents[2] / "content" / "agent" / "base.rules"
EXIT_RULES: Final = BASE_RULES.with_name("exits.rules")
PASSWD: Final = Path("/etc/passwd")
# Each home costs rules that every system call of their lists walks; a host with more people than this is not a server.
MAX_HOMES: Final = 16
FIRST_PERSON_UID: Final = 1000
NO_LOGIN: Final = ("nologin", "false", "sync", "halt", "shutdown")


def read_rules(files: Iterable[Path], homes: Iterable[str]) -> RuleFile:
    """Compile rule files one after the other, for this host.

    Raises:
        InvalidSetting: a file cannot be read.
    """
    compiled = [compile_rules(expand(_read(path), homes), str(path)) for path in files]
    return RuleFile(
        tuple(entry for file in compiled for entry in file.entries),
        tuple(error for file in compiled for error in file.invalid),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise InvalidSetting(f"the audit rules in {path} cannot be read: {error.strerror}") from error


def expand(text: str, homes: Iterable[str], machine: str | None = None) -> str:
    """Write each line that holds {arch} or {home} once for each value."""
    words = {"{arch}": tuple(BITS.get(machine or platform.machine(), {"b64": ""})), "{home}": tuple(homes)}
    lines = [text_line for line in text.splitlines() for text_line in _expand_line(line, words)]
    return "\n".join(lines)


def _expand_line(line: str, words: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for word, values in words.items():
        if word in line and not line.startswith("#"):
            for value in values:
                yield from _expand_line(line.replace(word, value), words)
            return
    yield line


def login_homes(passwd: Path = PASSWD) -> list[str]:
    """Home folders of root and of the people who can log in, in the order of their user ids, at most `MAX_HOMES`."""
    homes: dict[str, int] = {}
    for line in passwd.read_text(errors="replace").splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit() and _is_person(int(fields[2]), fields[6]):  # noqa: PLR2004 - passwd(5)
            homes.setdefault(fields[5].rstrip("/"), int(fields[2]))
    return sorted((home for home in homes if home), key=homes.__getitem__)[:MAX_HOMES]


def _is_person(uid: int, shell: str) -> bool:
    return (uid == 0 or uid >= FIRST_PERSON_UID) and not shell.endswith(NO_LOGIN)
