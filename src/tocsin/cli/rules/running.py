"""`tocsin rules run`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.events import Refusals
from tocsin.cli.log_files import AUTO, SOURCES_HELP, check_source, read_source
from tocsin.cli.rules.chosen import RAW_SOURCE
from tocsin.cli.rules.given import active_paths, usable_library
from tocsin.cli.rules.of_logsource import of_logsource
from tocsin.cli.rules.running_raw import run_raw
from tocsin.cli.settings import ConfigOption, load_settings
from tocsin.model.errors import BadInput
from tocsin.model.event import Event

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


_Rules = Annotated[list[Path] | None, typer.Option(help="Rules to run; the active ones if none is named.")]
_Source = Annotated[str, typer.Option(help=f"{SOURCES_HELP} {RAW_SOURCE}: JSON, in the rules' own terms.")]
_Pipelines = Annotated[
    list[Path] | None, typer.Option("--pipeline", help="pySigma pipeline (YAML) for the rules; with --source raw.")
]
_TimeField = Annotated[
    str, typer.Option(help="Field with the events' time, for correlations; with --source raw. Else the usual names.")
]


_LogSource = Annotated[
    list[str] | None,
    typer.Option(help="What the events are, as rules say it: product=windows; only rules that may fit are run."),
]
_BATCH = 4096


def run(
    files: Annotated[list[Path], typer.Argument(help="Files of events; - is standard input.")],
    rules: _Rules = None,
    source: _Source = AUTO,
    pipeline: _Pipelines = None,
    time_field: _TimeField = "",
    logsource: _LogSource = None,
    config: ConfigOption = None,
) -> None:
    """Run rules over files of events; prints each match as NDJSON. Exit code 1 if a line could not be read."""
    if source == RAW_SOURCE:
        run_raw(rules, files, pipeline or (), time_field, logsource or (), config)
        return
    if pipeline or time_field:
        named = "--pipeline" if pipeline else "--time-field"
        raise BadInput(f"{named} is for --source raw: other events have fields of the schema")
    _run_normalized(files, rules, source, logsource or [], config)


def _run_normalized(
    files: list[Path], rules: list[Path] | None, source: str, wanted: list[str], config: Path | None
) -> None:
    from tocsin.wiring.at_hand.schema_run import run as run_rules

    refusals = Refusals()
    check_source(source, RAW_SOURCE)
    library = of_logsource(usable_library(rules or active_paths(load_settings(config))), wanted)
    batches = ((str(path), batch) for path in files for batch in _batches(_readable(path, source, refusals)))
    for line in run_rules(library, batches):
        sys.stdout.buffer.write(line)
    sys.stdout.flush()
    refusals.finish()


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch


def _readable(path: Path, source: str, refusals: Refusals) -> Iterator[Event]:
    for item in read_source([path], source):
        if isinstance(item, Event):
            yield item
        else:
            refusals.add(f"{path}:{item.line}", item)
