"""Rules over frames of events: findings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from tocsin.columnar.frame import Frame, events_at
from tocsin.detect.collection import no_collection
from tocsin.detect.evaluate.key import Keys
from tocsin.detect.evaluate.learning import ClassRules, Knowledge
from tocsin.detect.evaluate.naive import met
from tocsin.detect.evaluate.plan import CompiledRule, Cost, compile_rule
from tocsin.detect.evaluate.texts import texts
from tocsin.model.condition import Field, field_at
from tocsin.model.event import Event, nest
from tocsin.model.finding import EVIDENCE_KEPT, Finding, window_start
from tocsin.model.rule import Rule

__all__ = ["Engine", "Placed", "fill_title", "title_fields"]

# Of the rows of a frame that a rule matches, those where the rule applies: by org, and by the agent's tags.
Placed = Callable[[Rule, Frame, list[int]], list[int]]

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")


class Engine:
    """A fixed set of rules, compiled together; findings do not depend on how events are split into batches.

    An engine made `like` another takes over what that has compiled and learned, so that changing a few of many rules
    costs little; the other must not be used any more.
    """

    def __init__(self, rules: Iterable[Rule], like: Engine | None = None) -> None:
        self.rules: Final = tuple(rules)
        self.keys: Keys = like.keys if like else Keys()
        compiled = {id(each.rule): each for each in like.compiled} if like else {}
        with no_collection():
            self.compiled: list[CompiledRule] = [
                compiled.get(id(rule)) or compile_rule(rule, self.keys) for rule in self.rules
            ]
        self.known: dict[int, Knowledge] = like.known if like else {}
        self._of_class: dict[int, list[CompiledRule]] = {}
        for each in self.compiled:
            for class_uid in each.rule.class_uids:
                self._of_class.setdefault(class_uid, []).append(each)
        self._ready: dict[int, ClassRules] = {}

    def matches(self, frame: Frame) -> Iterator[tuple[Rule, list[int]]]:
        """The rules that match some event of the frame, and the rows of these events, ascending."""
        if not len(frame) or frame.class_uid not in self._of_class:
            return
        if frame.class_uid not in self._ready:
            known = self.known.setdefault(frame.class_uid, Knowledge())
            self._ready[frame.class_uid] = ClassRules(self._of_class[frame.class_uid], self.keys, known)
        for rule, rows in self._ready[frame.class_uid].matches(frame):
            yield rule, rows.tolist()

    def costs(self) -> dict[str, Cost]:
        """By the rule's id, what it has cost so far; time is taken in some batches only."""
        return {each.rule.id: each.cost for each in self.compiled}

    def findings(self, frames: Mapping[int, Frame], placed: Placed | None = None) -> list[Finding]:
        """One finding for each event and rule that matches and applies to it, with the reasons and the event."""
        return [finding for frame in frames.values() for finding in self._findings(frame, placed)]

    def _findings(self, frame: Frame, placed: Placed | None) -> Iterator[Finding]:
        matches = list(self.matches(frame))
        if placed is not None:
            matches = [(rule, placed(rule, frame, rows)) for rule, rows in matches]
        # A row that many rules match is read once, and all rows are read together.
        rows = sorted({row for _, of_rule in matches for row in of_rule})
        events = dict(zip(rows, events_at(frame, rows), strict=True)) if rows else {}
        for rule, of_rule in matches:
            seen: Counter[tuple[str, ...]] = Counter()
            for row in of_rule:
                group = {path: _first(events[row], field_at(path)) for path in rule.group_by}
                org = str(events[row].values.get("metadata.tenant_uid", ""))
                alert = (org, *group.values(), str(window_start(int(events[row].values["time"]), rule.window_ms)))
                seen[alert] += 1
                yield _finding(rule, events[row], group, whole=seen[alert] <= EVIDENCE_KEPT)


def _finding(rule: Rule, event: Event, group: dict[str, str], *, whole: bool) -> Finding:
    values = event.values
    return Finding(
        org=str(values.get("metadata.tenant_uid", "")),
        rule_id=rule.id,
        rule_title=rule.title,
        title=fill_title(rule, event),
        level=rule.level,
        tags=rule.tags,
        origin=str(values.get("device.uid", "")),
        hostname=str(values.get("device.hostname", "")),
        event_uid=str(values.get("metadata.uid", "")),
        class_uid=event.class_uid,
        time=int(values["time"]),
        group=group,
        window_ms=rule.window_ms,
        met=met(rule.condition, event) if whole else (),
        event=nest(event) if whole else {},
    )


def fill_title(rule: Rule, event: Event, field: Callable[[str], Field] = field_at) -> str:
    """The rule's title template with the event's values in it; the plain title if the event lacks one of them.

    What a name in it means is said by `field`: by default a path in the schema.
    """
    found = {name: _first(event, field(name)) for name in title_fields(rule)}
    if not rule.title_template or not all(found.values()):
        return rule.title
    return _PLACEHOLDER.sub(lambda placeholder: found[placeholder[1]], rule.title_template)


def title_fields(rule: Rule) -> list[str]:
    """The paths that the rule's title template names."""
    return _PLACEHOLDER.findall(rule.title_template)


def _first(event: Event, field: Field) -> str:
    return next(iter(texts(event, field, None)), "")
