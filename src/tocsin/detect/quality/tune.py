"""Filters proposed from a rule's false positives, each tried on them and on the true ones with the real engine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tocsin.detect.evaluate.engine import Engine
from tocsin.detect.history.replay import replay
from tocsin.detect.quality.propose import Proposal, Term, attributes, propose
from tocsin.detect.sigma.library import Loader
from tocsin.detect.sigma.logsource import Mapping, Others, find_mapping
from tocsin.model.condition import SOURCE, Relation
from tocsin.model.event import Event
from tocsin.model.rule import Rule

__all__ = ["Trial", "Tuning", "tune"]

# Ids of filters follow from what they say, so that the same proposal is the same filter tomorrow.
_FILTERS: Final = uuid.UUID("6f3b7a54-93b5-4f0a-8f1e-6d1f5b6f7c21")


class Trial(msgspec.Struct, frozen=True):
    """A filter, and what it did."""

    expression: str  # for a suppression
    filter: str  # a Sigma filter document
    removes: int  # false positives that the rule, so filtered, no longer finds
    keeps: int  # true positives that it still finds


class Tuning(msgspec.Struct, frozen=True):
    """What can be done about a rule's false positives."""

    rule_id: str
    false_positives: int  # that the rule matches
    true_positives: int
    trials: tuple[Trial, ...]  # each of which keeps every true positive
    refused: tuple[Trial, ...]  # would have removed true positives, since a filter minds no letter case


def tune(
    rule: Rule,
    false: Sequence[Event],
    true: Sequence[Event],
    mapping: Mapping | None = None,
    text: str | None = None,
    *,
    most: int = 5,
) -> Tuning:
    """Propose filters from events that the rule should not have found, and hold each against those that it should.

    Events that the rule does not match are left out. The mapping is the one that the rule was loaded with, if not its
    log source's; the text is what its file says, if that lies in no folder.
    """
    said = Path(rule.path).read_text("utf-8") if text is None else text
    unwanted, wanted = _matched(rule, false), _matched(rule, true)
    proposals = propose([_about(event) for event in unwanted], [_about(event) for event in wanted], most=most)
    bench = _Bench(rule, said, mapping, unwanted, wanted)
    trials = [bench.tried(proposal) for proposal in proposals]
    return Tuning(
        rule.id,
        len(unwanted),
        len(wanted),
        tuple(trial for trial in trials if trial.keeps == len(wanted)),
        tuple(trial for trial in trials if trial.keeps != len(wanted)),
    )


def _about(event: Event) -> dict[str, str]:
    return attributes(event.attributes())


def _matched(rule: Rule, events: Sequence[Event]) -> list[Event]:
    engine = Engine([rule])
    return [event for event in events if any(True for _ in replay(engine, [event]))]


@dataclass(frozen=True)
class _Bench:
    """A rule, and the events that its filters are tried on."""

    rule: Rule
    said: str
    mapping: Mapping | None
    unwanted: Sequence[Event]
    wanted: Sequence[Event]

    def tried(self, proposal: Proposal) -> Trial:
        """Load the rule with the filter, as a server would, and run it."""
        text = _filter(self.rule, proposal, self.mapping or find_mapping(self.rule.logsource))
        library = Loader(self.mapping).load([], texts=[(self.rule.path, self.said), ("proposed filter", text)])
        engine = Engine([next(each for each in library.rules if each.id == self.rule.id)])
        left, kept = (sum(1 for _ in replay(engine, events)) for events in (self.unwanted, self.wanted))
        return Trial(proposal.expression, text, len(self.unwanted) - left, kept)


def _filter(rule: Rule, proposal: Proposal, mapping: Mapping) -> str:
    """A Sigma filter document that says what the proposal says, in the rule's own names of fields."""
    source = rule.logsource
    named = (("product", source.product), ("category", source.category), ("service", source.service))
    told = f"{proposal.removes} of {proposal.of} false positives"
    lines = [
        f"title: {_quoted(f'Expected by {rule.title}')}",
        f"id: {uuid.uuid5(_FILTERS, f'{rule.id} {proposal.expression}')}",
        f"description: Leaves out {told}, and none of {proposal.wanted} true ones",
        "logsource:",
        *(f"    {key}: {value}" for key, value in named if value),
        "filter:",
        "    rules:",
        f"        - {rule.id}",
        "    selection:",
        *(line for term in proposal.terms for line in _selection(term, mapping)),
        "    condition: not selection",
    ]
    return "\n".join(lines) + "\n"


def _selection(term: Term, mapping: Mapping) -> list[str]:
    modifier = "|startswith" if term.relation is Relation.STARTSWITH else ""
    key = f"        {_field(term.path, mapping)}{modifier}:"
    values = [_quoted(_escaped(value)) for value in term.values]
    if len(values) == 1:
        return [f"{key} {values[0]}"]
    return [key, *(f"            - {value}" for value in values)]


def _field(path: str, mapping: Mapping) -> str:
    """What the rule's log source calls an attribute, if it has a name that means just that; else its full path."""
    for name, paths in mapping.fields.items():
        if paths == (path,) and name not in mapping.values:
            return name
    if mapping.others in {Others.SOURCE, Others.RAW} and path.startswith(f"{SOURCE}."):
        return path[len(SOURCE) + 1 :]
    return path


def _escaped(value: str) -> str:
    """A text as a Sigma value: no character of it is a wildcard."""
    signs = []
    for place, sign in enumerate(value):
        following = value[place + 1 : place + 2]
        alone = sign == "\\" and following not in {"", "\\", "*", "?"}
        signs.append(sign if alone or sign not in "\\*?" else f"\\{sign}")
    return "".join(signs)


def _quoted(text: str) -> str:
    # JSON's quotes are YAML's too, and can hold what single quotes cannot.
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else json.dumps(text)
