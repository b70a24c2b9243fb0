"""Rules over stored events, piece by piece, on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from tocsin.columnar.flat import flat
from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.columns import paths_of
from tocsin.ports import Piece

__all__ = ["Period", "Progress", "Rows", "map_pieces", "matches_in"]

_In = TypeVar("_In", bound=Sized)
_Out = TypeVar("_Out")
_State = TypeVar("_State")
_Given = TypeVar("_Given")
Progress = Callable[[int, int], None]  # rows done, rows in all
Rows = dict[str, npt.NDArray[np.int64]]  # by rule id, the numbers of the rows that match, ascending

# Below so many rows, starting processes costs more than they save.
_WORTH_PROCESSES: Final = 300_000
# So many pieces are on their way per process: enough to keep it busy, few enough to report progress.
_AHEAD: Final = 3


class Period(msgspec.Struct, frozen=True):
    """A span of time, in ms."""

    since: int  # inclusive
    until: int  # exclusive

    @property
    def days(self) -> float:
        """Its length."""
        return (self.until - self.since) / 86_400_000


def matches_in(engine: Engine, piece: Piece, period: Period) -> Rows:
    """The rows of the piece, of that period, that each rule matches; rules that match none are left out."""
    rules = [rule for rule in engine.rules if piece.class_uid in rule.class_uids]
    if not rules:
        return {}
    paths = {"time"}.union(*(paths_of(rule.condition, piece.class_uid) for rule in rules))
    frame = flat(piece.read(paths), piece.class_uid)
    time = frame.table["time"].to_numpy()
    inside = (time >= period.since) & (time < period.until)
    found = {rule.id: np.array(rows, np.int64) for rule, rows in engine.matches(frame)}
    if not inside.all():
        found = {rule: rows[inside[rows]] for rule, rows in found.items()}
    return {rule: rows for rule, rows in found.items() if len(rows)}


def map_pieces(
    work: Callable[[_State, _In], _Out],
    make_state: Callable[[_Given], _State],
    given: _Given,
    pieces: Sequence[_In],
    progress: Progress,
) -> Iterator[tuple[_In, _Out]]:
    """What the work gives for each piece, as it gets done; the state is made once per process."""
    total = sum(map(len, pieces))
    processes = len(os.sched_getaffinity(0))
    done = 0
    results = (
        _in_processes(work, make_state, given, pieces, processes)
        if processes > 1 and total >= _WORTH_PROCESSES
        else _here(work, make_state(given), pieces)
    )
    for piece, result in results:
        done += len(piece)
        progress(done, total)
        yield piece, result


def _here(work: Callable[[_State, _In], _Out], state: _State, pieces: Iterable[_In]) -> Iterator[tuple[_In, _Out]]:
    for piece in pieces:
        yield piece, work(state, piece)


def _in_processes(
    work: Callable[[_State, _In], _Out],
    make_state: Callable[[_Given], _State],
    given: _Given,
    pieces: Sequence[_In],
    processes: int,
) -> Iterator[tuple[_In, _Out]]:
    # Forked processes would inherit locks that this one's threads hold.
    context = multiprocessing.get_context("spawn")
    waiting = iter(pieces)
    running: dict[Future[_Out], _In] = {}
    with ProcessPoolExecutor(processes, context, _start, (make_state, given)) as pool:
        try:
            for piece in waiting:
                running[pool.submit(_work, work, piece)] = piece
                if len(running) >= _AHEAD * processes:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        finally:
            for future in running:
                future.cancel()


def _finished(running: dict[Future[_Out], _In]) -> Iterator[tuple[_In, _Out]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


_state: object = None


def _start(make_state: Callable[[_Given], object], given: _Given) -> None:
    global _state  # noqa: PLW0603 - a process of the pool has no other place for what its initializer makes
    _state = make_state(given)


def _work(work: Callable[[_State, _In], _Out], piece: _In) -> _Out:
    return work(_state, piece)  # type: ignore[arg-type]  # made by the same caller's make_state
