"""Packages of languages, found by the files that their installers leave: Python's, Node's and Ruby's.

Source: PyPA's recording of installed projects; npm's package.json; RubyGems' specifications.
"""

from __future__ import annotations

import os
import re
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from tocsin.agent.inventory.item import Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin.model.event import Value

__all__ = ["language_packages"]

MAX_FOLDERS: Final = 100_000
MAX_DEPTH: Final = 12
LARGEST_FILE: Final = 1 << 20
APPLICATION: Final = 1
_NOT_ENTERED: Final = frozenset({"__pycache__", ".git", "proc", "sys", "dev"})
_GEM: Final = re.compile(r"(.+)-(\d[^-]*(?:-[a-z][\w-]*)?)\.gemspec")


class _NodePackage(msgspec.Struct):
    name: str = ""
    version: str = ""


def language_packages(roots: Iterable[str]) -> list[Item]:
    """The packages below the roots, as many folders as `MAX_FOLDERS` allows; links are not followed."""
    return [item for folder, names in _walk(roots) for item in _packages_in(folder, names)]


def _walk(roots: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Folders with the names in them, nearest first."""
    waiting, seen = deque((root, 0) for root in roots), 0
    while waiting and seen < MAX_FOLDERS:
        folder, depth = waiting.popleft()
        seen += 1
        try:
            with os.scandir(folder) as entries:
                listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError:
            continue
        yield folder, [name for name, _ in listed]
        if depth < MAX_DEPTH:
            inner = (name for name, is_folder in listed if is_folder and name not in _NOT_ENTERED)
            waiting.extend((f"{folder}/{name}", depth + 1) for name in inner)


def _packages_in(folder: str, names: list[str]) -> Iterator[Item]:
    for name in names:
        if _is_python(folder, name):
            yield from _python(f"{folder}/{name}")
        elif name == "package.json" and "/node_modules/" in folder:
            yield from _node(f"{folder}/{name}")
        elif name.endswith(".gemspec") and folder.endswith(("/specifications", "/specifications/default")):
            yield from _ruby(f"{folder}/{name}")


def _is_python(folder: str, name: str) -> bool:
    """Whether the file describes an installed project; distributions may leave an egg-info file, no folder."""
    described = (name == "METADATA" and folder.endswith(".dist-info")) or name.endswith(".egg-info")
    return described or (name == "PKG-INFO" and folder.endswith(".egg-info"))


def _python(path: str) -> Iterator[Item]:
    head = _read(path).partition("\n\n")[0]
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line and line[0] != " ")
    if "Name" in fields and "Version" in fields:
        normalised = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
        yield _package("pip", f"pkg:pypi/{normalised}", fields["Name"], fields["Version"], path)


def _node(path: str) -> Iterator[Item]:
    try:
        package = msgspec.json.decode(_read(path), type=_NodePackage)
    except msgspec.MsgspecError:
        return
    if package.name and package.version:
        yield _package("npm", f"pkg:npm/{quote(package.name)}", package.name, package.version, path)


def _ruby(path: str) -> Iterator[Item]:
    match = _GEM.fullmatch(path.rpartition("/")[2])
    if match:
        yield _package("gem", f"pkg:gem/{match[1]}", match[1], match[2], path)


def _package(manager: str, purl: str, name: str, version: str, path: str) -> Item:
    values: dict[str, Value] = {
        "package.name": name,
        "package.version": version,
        "package.type": "Application",
        "package.type_id": APPLICATION,
        "package.package_manager": manager,
        "package.purl": f"{purl}@{quote(version, safe='.')}",
        "unmapped.inventory.path": path,
    }
    return Item("package", f"{manager}:{path}", values)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - thousands of small files
            return file.read(LARGEST_FILE).decode("utf-8", "backslashreplace")
    except OSError:
        return ""
