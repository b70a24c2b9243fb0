"""Lints: what each promises, and how they are declared."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from tocsin.detect.quality.lint.text import Edit, Kind, RuleText

__all__ = ["ACROSS", "CORRELATIONS", "DETECTIONS", "EVERYTHING", "FILTERS", "LINTS", "RULES", "Issue", "Level", "Lint"]
__all__ += ["across", "at", "at_key", "lint", "near"]


class Level(enum.StrEnum):
    """An error breaks the specification or keeps the rule from working; a warning is likely a mistake; info: style."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Issue:
    """What a lint has found, and the edits that mend it without changing what the rule means to say."""

    line: int
    text: str
    edits: tuple[Edit, ...] = ()


RULES: Final = (Kind.RULE,)
CORRELATIONS: Final = (Kind.CORRELATION,)
FILTERS: Final = (Kind.FILTER,)
DETECTIONS: Final = (Kind.RULE, Kind.FILTER)
EVERYTHING: Final = (Kind.RULE, Kind.CORRELATION, Kind.FILTER)

Check = Callable[[RuleText], Iterable[Issue]]
CheckAcross = Callable[[list[RuleText]], Iterable[tuple[RuleText, Issue]]]


@dataclass(frozen=True, slots=True)
class Lint:
    """One thing that can be wrong with a rule file."""

    id: str
    level: Level
    promise: str  # what is wrong where it speaks up, in one sentence
    fixes: bool = False
    kinds: tuple[Kind, ...] = ()
    check: Check | None = None
    check_across: CheckAcross | None = None
    room: str = ""  # the module it belongs to, if it has no check that says so

    @property
    def module(self) -> str:
        """Where it is declared, among lints of its kind; empty for what is wrong before there is a rule."""
        return self.room or getattr(self.check or self.check_across, "__module__", "")


LINTS: Final[dict[str, Lint]] = {}
# What can be wrong before there is a rule to look at.
for _id, _promise in (
    ("not-readable", "The file cannot be read, or is not UTF-8."),
    ("not-yaml", "The file is not YAML."),
    ("not-a-map", "A document of the file is not a map of keys."),
):
    LINTS[_id] = Lint(_id, Level.ERROR, _promise)
ACROSS: Final[list[Lint]] = []


def lint(
    name: str, level: Level, promise: str, kinds: tuple[Kind, ...] = EVERYTHING, *, fixes: bool = False
) -> Callable[[Check], Check]:
    """Declare a lint of one document."""

    def declare(check: Check) -> Check:
        LINTS[name] = Lint(name, level, promise, fixes, kinds, check)
        return check

    return declare


def across(name: str, level: Level, promise: str) -> Callable[[CheckAcross], CheckAcross]:
    """Declare a lint of all documents together."""

    def declare(check: CheckAcross) -> CheckAcross:
        LINTS[name] = Lint(name, level, promise, check_across=check)
        ACROSS.append(LINTS[name])
        return check

    return declare


def at(node: yaml.Node, text: str, *edits: Edit) -> Issue:
    """An issue on the line where a node starts."""
    return Issue(node.start_mark.line + 1, text, edits)


def at_key(rule: RuleText, key: str, text: str) -> Issue:
    """An issue where a key stands, or where the document starts if it has none."""
    return Issue(rule.keys[key][0].start_mark.line + 1 if key in rule.keys else rule.line, text)


def near(name: str, known: Iterable[str]) -> str:
    """The known name that was likely meant; empty if none is like it."""
    import difflib  # noqa: PLC0415  # only wrong rules need it

    folded = {each.lower(): each for each in known}
    found: Iterator[str] = iter(difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.75))
    return folded.get(next(found, ""), "")
