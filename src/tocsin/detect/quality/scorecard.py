"""A card per rule: what speaks against it, and a grade that follows from that."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tocsin.detect.quality.case import case_files
from tocsin.detect.quality.experience import Experience
from tocsin.detect.quality.lint.run import Complaint
from tocsin.detect.quality.lint.text import RuleText, entries, rule_texts
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import Rule

__all__ = ["Card", "Reason", "Seen", "cards", "middling_cost"]

_POINTS: Final = 100
# At least so many points; below the last it is F.
_GRADES: Final = (("A", 90), ("B", 80), ("C", 65), ("D", 50))
_STALE_DAYS: Final = 730
# Alerts a day that a rule of a level may raise before it is noisy, unless its own budget says otherwise.
_ALLOWED: Final = {"critical": 2.0, "high": 5.0, "medium": 10.0, "low": 25.0, "informational": 100.0}
_ENOUGH_JUDGED: Final = 3
_MOSTLY_FALSE, _OFTEN_FALSE = 0.8, 0.4
_DEAR: Final = 5.0  # times what the rule in the middle costs
_DEAR_NS: Final = 500.0  # but never below half a microsecond an event
_FEW_TO_COMPARE: Final = 5


class Reason(msgspec.Struct, frozen=True):
    """Something that speaks against a rule, and how many points it costs."""

    kind: str
    text: str
    points: int


class Seen(msgspec.Struct, frozen=True):
    """What the platform has seen of a rule; without it, only the files are judged."""

    days: float
    experience: Experience
    fed: bool  # have there been events of its log source?
    missing: tuple[str, ...]  # fields that never arrived
    middling_ns: float | None = None  # what the rule in the middle costs per event


class _History(msgspec.Struct, frozen=True):
    """What a rule's file says about its age."""

    changed: dt.date | None = None
    superseded_by: str = ""  # title of a rule that says it is obsolete


class Card(msgspec.Struct, frozen=True):
    """A rule, judged."""

    rule_id: str
    title: str
    path: str
    line: int
    level: str
    score: int
    grade: str
    reasons: tuple[Reason, ...]
    matches: int | None  # None where no store was looked at
    alerts: int | None
    false_positive_rate: float | None  # of the alerts that people have judged
    cost_ns: float | None  # per event
    last_match_at: int | None  # ms


def middling_cost(known: Iterable[Experience]) -> float | None:
    """What the rule in the middle costs per event; None if too few were measured to compare."""
    costs = [each.cost_ns for each in known if each.cost_ns]
    return statistics.median(costs) if len(costs) >= _FEW_TO_COMPARE else None


def cards(
    rules: Sequence[Rule],
    today: dt.date,
    seen: Mapping[str, Seen] | None = None,
    complaints: Collection[Complaint] = (),
    texts: Mapping[str, str] | None = None,
) -> list[Card]:
    """A card for each rule, the worst first; texts are what files say that lie in no folder, by path."""
    history = _histories(rules, texts or {})
    made = [_card(rule, today, history[rule.id], (seen or {}).get(rule.id), complaints) for rule in rules]
    return sorted(made, key=lambda card: (card.score, card.title))


def _card(rule: Rule, today: dt.date, history: _History, seen: Seen | None, complaints: Collection[Complaint]) -> Card:
    reasons = [*_of_files(rule, today, history, complaints), *(_of_life(rule, seen) if seen else ())]
    score = max(0, _POINTS - sum(reason.points for reason in reasons))
    known = seen.experience if seen else None
    return Card(
        rule_id=rule.id,
        title=rule.title,
        path=rule.path,
        line=rule.line,
        level=rule.level,
        score=score,
        grade=next((grade for grade, least in _GRADES if score >= least), "F"),
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.points)),
        matches=known.matches if known else None,
        alerts=known.alerts if known else None,
        false_positive_rate=_false_rate(known) if known else None,
        cost_ns=known.cost_ns if known else None,
        last_match_at=known.last_match_at or None if known else None,
    )


