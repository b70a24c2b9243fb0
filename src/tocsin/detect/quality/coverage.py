"""ATT&CK coverage: which techniques the rules are about, which have fired, and which have no rule at all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from tocsin.detect.quality.attack import TACTICS, Technique

__all__ = ["Coverage", "Covered", "Tactic", "Tagged", "coverage", "known_platforms", "navigator_layer"]

_TECHNIQUE: Final = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)
_FIRED, _COVERED, _GAP = "#31a354", "#a1d99b", "#fc9272"


class Tagged(Protocol):
    """A rule or correlation."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...


class Covered(msgspec.Struct, frozen=True):
    """A technique, and the rules that name it; no rules: a gap."""

    id: str
    name: str
    tactics: tuple[str, ...]
    rules: tuple[str, ...]  # ids
    titles: tuple[str, ...]
    matches: int | None  # of those rules, in the time that was looked at; None where no store was


class Tactic(msgspec.Struct, frozen=True):
    """One column of the matrix."""

    name: str
    covered: int
    fired: int
    gaps: tuple[str, ...]  # "T1014 Rootkit"


class Coverage(msgspec.Struct, frozen=True):
    """All techniques that rules name, and, where ATT&CK is at hand, all others."""

    techniques: tuple[Covered, ...]
    tactics: tuple[Tactic, ...]
    rules: int
    untagged: tuple[str, ...]  # ids of rules that name no technique
    unknown: tuple[str, ...]  # techniques named by rules that ATT&CK lacks or has withdrawn
    complete: bool  # was ATT&CK at hand, so that gaps are known?
    outside: int = 0  # techniques with rules that are not of the chosen platforms

    @property
    def covered(self) -> int:
        """How many techniques have a rule."""
        return sum(bool(each.rules) for each in self.techniques)

    @property
    def percent(self) -> float:
        """Of all techniques; of none: 0."""
        return 100 * self.covered / len(self.techniques) if self.techniques else 0.0


def known_platforms(techniques: Mapping[str, Technique]) -> list[str]:
    """The platforms that ATT&CK names."""
    return sorted({platform for technique in techniques.values() for platform in technique.platforms})


def coverage(
    rules: Collection[Tagged],
    known: Mapping[str, Technique] | None = None,
    platforms: Collection[str] = (),
    matches: Mapping[str, int] | None = None,
) -> Coverage:
    """What rules cover, held against ATT&CK if it is known, on these platforms if any is named (letter case aside).

    A rule about a sub-technique is also about the technique above it, never about its neighbours. Matches are counted
    by rule id.
    """
    by_technique = _by_technique(rules, above=known is not None)
    wanted = {platform.casefold() for platform in platforms}
    current = {key: each for key, each in (known or {}).items() if not each.deprecated}
    on_platforms = {
        key for key, each in current.items() if not wanted or wanted & {p.casefold() for p in each.platforms}
    }
    named = set(by_technique) if known is None else set(by_technique) & on_platforms
    keys = sorted(named | on_platforms)
    found = tuple(_covered(key, by_technique.get(key, []), current.get(key), matches) for key in keys)
    return Coverage(
        techniques=found,
        tactics=tuple(_tactics(found)),
        rules=len(rules),
        untagged=tuple(rule.id for rule in rules if not _techniques(rule)),
        unknown=tuple(sorted(set(by_technique) - set(current))) if known is not None else (),
        complete=known is not None,
        outside=len(set(by_technique) & set(current) - on_platforms),
    )


def _techniques(rule: Tagged) -> list[str]:
    return [found[1].upper() for tag in rule.tags if (found := _TECHNIQUE.fullmatch(tag))]


def _by_technique(rules: Iterable[Tagged], *, above: bool) -> dict[str, list[Tagged]]:
    found: dict[str, list[Tagged]] = defaultdict(list)
    for rule in rules:
        named = _techniques(rule)
        parents = [technique.partition(".")[0] for technique in named] if above else []
        for technique in dict.fromkeys([*named, *parents]):
            found[technique].append(rule)
    return dict(found)


def _covered(key: str, rules: list[Tagged], technique: Technique | None, matches: Mapping[str, int] | None) -> Covered:
    # Without ATT&CK at hand, a technique is shown under the tactics that its rules name.
    tactics = technique.tactics if technique else _tagged_tactics(rules)
    return Covered(
        id=key,
        name=technique.name if technique else "",
        tactics=tactics,
        rules=tuple(rule.id for rule in rules),
        titles=tuple(rule.title for rule in rules),
        matches=None if matches is None else sum(matches.get(rule.id, 0) for rule in rules),
    )


def _tagged_tactics(rules: list[Tagged]) -> tuple[str, ...]:
    tags = {tag.removeprefix("attack.").replace("_", "-") for rule in rules for tag in rule.tags}
    return tuple(tactic for tactic in TACTICS if tactic in tags)


def _tactics(techniques: tuple[Covered, ...]) -> Iterable[Tactic]:
    for name in TACTICS:
        inside = [each for each in techniques if name in each.tactics]
        if inside:
            covered = [each for each in inside if each.rules]
            gaps = tuple(f"{each.id} {each.name}" for each in inside if not each.rules)
            yield Tactic(name, len(covered), sum(bool(each.matches) for each in covered), gaps)


def navigator_layer(found: Coverage, name: str, platforms: Collection[str] = ()) -> dict[str, object]:
    """The coverage as a layer of ATT&CK Navigator, format 4.5: what fired is dark, what has rules light, gaps red."""
    most = max((len(each.rules) for each in found.techniques), default=1)
    layer: dict[str, object] = {
        "name": name,
        "versions": {"navigator": "5.1.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": f"{found.rules} rules; {found.covered} techniques have one",
        "sorting": 3,
        "hideDisabled": False,
        "techniques": [_layer_technique(each) for each in found.techniques],
        "gradient": {"colors": ["#ffffff", _COVERED, _FIRED], "minValue": 0, "maxValue": most},
        "legendItems": [
            {"label": "has rules, and they matched", "color": _FIRED},
            {"label": "has rules", "color": _COVERED},
            {"label": "has no rule", "color": _GAP},
        ],
        "showTacticRowBackground": False,
        "selectTechniquesAcrossTactics": True,
        "selectSubtechniquesWithParent": False,
        "selectVisibleTechniques": False,
    }
    return layer | ({"filters": {"platforms": list(platforms)}} if platforms else {})


def _layer_technique(each: Covered) -> dict[str, object]:
    told = [] if each.matches is None else [{"name": "matches", "value": str(each.matches)}]
    return {
        "techniqueID": each.id,
        "score": len(each.rules),
        "color": _FIRED if each.matches else _COVERED if each.rules else _GAP,
        "comment": "; ".join(each.titles) or "no rule",
        "enabled": True,
        "metadata": told,
        "showSubtechniques": "." in each.id,
    }
