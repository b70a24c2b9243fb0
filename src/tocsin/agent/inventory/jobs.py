"""What starts by itself: jobs of cron, and systemd's units with what they run.

Sources: crontab(5), systemd.unit(5). Units are read from their files, so that nothing is asked of systemd.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tocsin.agent.inventory.item import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.model.event import Value

__all__ = ["JOB_FOLDERS", "UNIT_FOLDERS", "cron_jobs", "units"]

SYSTEM_TABLES: Final = ("etc/crontab", "etc/cron.d")
USER_TABLES: Final = ("var/spool/cron/crontabs", "var/spool/cron")
PERIODIC: Final = {f"etc/cron.{period}": f"@{period}" for period in ("hourly", "daily", "weekly", "monthly")}
JOB_FOLDERS: Final = (*SYSTEM_TABLES, *USER_TABLES, *PERIODIC)
UNIT_FOLDERS: Final = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
UNIT_KINDS: Final = (".service", ".timer", ".socket")
REGULAR_FILE: Final = 1
LARGEST_FILE: Final = 256 << 10
_LINE: Final = re.compile(r"(@\w+|(?:\S+\s+){4}\S+)\s+(.*)")
_SETTING: Final = re.compile(r"\w+\s*=")


def cron_jobs(root: Path) -> Iterator[Item]:
    """Every job of cron: system tables, users' tables, and the folders that are run through periodically."""
    for place in SYSTEM_TABLES:
        for file in _files(root / place):
            yield from _table(file, root, user=None)
    for place in USER_TABLES:
        for file in _files(root / place):
            yield from _table(file, root, user=file.name)
    for place, schedule in PERIODIC.items():
        for file in _files(root / place):
            if file.stat().st_mode & 0o111:
                yield _job(file, root, schedule, "root", f"/{file.relative_to(root)}")


def _table(file: Path, root: Path, user: str | None) -> Iterator[Item]:
    """The jobs of one table; without a user each line names its own."""
    for line in map(str.strip, _read(file).splitlines()):
        match = _LINE.fullmatch(line)
        if match is None or line.startswith("#") or _SETTING.match(line):
            continue
        owner, command = (user, match[2]) if user else match[2].partition(" ")[::2]
        if command:
            yield _job(file, root, match[1], owner or "", command.strip())


def _job(file: Path, root: Path, schedule: str, user: str, command: str) -> Item:
    path = f"/{file.relative_to(root)}"
    what = hashlib.blake2b(f"{schedule}\0{user}\0{command}".encode(), digest_size=6).hexdigest()
    values: dict[str, Value] = {
        "job.name": command.split(maxsplit=1)[0].rpartition("/")[2],
        "job.cmd_line": command,
        "job.file.path": path,
        "job.file.name": file.name,
        "job.file.type_id": REGULAR_FILE,
        "job.user.name": user,
        "unmapped.inventory.schedule": schedule,
    }
    return Item("job", f"{path}:{what}", values)


def units(root: Path) -> Iterator[Item]:
    """Services, timers and sockets that systemd would know; of two with one name, the one that it would take."""
    taken: set[str] = set()
    wanted = {link.name for folder in UNIT_FOLDERS[:1] for link in _files_below(root / folder, "*.wants/*")}
    for folder in UNIT_FOLDERS:
        for file in _files(root / folder):
            if file.suffix in UNIT_KINDS and file.name not in taken:
                taken.add(file.name)
                yield _unit(file, root, wanted)


def _unit(file: Path, root: Path, wanted: set[str]) -> Item:
    text = _read(file)
    runs = [line.partition("=")[2].strip() for line in text.splitlines() if line.startswith("ExecStart=")]
    values: dict[str, Value] = {
        "service.name": file.name,
        "service.uid": f"/{file.relative_to(root)}",
        "unmapped.inventory.enabled": _enabled(file, text, wanted),
        "unmapped.inventory.exec": "; ".join(runs),
    }
    return Item("unit", file.name, {path: value for path, value in values.items() if value})


def _enabled(file: Path, text: str, wanted: set[str]) -> str:
    if file.is_symlink() and str(file.readlink()) == "/dev/null":
        return "masked"
    if file.name in wanted:
        return "enabled"
    return "disabled" if "[Install]" in text else "static"


def _files(place: Path) -> list[Path]:
    """The file itself, or what is in the folder, hidden files and folders left out; links count as files."""
    try:
        inner = sorted(place.iterdir()) if place.is_dir() else [place]
        return [file for file in inner if (file.is_symlink() or file.is_file()) and not file.name.startswith(".")]
    except OSError:
        return []


def _files_below(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern)) if folder.is_dir() else []


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST_FILE).decode("utf-8", "backslashreplace")
    except OSError:  # masked, dangling, or gone meanwhile
        return ""
