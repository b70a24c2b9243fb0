"""What tags say about techniques, held against ATT&CK itself; only if the user has it at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.detect.quality.attack import Technique
from tocsin.detect.quality.lint.registry import LINTS, Issue, Level, Lint, at
from tocsin.detect.quality.lint.text import Kind, RuleText

__all__ = ["UNKNOWN_TECHNIQUE", "unknown_techniques"]

UNKNOWN_TECHNIQUE: Final = Lint(
    "unknown-technique",
    Level.WARNING,
    "A tag names a technique that the file given by `--attack` does not have, or calls withdrawn.",
    kinds=(Kind.RULE, Kind.CORRELATION),
    room=__name__,
)
LINTS[UNKNOWN_TECHNIQUE.id] = UNKNOWN_TECHNIQUE


def unknown_techniques(rule: RuleText, known: Mapping[str, Technique]) -> Iterator[Issue]:
    """Tags of techniques that are not among those known, or withdrawn."""
    for tag in rule.list_of("tags"):
        found = re.fullmatch(r"attack\.(t\d{4}(?:\.\d{3})?)", str(tag.value))
        if found is None:
            continue
        technique = known.get(found[1].upper())
        if technique is None:
            yield at(tag, f"ATT&CK has no technique {found[1].upper()}")
        elif technique.deprecated:
            yield at(tag, f"ATT&CK has withdrawn {technique.id} ({technique.name})")
