"""Rules over files of JSON events as they stand, on all cores: blocks of lines out, matches back in order."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from io import BufferedReader, RawIOBase
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from tocsin.detect.evaluate.engine import fill_title
from tocsin.detect.evaluate.raw import Judged, RawRules
from tocsin.detect.sigma.library import Library
from tocsin.model.condition import Field, Scope
from tocsin.model.errors import BadInput
from tocsin.model.event import Event, RefusedLine
from tocsin.model.rule import Rule
from tocsin.normalize.objects import as_paths
from tocsin.wiring.at_hand.told_line import Place, match_line, rule_part

__all__ = ["Block", "Outcome", "blocks", "run"]

_GZIP: Final = b"\x1f\x8b"
_LINES: Final = 8_192
_WORTH_A_POOL_BYTES: Final = 8 << 20
_TO_LEARN_FROM: Final = 3  # blocks
_RARELY: Final = 200_000  # objects made between two looks for cycles
_AHEAD: Final = 3  # blocks per process that wait to be judged
_encode = msgspec.json.Encoder().encode


class Block(msgspec.Struct, frozen=True):
    """Some lines of a file; the first of them is line `first` of it, counted from 1."""

    path: str
    first: int
    lines: list[bytes]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a block: matches as NDJSON, and the lines that are no events, numbered as in the file."""

    path: str
    events: int
    hits: dict[str, int]  # by rule id
    output: bytes
    refused: list[RefusedLine]
    # Matches of rules that correlations look at: the line's number, the event, the rules' ids.
    looked_at: list[tuple[int, bytes, list[str]]] = []


def blocks(path: Path) -> Iterator[Block]:
    """A file's lines, packed or not, a block at a time; of a JSON array its items. - is standard input.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            first = 1
            lines = _items(path, _opened(file))
            while some := list(islice(lines, _LINES)):
                yield Block(str(path), first, some)
                first += len(some)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadInput(f"{path}: not whole as a gzip file: {error}") from error
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def _opened(file: BinaryIO) -> BinaryIO:
    buffered = file if isinstance(file, BufferedReader) else BufferedReader(cast("RawIOBase", file))
    packed = buffered.peek(len(_GZIP)).startswith(_GZIP)
    return cast("BinaryIO", gzip.GzipFile(fileobj=buffered) if packed else buffered)


def _items(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The lines; the items if the first line begins an array."""
    for line in file:
        if line.strip():
            if line.lstrip().startswith(b"["):
                yield from _array(path, line + file.read())
            else:
                yield line
                yield from file
            return
        yield line


def _array(path: Path, text: bytes) -> Iterator[bytes]:
    try:
        items = msgspec.json.decode(text, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise BadInput(f"{path}: not whole as a JSON array: {error}") from error
    for item in items:
        spread = bytes(item)
        yield msgspec.json.format(spread, indent=-1) if b"\n" in spread else spread


def run(library: Library, paths: Sequence[Path], processes: int = 0) -> Iterator[Outcome]:
    """What becomes of all blocks, in order; on as many processes as there are cores, if none is said.

    Rules that are only there for correlations have no hits and no output of their own.

    Raises:
        BadInput: a file cannot be read.
    """
    judge = _Judge(library)
    source = (block for path in paths for block in blocks(path))
    workers = processes or (len(os.sched_getaffinity(0)) if _is_much(paths) else 1)
    # Rules are many and stay, and what is made of a block has no cycles: the garbage collector has little to find.
    gc.freeze()
    gc.set_threshold(_RARELY)
    # What the first blocks teach about the events, every process that is forked afterwards knows.
    yield from map(judge, islice(source, _TO_LEARN_FROM))
    gc.freeze()
    yield from map(judge, source) if workers == 1 else _in_pool(judge, source, workers)


def _is_much(paths: Sequence[Path]) -> bool:
    """Is it worth starting processes? Of standard input nobody knows."""
    return any(not path.is_file() for path in paths) or sum(p.stat().st_size for p in paths) > _WORTH_A_POOL_BYTES


_in_child: Callable[[Block], Outcome]


def _in_pool(judge: _Judge, source: Iterator[Block], workers: int) -> Iterator[Outcome]:
    global _in_child  # noqa: PLW0603 - forked processes inherit the compiled rules through it
    _in_child = judge
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        waiting: list[Future[Outcome]] = [pool.submit(_judged, block) for block in islice(source, workers * _AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_judged, block) for block in islice(source, 1)]


def _judged(block: Block) -> Outcome:
    return _in_child(block)


class _Judge:
    def __init__(self, library: Library) -> None:
        self._rules = RawRules(library.rules)
        self._silent = library.silent
        self._looked_at = {member.rule for each in library.correlations for member in each.members}
        self._said = {rule.id: rule_part(rule) for rule in library.rules}

    def __call__(self, block: Block) -> Outcome:
        judged = self._rules.judge(block.lines)
        told = [match for match in judged.matches if match[1].id not in self._silent]
        hits: dict[str, int] = {}
        for _, rule in told:
            hits[rule.id] = hits.get(rule.id, 0) + 1
        refused = [RefusedLine(block.first + each.line, each.reason, b"") for each in judged.refused]
        looked_at = list(self._for_correlations(block, judged))
        return Outcome(block.path, judged.events, hits, self._output(block, told), refused, looked_at)

    def _for_correlations(self, block: Block, judged: Judged) -> Iterator[tuple[int, bytes, list[str]]]:
        of_line: dict[int, list[str]] = {}
        for at, rule in judged.matches:
            if rule.id in self._looked_at:
                of_line.setdefault(at, []).append(rule.id)
        for at, rule_ids in of_line.items():
            yield block.first + at, block.lines[at].strip(), rule_ids

    def _output(self, block: Block, told: Sequence[tuple[int, Rule]]) -> bytes:
        file = _encode(block.path)
        return b"".join(self._line(rule, Place(file, block.first + at, block.lines[at].strip())) for at, rule in told)

    def _line(self, rule: Rule, place: Place) -> bytes:
        return match_line(self._said[rule.id], place, _title(rule, place.event) if rule.title_template else "")


def _title(rule: Rule, event: bytes) -> str:
    """The alert's title, filled from the event's own fields."""
    nested = as_paths(msgspec.json.decode(event.decode(errors="replace")))
    found = Event(0, {"time": 0, "unmapped.source": _encode(nested).decode()})
    return fill_title(rule, found, partial(Field, scope=Scope.SOURCE))
