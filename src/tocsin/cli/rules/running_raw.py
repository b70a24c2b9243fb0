"""`tocsin rules run --source raw`: Sigma on JSON events as they stand."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tocsin.cli.events import Refusals
from tocsin.cli.rules.given import active_paths
from tocsin.config import load_settings

if TYPE_CHECKING:
    from tocsin.model.rule import Rule

__all__ = ["run_raw"]


def run_raw(
    rules: Sequence[Path] | None, files: Sequence[Path], pipelines: Iterable[Path], config: Path | None
) -> None:
    """Print each match as NDJSON, and on standard error what was looked at.

    Raises:
        typer.Exit: with code 1, if a line is no event.
    """
    from tocsin.wiring.raw_run import run

    chosen = _loaded(rules or active_paths(load_settings(config)), pipelines)
    started, refusals, hits, events = time.monotonic(), Refusals(), Counter[str](), 0
    for outcome in run(chosen, files):
        sys.stdout.buffer.write(outcome.output)
        events += outcome.events
        hits.update(outcome.hits)
        for refused in outcome.refused:
            refusals.add(f"{outcome.path}:{refused.line}", refused)
    sys.stdout.flush()
    typer.echo(_summary(events, len(chosen), hits, time.monotonic() - started), err=True)
    refusals.finish()


def _loaded(paths: Iterable[Path], pipelines: Iterable[Path]) -> tuple[Rule, ...]:
    from tocsin.detect.sigma.library import load
    from tocsin.detect.sigma.pipeline import piped

    library = load(paths, piped(pipelines))
    for error in library.refused:
        typer.echo(f"not used: {error}", err=True)
    for correlation in library.correlations:
        typer.echo(f"not run: {correlation.title}: events as they stand have no time to correlate by", err=True)
    return library.rules


def _summary(events: int, rules: int, hits: Counter[str], took_s: float) -> str:
    matches = f"{hits.total():,} matches of {len(hits):,} rules"
    return (
        f"{events:,} events, {rules:,} rules: {matches} in {took_s:.1f} s, {events / max(took_s, 1e-9):,.0f} events/s"
    )
