"""What to leave out of a rule: conditions that hold for many unwanted events and for no wanted one.

Whoever tunes a rule would write "this program, started by that one, as this user": attributes that stay the same from
day to day are preferred to those that do not, and ids, times and whatever else is new in each event are never used. A
proposal is as narrow as the events allow: it names what they all have in common, not only what sets them apart.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from tocsin.detect.evaluate.texts import attribute_text, parse_source
from tocsin.detect.quality.stable import ATTACKERS_PLACES, COMMON_PLACES, stability
from tocsin.model.condition import SOURCE, And, Condition, Match, Or, Relation, Text, field_at
from tocsin.model.event import Json

__all__ = ["MOST_EVENTS", "Attributes", "Proposal", "Term", "attributes", "propose"]

Attributes = Mapping[str, str]  # full path -> text

MOST_EVENTS: Final = 5_000  # of more unwanted or wanted events, the first are looked at
_TERMS: Final = 3  # a person can judge so many at a glance
_MOST_TERMS: Final = 5  # but it takes so many where wanted events are much alike
_SEEDS: Final = 60
_VALUES: Final = 10  # the longest list of values
_ROUNDS: Final = 40
_FEW: Final = 4  # of so few events, a value that only one has may be what they are about
# A command that begins so can be anything.
_ANY_SCRIPT: Final = re.compile(r"(?:sh|python[\d.]*|perl|ruby|node|php|cmd(?:\.exe)?) +[-/]\w*[cer] +$", re.IGNORECASE)
_NAMEABLE: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


class Term(msgspec.Struct, frozen=True, order=True):
    """An attribute is, or begins with, one of the values; letter case counts."""

    path: str
    relation: Relation
    values: tuple[str, ...]

    def __str__(self) -> str:
        if self.relation is Relation.STARTSWITH:
            parts = [f"starts_with({self.path}, {_quoted(value)})" for value in self.values]
            return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"
        if len(self.values) == 1:
            return f"{self.path} = {_quoted(self.values[0])}"
        return f"{self.path} IN ({', '.join(map(_quoted, self.values))})"


class Proposal(msgspec.Struct, frozen=True):
    """A condition that holds for `removes` of the `of` unwanted events, and for no wanted one."""

    terms: tuple[Term, ...]
    removes: int
    of: int
    wanted: int  # so many wanted events it was held against

    @property
    def expression(self) -> str:
        """The proposal in the language of search and suppressions."""
        return " AND ".join(map(str, self.terms))

    @property
    def condition(self) -> Condition:
        """The same as a tree."""
        return And(tuple(_any_of(term) for term in self.terms))


def _any_of(term: Term) -> Condition:
    field = field_at(term.path)
    return Or(tuple(Match(field, Text(term.relation, value, cased=True), str(term)) for value in term.values))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def attributes(values: Mapping[str, object]) -> dict[str, str]:
    """What a proposal can be about: attributes (path -> value) as texts, and the single values of an original."""
    found = {path: attribute_text(value) for path, value in values.items() if isinstance(value, str | int | bool)}
    original = found.pop(SOURCE, None)
    if original is not None:
        found |= _single_values(parse_source(original), SOURCE)
    return found


def _single_values(value: Json, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _single_values(inner, f"{path}.{key}")
    elif isinstance(value, str | int | bool):
        yield path, attribute_text(value)


def propose(unwanted: Sequence[Attributes], wanted: Sequence[Attributes] = (), *, most: int = 5) -> list[Proposal]:
    """At most so many proposals, the one that removes most first; together they remove as much as they can."""
    table = _Table(unwanted[:MOST_EVENTS], wanted[:MOST_EVENTS])
    left = table.all_unwanted
    chosen: list[_Cluster] = []
    for _ in range(_ROUNDS):
        best = max(table.clusters(left), key=_Cluster.worth, default=None)
        if best is None:
            break
        chosen.append(best)
        left &= ~best.unwanted
    size, against = len(unwanted[:MOST_EVENTS]), len(wanted[:MOST_EVENTS])
    merged = sorted(_merged(chosen), key=lambda cluster: -cluster.unwanted.bit_count())
    return [Proposal(each.terms, each.unwanted.bit_count(), size, against) for each in merged[:most]]


@dataclass(frozen=True, slots=True)
class _Atom:
    """A term of one value, and the events for which it holds as bits."""

    term: Term
    unwanted: int
    wanted: int


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Terms that hold together, and the unwanted events for which they do."""

    terms: tuple[Term, ...]
    unwanted: int
    fresh: int  # how many of those no earlier proposal removes

    def worth(self) -> tuple[float, int]:
        """Many events by stable attributes; of equals, the narrower one."""
        return self.fresh * sum(stability(term.path) for term in self.terms) / len(self.terms), len(self.terms)


