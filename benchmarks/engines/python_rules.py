"""One Python function per rule, written out as source and compiled: what most rule engines in Python do, done well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from engines.setting import Measured, Task, chosen_rules, cpu_s, held_mib, made_events
from tocsin.conditions.literal import judge
from tocsin.model.condition import And, Condition, Exists, Keyword, Match, Not, Or, Relation, SameAs, Text, fold

__all__ = ["python_rules"]

_Texts = dict[str, str]
_OPERATIONS = {
    Relation.CONTAINS: "{value!r} in {field}",
    Relation.EQUALS: "{field} == {value!r}",
    Relation.STARTSWITH: "{field}.startswith({value!r})",
    Relation.ENDSWITH: "{field}.endswith({value!r})",
}


def python_rules(task: Task) -> Measured:
    """Every rule on every event."""
    rules = chosen_rules(task)
    made = [{key: str(value) for key, value in event.items()} for event in made_events(task)]
    before, started = held_mib(), cpu_s()
    functions = [(rule.id, _compiled(rule.condition)) for rule in rules]
    compile_s = cpu_s() - started
    hits: Counter[str] = Counter()
    started = cpu_s()
    for event in made:
        lowered = {key: value.lower() for key, value in event.items()}
        for rule_id, holds in functions:
            if holds(event, lowered):
                hits[rule_id] += 1
    return Measured(len(made), cpu_s() - started, dict(hits), compile_s, memory_mib=held_mib() - before)


def _compiled(condition: Condition) -> Callable[[_Texts, _Texts], bool]:
    names: dict[str, object] = {}
    source = _source(condition, names)
    holds: Callable[[_Texts, _Texts], bool] = eval(f"lambda event, low: {source}", names)  # noqa: S307 - made here
    return holds


def _source(condition: Condition, names: dict[str, object]) -> str:  # noqa: PLR0911 - one per kind
    match condition:
        case And(parts):
            return "(" + " and ".join([_source(part, names) for part in parts]) + ")" if parts else "True"
        case Or(parts):
            return "(" + " or ".join([_source(part, names) for part in parts]) + ")" if parts else "False"
        case Not(part):
            return f"(not {_source(part, names)})"
        case Match(field, Exists()):
            return f"({field.path!r} in event)"
        case Match(field, SameAs(other)):
            return f"({field.path!r} in low and low.get({other.path!r}) == low[{field.path!r}])"
        case Match(field, Text(relation, value, cased=False)):
            test = _OPERATIONS[relation].format(value=fold(value), field=f"low[{field.path!r}]")
            return f"({field.path!r} in low and {test})"
        case Match(field, test):
            name = f"judge{len(names)}"
            names[name] = judge(test)
            return f"({field.path!r} in event and {name}(event[{field.path!r}]))"
        case Keyword(test):
            name = f"judge{len(names)}"
            names[name] = judge(test)
            return f"any(map({name}, event.values()))"
        case _:
            raise TypeError(type(condition).__name__)