def _of_files(rule: Rule, today: dt.date, history: _History, complaints: Collection[Complaint]) -> Iterator[Reason]:
    # Whoever applied a rule had its cases beside it; a server does not keep them.
    lacking = (
        [] if not Path(rule.path).exists() else [kind for kind in ("fires", "misses") if not case_files(rule, kind)]
    )
    if len(lacking) > 1:
        yield Reason("untested", "it has no cases", 20)
    elif lacking:
        yield Reason(
            "untested", f"it has no case on which it {'fires' if lacking[0] == 'fires' else 'must not fire'}", 10
        )
    if history.superseded_by:
        yield Reason("superseded", f"{history.superseded_by} says that it is obsolete", 40)
    elif rule.status in {"deprecated", "unsupported"}:
        yield Reason("superseded", f"its status is {rule.status}", 40)
    elif history.changed and (today - history.changed).days > _STALE_DAYS:
        yield Reason("stale", f"it was last changed on {history.changed}", 10)
    graver = [each for each in complaints if each.path == rule.path and each.level != "info"]
    if graver:
        points = min(30, sum(15 if each.level == "error" else 5 for each in graver))
        yield Reason("lint", f"{len(graver)} complaints of the linter, the first: {graver[0].text}", points)


def _of_life(rule: Rule, seen: Seen) -> Iterator[Reason]:
    known = seen.experience
    if known.state in {"staged", "disabled", "demoted"}:
        yield Reason("state", f"it is {known.state}", 15)
    if not seen.fed:
        yield Reason("unfed", "no event of its log source has come", 30)
    elif seen.missing:
        yield Reason("missing fields", f"never had a value: {', '.join(seen.missing)}", 30)
    if seen.fed and not known.matches and known.state != "disabled":
        yield Reason("silent", f"it matched nothing in {seen.days:.0f} days", 5 if seen.missing else 10)
    yield from _noise(rule, seen)
    yield from _false_positives(known)
    middling = seen.middling_ns
    if known.cost_ns and middling and known.cost_ns > max(_DEAR_NS, _DEAR * middling):
        times = known.cost_ns / middling
        yield Reason(
            "costly", f"it costs {known.cost_ns:.0f} ns an event, {times:.0f} times the rule in the middle", 10
        )


def _noise(rule: Rule, seen: Seen) -> Iterator[Reason]:
    allowed = float(rule.life.noise_budget or _ALLOWED[rule.level])
    a_day = seen.experience.alerts / seen.days
    if a_day > allowed:
        points = 25 if a_day > 4 * allowed else 15
        yield Reason("noisy", f"{a_day:.1f} alerts a day; {allowed:g} are expected of level {rule.level}", points)


def _false_positives(known: Experience) -> Iterator[Reason]:
    judged = known.false_positives + known.true_positives
    rate = _false_rate(known)
    if rate is not None and judged >= _ENOUGH_JUDGED and rate >= _OFTEN_FALSE:
        points = 35 if rate >= _MOSTLY_FALSE else 20
        told = f"{known.false_positives} of {judged} judged alerts were false; `tocsin rules tune` proposes filters"
        yield Reason("false positives", told, points)


def _false_rate(known: Experience) -> float | None:
    judged = known.false_positives + known.true_positives
    return known.false_positives / judged if judged else None


def _histories(rules: Sequence[Rule], given: Mapping[str, str]) -> dict[str, _History]:
    """What the files of rules say about their age, by rule id."""
    texts = {
        (str(text.path), text.line): text for path in {rule.path for rule in rules} for text in _texts(path, given)
    }
    obsolete = {key: text.said("title") for text in texts.values() for key in _obsoletes(text)}
    return {rule.id: _History(_changed(texts.get((rule.path, rule.line))), obsolete.get(rule.id, "")) for rule in rules}


def _texts(path: str, given: Mapping[str, str]) -> list[RuleText]:
    try:
        said = given[path] if path in given else Path(path).read_text("utf-8")
        found = rule_texts(Path(path), said)
        return [each for each in found if isinstance(each, RuleText)]
    except (InvalidRule, OSError, ValueError):  # a rule that was loaded, but whose file has gone since
        return []


def _changed(text: RuleText | None) -> dt.date | None:
    for key in ("modified", "date"):
        try:
            return dt.date.fromisoformat(text.said(key)) if text else None
        except ValueError:
            continue
    return None


def _obsoletes(text: RuleText) -> Iterator[str]:
    """Ids of the rules that a rule says it makes obsolete."""
    for member in text.list_of("related"):
        said = {str(key.value): str(value.value) for key, value in entries(member)}
        if said.get("type") == "obsolete" and said.get("id") != text.said("id"):
            yield said.get("id", "")
