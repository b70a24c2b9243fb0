"""`tocsin rules run --source raw`: Sigma on JSON events as they stand."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tocsin.cli.events import Refusals
from tocsin.cli.rules.given import active_paths, usable_library
from tocsin.cli.rules.of_logsource import of_logsource
from tocsin.cli.settings import load_settings

if TYPE_CHECKING:
    from tocsin.detect.sigma.logsource import Mapping

__all__ = ["run_raw"]


def run_raw(
    rules: Sequence[Path] | None,
    files: Sequence[Path],
    pipelines: Sequence[Path],
    time_field: str,
    logsource: Sequence[str],
    config: Path | None,
) -> None:
    """Print each match as NDJSON, then those of correlations, and on standard error what was looked at.

    Raises:
        typer.Exit: with code 1, if a line is no event.
    """
    from tocsin.wiring.at_hand.raw_run import run
    from tocsin.wiring.at_hand.raw_windows import RawWindows

    every = usable_library(rules or active_paths(load_settings(config)), _mapping(pipelines))
    library = of_logsource(every, logsource)
    windows = RawWindows(library, time_field)
    started, refusals, hits, events = time.monotonic(), Refusals(), Counter[str](), 0
    for outcome in run(library, files):
        sys.stdout.buffer.write(outcome.output)
        windows.add(outcome)
        events += outcome.events
        hits.update(outcome.hits)
        for refused in outcome.refused:
            refusals.add(f"{outcome.path}:{refused.line}", refused)
    for correlation_id, line in windows.fired():
        sys.stdout.buffer.write(line)
        hits[correlation_id] += 1
    sys.stdout.flush()
    _say_left_out(windows.without_time, time_field)
    count = len(library.rules) + len(library.correlations)
    typer.echo(_summary(events, count, hits, time.monotonic() - started), err=True)
    refusals.finish()


def _mapping(pipelines: Sequence[Path]) -> Mapping:
    """What reads pipelines is imported if there are some: it takes half a second."""
    from tocsin.detect.sigma.logsource import RAW

    if not pipelines:
        return RAW
    from tocsin.detect.sigma.pipeline import piped

    return piped(pipelines)


def _say_left_out(events: int, time_field: str) -> None:
    from tocsin.wiring.at_hand.raw_windows import TIME_FIELDS

    if events:
        sought = time_field or f"any of {', '.join(TIME_FIELDS)}"
        typer.echo(
            f"events left out of correlations, having no time in {sought}: {events:,}; see --time-field", err=True
        )


def _summary(events: int, rules: int, hits: Counter[str], took_s: float) -> str:
    matches = f"{hits.total():,} matches of {len(hits):,} rules"
    return (
        f"{events:,} events, {rules:,} rules: {matches} in {took_s:.1f} s, {events / max(took_s, 1e-9):,.0f} events/s"
    )
