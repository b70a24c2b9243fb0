"""Compare what is there with what is known: at the start, for what happened while the agent was away, and after losses.

The first scan of a path only learns; later ones tell what differs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tocsin.agent.files.baseline import FileState, read_state
from tocsin.agent.files.mapping import ATTRIBUTES, CREATE, DELETE, UPDATE, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tocsin.agent.files.baseline import Baseline
    from tocsin.agent.files.hashing import Hasher
    from tocsin.agent.files.tree import WatchTree

__all__ = ["AFTER_OVERFLOW", "WHILE_AWAY", "Scan"]

WHILE_AWAY: Final = "while_away"
AFTER_OVERFLOW: Final = "after_overflow"
# A scan leaves this share of the hashing budget to what is changed meanwhile.
LEFT_TO_OTHERS: Final = 0.25


class Scan:
    """One pass over all that is watched; `skip` names what is being changed, which is told anyway."""

    def __init__(
        self, tree: WatchTree, baseline: Baseline, hasher: Hasher, skip: Callable[[str], bool], detected: str
    ) -> None:
        self._tree, self._baseline, self._hasher, self._skip = tree, baseline, hasher, skip
        self._detected = detected

    def steps(self, now_ms: Callable[[], int]) -> Iterator[Seen | None]:
        """One file a step, with what differs, or None; whoever asks decides how many steps to go at a time."""
        scanned = self._baseline.scanned()
        for root in scanned.difference(self._tree.roots):
            self._forget(root)
        for root in self._tree.roots:
            known = root in scanned
            for path in _walk(root, self._tree.covers):
                yield self._look(path, now_ms(), known=known)
            if known:
                for path, prior in self._baseline.below(root):
                    yield self._look_for(path, prior, now_ms())
            self._baseline.set_scanned(root)

    def _forget(self, root: str) -> None:
        self._baseline.forget_scanned(root)
        for path in [root, *(path for path, _ in self._baseline.below(root))]:
            if not self._tree.covers(path):
                self._baseline.remove(path)

    def _look(self, path: str, now_ms: int, *, known: bool) -> Seen | None:
        state = None if self._skip(path) else read_state(path)
        if state is None:
            return None
        if state.is_regular and state.links > 1:
            self._tree.watch_names(path)
        prior = self._baseline.get(path)
        if prior is not None and prior[:-1] == state[:-1]:
            return None
        if prior is None and (not known or self._baseline.is_full):
            self._baseline.put(path, state if state.is_regular else state._replace(sha256=b""))
            return None
        state = state._replace(sha256=self._digest(path, state, prior))
        self._baseline.put(path, state)
        activity_id = _difference(state, prior)
        return Seen(activity_id, path, state, prior, now_ms, self._detected) if activity_id else None

    def _digest(self, path: str, state: FileState, prior: FileState | None) -> bytes | None:
        if prior is not None and state.has_content_of(prior):
            return prior.sha256
        return self._hasher.hash(path, state, leave=LEFT_TO_OTHERS)

    def _look_for(self, path: str, prior: FileState, now_ms: int) -> Seen | None:
        if os.path.lexists(path) or self._skip(path):
            return None
        self._baseline.remove(path)
        return Seen(DELETE, path, None, prior, now_ms, self._detected) if self._tree.covers(path) else None


def _difference(state: FileState, prior: FileState | None) -> int:
    """The activity that explains it; 0 for what nobody needs to know: times, links, what is in a folder."""
    if prior is None:
        return CREATE
    if _wrote(state, prior):
        return UPDATE
    return ATTRIBUTES if (state.mode, state.uid, state.gid) != (prior.mode, prior.uid, prior.gid) else 0


def _wrote(state: FileState, prior: FileState) -> bool:
    if not state.is_regular or state.has_content_of(prior):
        return False
    return not state.sha256 or state.sha256 != prior.sha256


def _walk(root: str, covers: Callable[[str], bool]) -> Iterator[str]:
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if not covers(path):
            continue
        yield path
        try:
            with os.scandir(path) as entries:
                found = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError:  # not a folder, or gone
            continue
        for name, is_folder in found:
            if is_folder:
                waiting.append(name)
            elif covers(name):
                yield name
