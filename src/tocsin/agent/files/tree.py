"""Which files are watched: the configured paths, folders with all that is in them, without what is excluded."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tocsin.agent.files.fanotify import Handle, handle_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tocsin.agent.files.fanotify import Fanotify

__all__ = ["WatchTree", "expand_homes"]

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_HOME: Final = "{home}"


def expand_homes(paths: Iterable[str], homes: Iterable[str]) -> tuple[str, ...]:
    """The paths without {home}, and those with it once for each home; real ones, none inside another one."""
    homes = tuple(homes)
    named = [path.replace(_HOME, home) for path in paths for home in (homes if _HOME in path else ("",)) if path]
    real = sorted({os.path.realpath(path) for path in named})
    return tuple(path for path in real if not any(_is_below(path, other) for other in real))


class WatchTree:
    """The folders that are marked, by the handles that the kernel names them with.

    A path that is not there yet is looked for in the nearest folder above it that is.
    """

    def __init__(self, fanotify: Fanotify, roots: Iterable[str], exclude: Iterable[str], max_folders: int) -> None:
        self._fanotify, self._max_folders = fanotify, max_folders
        self.roots = tuple(roots)
        self._excluded = _pattern(exclude)
        self._folders: dict[Handle, str] = {}
        self._handles: dict[str, Handle] = {}
        self._several_names: dict[Handle, str] = {}
        self.unwatched: dict[str, str] = {}
        self.covers = lru_cache(maxsize=1024)(self._covers)
        self.concerns = lru_cache(maxsize=1024)(self._concerns)

    def __len__(self) -> int:
        return len(self._folders)

    def set_roots(self, roots: Iterable[str]) -> bool:
        """Watch these from now on; whether they are others than before."""
        before, self.roots = self.roots, tuple(roots)
        if self.roots != before:
            self.covers.cache_clear()
            self.concerns.cache_clear()
        return self.roots != before

    def watch(self) -> None:
        """Mark what is not marked yet of the configured paths; also when they have come to be since."""
        self.unwatched.clear()
        for root in self.roots:
            # The folder above, too: it tells when the path itself comes, goes, or is replaced.
            self._mark(_nearest_folder(root))
            if os.path.isdir(root) and not os.path.islink(root):  # noqa: PTH112, PTH114 - as everywhere here
                self.add(root)

    def add(self, folder: str) -> list[str]:
        """Mark a folder and those in it; returns what is in them, since what was made before was not told."""
        found: list[str] = []
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            if self._excluded(current) or not self._mark(current):
                continue
            for entry in _entries(current):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                found.append(entry.path)
        return found

    def _mark(self, folder: str) -> bool:
        if folder in self._handles:
            return True
        if len(self._folders) >= self._max_folders:
            self.unwatched[folder] = f"more than {self._max_folders} folders"
            return False
        try:
            # The mark first: what happens between the two is then told, by a handle that will be known.
            self._fanotify.watch_folder(folder)
            handle = handle_of(folder)
        except OSError as error:
            if error.errno not in _GONE:
                self.unwatched[folder] = error.strerror or str(error)
            return False
        self._folders[handle] = folder
        self._handles[folder] = handle
        return True

    def watch_names(self, path: str) -> None:
        """Of a file with several names, be told what is done to it by names that are not watched, too."""
        try:
            self._fanotify.watch_file(path)
            self._several_names[handle_of(path)] = path
        except OSError:  # gone, which has been told
            return

    def path_of(self, folder: Handle, name: str, target: Handle = b"") -> str:
        """The path that a notice is about; empty if that is nothing watched."""
        base = self._folders.get(folder)
        if base is None:
            return self._several_names.get(target, "")
        if name in {".", ""}:
            return base
        path = f"{base}/{name}" if base != "/" else f"/{name}"
        return path if target not in self._several_names or self.covers(path) else self._several_names[target]

    def moved(self, old: str, new: str) -> None:
        """A folder has another name now."""
        for path in [path for path in self._handles if path == old or _is_below(path, old)]:
            handle, path_now = self._handles.pop(path), new + path[len(old) :]
            self._folders[handle], self._handles[path_now] = path_now, handle

    def removed(self, folder: str) -> None:
        """A folder is gone, or is somewhere else where it is not watched."""
        for path in [path for path in self._handles if path == folder or _is_below(path, folder)]:
            self._folders.pop(self._handles.pop(path), None)

    def _covers(self, path: str) -> bool:
        """Is this path to be watched?"""
        return self._concerns(path) and not self._excluded(path)

    def _concerns(self, path: str) -> bool:
        """Is this path one of the configured ones or in one of them, excluded or not?"""
        return any(path == root or _is_below(path, root) for root in self.roots)


def _pattern(globs: Iterable[str]) -> Callable[[str], bool]:
    text = "|".join(fnmatch.translate(glob) for glob in globs)
    if not text:
        return lambda _path: False
    matches = re.compile(text).match
    return lambda path: matches(path) is not None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder) and path[len(folder.rstrip("/")) :].startswith("/") and path != folder


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:  # gone
        return


def _nearest_folder(path: str) -> str:
    while not os.path.isdir(path := os.path.dirname(path)) and path != "/":  # noqa: PTH112, PTH120 - as above
        pass
    return path