class _Table:
    """All atoms of the events, and what they say together."""

    def __init__(self, unwanted: Sequence[Attributes], wanted: Sequence[Attributes]) -> None:
        self.all_unwanted = (1 << len(unwanted)) - 1
        self._all_wanted = (1 << len(wanted)) - 1
        masks = _masks(unwanted)
        among = _masks(wanted)
        self._atoms = [
            _Atom(term, mask, among.get(term, 0))
            for term, mask in masks.items()
            if self._says_something(mask, among.get(term, 0)) and (mask.bit_count() > 1 or len(unwanted) <= _FEW)
        ]
        self._by_path: dict[str, list[_Atom]] = {}
        for atom in sorted(self._atoms, key=lambda atom: (-stability(atom.term.path), atom.term)):
            self._by_path.setdefault(atom.term.path, []).append(atom)

    def _says_something(self, unwanted: int, wanted: int) -> bool:
        """A value that all events have, wanted ones too, sets nothing apart."""
        return not self._all_wanted or unwanted != self.all_unwanted or wanted != self._all_wanted

    def clusters(self, left: int) -> Iterator[_Cluster]:
        """Candidates for the events that are left, each grown from one atom."""

        def promise(atom: _Atom) -> tuple[float, int]:
            """Many events by a stable attribute; of the same events, by the longest beginning."""
            return (atom.unwanted & left).bit_count() * stability(atom.term.path), len(atom.term.values[0])

        ranked = sorted(self._atoms, key=promise, reverse=True)
        for seed in ranked[:_SEEDS]:
            if seed.unwanted & left and (grown := self._grown(seed, left)):
                yield grown

    def _grown(self, seed: _Atom, left: int) -> _Cluster | None:
        """The seed with what its events have in common, and with more until no wanted event is among them."""
        atoms = [seed]
        unwanted, wanted = seed.unwanted, seed.wanted
        while len(atoms) < _TERMS and (also := self._in_common(atoms, unwanted & left)):
            atoms.append(also)
            unwanted, wanted = unwanted & also.unwanted, wanted & also.wanted
        while wanted:
            apart = self._apart(atoms, unwanted & left, wanted) if len(atoms) < _MOST_TERMS else None
            if apart is None:
                return None
            atoms.append(apart)
            unwanted, wanted = unwanted & apart.unwanted, wanted & apart.wanted
        if not unwanted & left:
            return None
        terms = sorted(
            (atom.term for atom in _without_names(atoms, unwanted)), key=lambda term: (-stability(term.path), term)
        )
        return _Cluster(tuple(terms), unwanted, (unwanted & left).bit_count())

    def _in_common(self, atoms: list[_Atom], unwanted: int) -> _Atom | None:
        """The most stable atom about something else that holds for all these events."""
        for path, candidates in self._by_path.items():
            if not _about(path, atoms):
                held = [atom for atom in candidates if not unwanted & ~atom.unwanted]
                if held:
                    return max(held, key=lambda atom: len(atom.term.values[0]))
        return None

    def _apart(self, atoms: list[_Atom], unwanted: int, wanted: int) -> _Atom | None:
        """The atom that keeps most of the unwanted events per wanted one that stays."""
        useful = [
            atom
            for atom in self._atoms
            if atom.unwanted & unwanted and wanted & ~atom.wanted and not _about(atom.term.path, atoms)
        ]

        def gain(atom: _Atom) -> tuple[bool, float]:
            stays = (atom.wanted & wanted).bit_count()
            return not stays, (atom.unwanted & unwanted).bit_count() * stability(atom.term.path) / (1 + stays)

        return max(useful, key=gain, default=None)


