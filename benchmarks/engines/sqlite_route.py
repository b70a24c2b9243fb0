"""The route that Zircolite takes: events into a SQLite table in memory, each rule as one SELECT over it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from engines.setting import Measured, Task, chosen_rules, cpu_s, held_mib, made_events
from tocsin.conditions.literal import judge
from tocsin.model.condition import And, Condition, Exists, Keyword, Match, Not, Or, Relation, SameAs, Text, fold

__all__ = ["sqlite_route"]

_LIKE = {Relation.CONTAINS: "%{}%", Relation.STARTSWITH: "{}%", Relation.ENDSWITH: "%{}", Relation.EQUALS: "{}"}


def sqlite_route(task: Task) -> Measured:
    """The whole table is filled first, as Zircolite does; that is counted apart."""
    rules = chosen_rules(task)
    made = made_events(task)
    names = list(dict.fromkeys(name for event in made for name in event))
    before = held_mib()
    database = sqlite3.connect(":memory:")
    started = cpu_s()
    columns = ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in names)
    database.execute(f"CREATE TABLE logs ({columns})")
    places = ", ".join("?" * len(names))
    rows = ([event.get(name) for name in names] for event in made)
    database.executemany(f"INSERT INTO logs VALUES ({places})", rows)  # noqa: S608 - only question marks
    filled_s, started = cpu_s() - started, cpu_s()
    queries = [(rule.id, _Query(database, names).select(rule.condition)) for rule in rules]
    compile_s, started = cpu_s() - started, cpu_s()
    hits = Counter({rule_id: database.execute(query).fetchone()[0] for rule_id, query in queries})
    return Measured(
        len(made), cpu_s() - started, dict(+hits), compile_s, decode_s=filled_s, memory_mib=held_mib() - before
    )


class _Query:
    """One rule as SQL; tests that LIKE cannot say become functions."""

    def __init__(self, database: sqlite3.Connection, names: Sequence[str]) -> None:
        self._database, self._names = database, names

    def select(self, condition: Condition) -> str:
        return f"SELECT count(*) FROM logs WHERE {self._sql(condition)}"  # noqa: S608 - made from a tree

    def _sql(self, condition: Condition) -> str:  # noqa: PLR0911 - one per kind
        match condition:
            case And(parts):
                return _balanced([self._sql(part) for part in parts], "AND") if parts else "1"
            case Or(parts):
                return _balanced([self._sql(part) for part in parts], "OR") if parts else "0"
            case Not(part):
                return f"NOT coalesce({self._sql(part)}, 0)"
            case Match(field) if field.path not in self._names:
                return "0"
            case Match(field, Exists()):
                return f'"{field.path}" IS NOT NULL'
            case Match(field, SameAs(other)):
                return f'"{field.path}" = "{other.path}"' if other.path in self._names else "0"
            case Match(field, Text(relation, value, cased=False)):
                return f"\"{field.path}\" LIKE '{_LIKE[relation].format(_escaped(fold(value)))}' ESCAPE '\\'"
            case Match(field, test):
                return f'{self._function(judge(test))}("{field.path}")'
            case Keyword(test):
                name = self._function(judge(test))
                return _balanced([f'{name}("{field}")' for field in self._names], "OR")
            case _:
                raise TypeError(type(condition).__name__)

    def _function(self, judged: Callable[[str], object]) -> str:
        name = f"judge_{id(judged)}"
        self._database.create_function(name, 1, partial(_judged, judged), deterministic=True)
        return name


def _judged(judged: Callable[[str], object], value: str | None) -> bool:
    return value is not None and bool(judged(value))


def _escaped(value: str) -> str:
    for special in ("\\", "%", "_"):
        value = value.replace(special, f"\\{special}")
    return value.replace("'", "''")


def _balanced(parts: Sequence[str], operator: str) -> str:
    """Nested in halves, since SQLite allows expressions no deeper than 1,000."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_balanced(parts[:half], operator)} {operator} {_balanced(parts[half:], operator)})"
