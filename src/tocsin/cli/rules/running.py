"""`tocsin rules run`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tocsin.cli.events import Refusals
from tocsin.cli.log_files import AUTO, SOURCES_HELP, check_source, read_source
from tocsin.cli.rules.chosen import RAW_SOURCE
from tocsin.cli.rules.given import active_paths, usable_library
from tocsin.cli.rules.running_raw import run_raw
from tocsin.cli.settings import ConfigOption
from tocsin.config import load_settings
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


def run(
    files: Annotated[list[Path], typer.Argument(help="Files of events; - is standard input.")],
    rules: _Rules = None,
    source: _Source = AUTO,
    pipeline: _Pipelines = None,
    time_field: _TimeField = "",
    config: ConfigOption = None,
) -> None:
    """Run rules over files of events; prints each match as NDJSON. Exit code 1 if a line could not be read."""
    if source == RAW_SOURCE:
        run_raw(rules, files, pipeline or (), time_field, config)
        return
    if pipeline or time_field:
        named = "--pipeline" if pipeline else "--time-field"
        raise BadInput(f"{named} is for --source raw: other events have fields of the schema")
    _run_normalized(files, rules, source, config)


def _run_normalized(files: list[Path], rules: list[Path] | None, source: str, config: Path | None) -> None:
    from tocsin.detect.history.at_hand import found_in

    refusals = Refusals()
    check_source(source, RAW_SOURCE)
    events = (event for path in files for event in _readable(path, source, refusals))
    for finding in found_in(usable_library(rules or active_paths(load_settings(config))), events):
        typer.echo(msgspec.json.encode(finding))
    refusals.finish()


def _readable(path: Path, source: str, refusals: Refusals) -> Iterator[Event]:
    for item in read_source([path], source):
        if isinstance(item, Event):
            yield item
        else:
            refusals.add(f"{path}:{item.line}", item)
