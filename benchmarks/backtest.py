"""Backtests over a month of events on all cores: many rules by columns, one rule by SQL, both ways with the same hits.

    python benchmarks/backtest.py [--events 10000000] [--folder FOLDER]

The lake is built once per folder (see history_lake.py): 10 M events take some 700 CPU seconds and 0.8 GB.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from history_lake import DAY_MS, DAYS, START, build
from report import table
from tocsin.adapters.duckdb_query import DuckdbQuery
from tocsin.adapters.sqlite_log import SqliteLog
from tocsin.detect.history.backtest import Search, search
from tocsin.detect.history.scan import Period
from tocsin.detect.history.sieve import sift
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.model.condition import Keyword, leaves
from tocsin.model.rule import Rule
from tocsin.state.engine import open_state
from tocsin.wiring.stored.history import History, search_with_duckdb

DATA = Path(os.environ.get("TOCSIN_TEST_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
PERIOD = Period(START, START + DAYS * DAY_MS)
RULES, MANY_GOAL_S, ONE_GOAL_S = 300, 60.0, 3.0


@dataclass(frozen=True)
class Measured:
    """One search."""

    wall_s: float
    cpu_s: float
    hits: dict[str, int]

    def row(self, what: str, goal_s: float) -> list[str]:
        """A line of the table."""
        return [what, f"{self.wall_s:.1f}", f"{self.cpu_s:.1f}", f"{sum(self.hits.values()):,}", f"{goal_s:g}"]


def measure(history: History, rules: Sequence[Rule], way: Search) -> Measured:
    """Search for the rules' hits; time of planning is part of it."""
    wall, cpu = time.monotonic(), _cpu_s()
    pieces = history.pieces(PERIOD, {uid for rule in rules for uid in rule.class_uids})
    found = way(rules, sift(rules, pieces), PERIOD, lambda _done, _total: None)
    hits = {rule: tally.hits for rule, tally in found.tallies.items()}
    return Measured(time.monotonic() - wall, _cpu_s() - cpu, hits)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _rules() -> list[Rule]:
    parts = ("rules/linux", "rules-threat-hunting/linux", "rules-emerging-threats")
    folders = [DATA / "sigma" / part for part in parts]
    loaded = load([*folders, ruleset_folder("base")]).rules
    return sorted((rule for rule in loaded if rule.logsource.product == "linux"), key=lambda rule: rule.id)[:RULES]


def _one(rules: Sequence[Rule], category: str) -> Rule:
    return next(rule for rule in rules if rule.logsource.category == category)


def _of_records(rules: Sequence[Rule]) -> Iterator[tuple[str, Rule]]:
    """One of a field, and one of keywords."""
    of_records = [rule for rule in rules if rule.logsource.service == "auditd"]
    keywords = [rule for rule in of_records if any(isinstance(leaf, Keyword) for leaf in leaves(rule.condition))]
    yield "of a field", next(rule for rule in of_records if rule not in keywords)
    yield "of keywords", keywords[0]


def main() -> int:
    """Print the table; 1 if the two ways differ or a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tocsin-backtest")
    options = parser.parse_args()
    build(options.folder, options.events)
    state = open_state(f"sqlite:///{options.folder / 'state.db'}")
    log = SqliteLog(options.folder / "log.db", 1)
    history = History(DuckdbQuery(log, state, state), "default")
    before = os.getloadavg()[0]
    rules = _rules()
    many = measure(history, rules, search)
    rows = [many.row(f"{len(rules)} rules, by columns", MANY_GOAL_S)]
    held = many.wall_s < MANY_GOAL_S
    for category in ("process_creation", "file_event", "network_connection"):
        rule = _one(rules, category)
        one = measure(history, [rule], search_with_duckdb)
        rows.append(one.row(f"one rule of {category}, by SQL", ONE_GOAL_S))
        held = held and one.wall_s < ONE_GOAL_S and one.hits[rule.id] == many.hits[rule.id]
    for what, rule in _of_records(rules):
        alone = measure(history, [rule], search)
        rows.append(alone.row(f"one rule on audit records, {what}, by columns", ONE_GOAL_S))
        held = held and alone.wall_s < ONE_GOAL_S and alone.hits[rule.id] == many.hits[rule.id]
    alike = same(rules, many, history)
    head = ("What", "Seconds", "CPU seconds", "Hits", "Goal, seconds")
    print(table(f"Backtest over {options.events:,} events of {DAYS} days", head, rows))
    print(f"Load average before and after: {before:.1f}, {os.getloadavg()[0]:.1f}")
    print(f"Rules with hits have the same by SQL as by columns: {'yes' if alike else 'NO'}")
    return 0 if held and alike else 1


def same(rules: Sequence[Rule], many: Measured, history: History) -> bool:
    """Do some rules with hits have as many by SQL?"""
    with_hits = [rule for rule in rules if many.hits[rule.id] and rule.logsource.category][:5]
    asked = measure(history, with_hits, search_with_duckdb)
    return bool(with_hits) and all(asked.hits[rule.id] == many.hits[rule.id] for rule in with_hits)


if __name__ == "__main__":
    raise SystemExit(main())