def _about(path: str, atoms: Iterable[_Atom]) -> bool:
    """Do the atoms say it already? A program's name follows from its path, and an actor may be the parent."""
    named = {_same_process(atom.term.path) for atom in atoms}
    own = _same_process(path)
    return own in named or _path_beside(own) in named


def _same_process(path: str) -> str:
    return path.replace("actor.process.", "process.parent_process.")


def _path_beside(name: str) -> str:
    """The path of the program whose name this is; nothing of that kind: itself."""
    return f"{name.removesuffix('name')}file.path" if name.endswith("process.name") else name


def _without_names(atoms: list[_Atom], unwanted: int) -> list[_Atom]:
    """Without names of programs whose paths are there too, unless they narrow it."""
    paths = {atom.term.path for atom in atoms}
    kept = [atom for atom in atoms if _path_beside(atom.term.path) not in paths - {atom.term.path}]
    same = functools.reduce(operator.and_, (atom.unwanted for atom in kept), -1) == unwanted
    apart = not functools.reduce(operator.and_, (atom.wanted for atom in kept), -1) if kept else False
    return kept if same and apart else atoms


def _masks(events: Sequence[Attributes]) -> dict[Term, int]:
    """For each term of one value, the events for which it holds as bits."""
    masks: dict[Term, int] = {}
    for row, event in enumerate(events):
        for path, value in event.items():
            if stability(path) and value and _NAMEABLE.fullmatch(path):
                for term in _terms(path, value):
                    masks[term] = masks.get(term, 0) | 1 << row
    return masks


def _terms(path: str, value: str) -> Iterator[Term]:
    yield Term(path, Relation.EQUALS, (value,))
    for prefix in _prefixes(path, value):
        yield Term(path, Relation.STARTSWITH, (prefix,))


@functools.lru_cache(maxsize=4096)
def _prefixes(path: str, value: str) -> tuple[str, ...]:
    """The folders of a file, or a command with its first arguments; never a folder that everybody may write to."""
    if value.startswith("/") and " " not in value:
        ends = [found.end() for found in re.finditer("/", value)][2:]
        folders = [value[:end] for end in ends if end < len(value)]
        return tuple(f for f in folders if f not in COMMON_PLACES and not f.startswith(ATTACKERS_PLACES))
    if path.endswith(("cmd_line", "CommandLine")):
        begins = (value[: found.end()] for found in list(re.finditer(" +", value))[1:4])
        return tuple(begin for begin in begins if not _ANY_SCRIPT.search(begin))
    return ()


def _merged(clusters: list[_Cluster]) -> list[_Cluster]:
    """Clusters that differ in the values of one attribute only, as one with a list of values."""
    done: list[_Cluster] = []
    for cluster in clusters:
        for place, other in enumerate(done):
            if both := _joined(other, cluster):
                done[place] = both
                break
        else:
            done.append(cluster)
    return done


def _joined(one: _Cluster, other: _Cluster) -> _Cluster | None:
    if [(t.path, t.relation) for t in one.terms] != [(t.path, t.relation) for t in other.terms]:
        return None
    different = [place for place, (a, b) in enumerate(zip(one.terms, other.terms, strict=True)) if a != b]
    if len(different) != 1:
        return None
    a, b = one.terms[different[0]], other.terms[different[0]]
    values = tuple(sorted({*a.values, *b.values}))
    if len(values) > _VALUES:
        return None
    terms = tuple(Term(t.path, t.relation, values) if t is a else t for t in one.terms)
    return replace(one, terms=terms, unwanted=operator.or_(one.unwanted, other.unwanted))
