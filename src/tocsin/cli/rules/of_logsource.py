"""Rules for events of which somebody says what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from tocsin.model.errors import BadInput

if TYPE_CHECKING:
    from tocsin.detect.sigma.library import Library

__all__ = ["of_logsource"]

_PARTS = ("product", "category", "service")


def of_logsource(library: Library, said: Sequence[str]) -> Library:
    """The library without rules for other log sources; one that leaves a part open is for all of that part.

    Raises:
        BadInput: something else than product, category or service is said, or no rule is left.
    """
    wanted = dict(_part(each) for each in said)
    if not wanted:
        return library
    rules = tuple(
        rule
        for rule in library.rules
        if all(getattr(rule.logsource, part).lower() in ("", value) for part, value in wanted.items())
    )
    if not rules:
        known = ", ".join(sorted({str(rule.logsource) for rule in library.rules})[:10])
        raise BadInput(f"no rule is for --logsource {' '.join(said)}; the rules are for {known}")
    return msgspec.structs.replace(library, rules=rules)


def _part(said: str) -> tuple[str, str]:
    part, _, value = said.partition("=")
    if part not in _PARTS or not value:
        raise BadInput(f"--logsource {said} is not understood: write product=windows; known are {', '.join(_PARTS)}")
    return part, value.lower()
