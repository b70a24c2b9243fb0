"""`tocsin rules run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tocsin.cli.events import Refusals, read_source
from tocsin.cli.rules.given import active_paths, usable_rules
from tocsin.cli.settings import ConfigOption
from tocsin.config import load_settings
from tocsin.model.event import Event, RefusedLine

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    files: Annotated[list[Path], typer.Argument(help="Files of events; - is standard input.")],
    rules: Annotated[list[Path] | None, typer.Option(help="Rules to run; the active ones if none is named.")] = None,
    source: Annotated[str, typer.Option(help="Format of the files: auditd, cloudtrail, k8s-audit, ocsf.")] = "ocsf",
    config: ConfigOption = None,
) -> None:
    """Run rules over files of events; prints each match as NDJSON. Exit code 1 if a line could not be read."""
    from tocsin.detect.evaluate.engine import Engine
    from tocsin.detect.history.replay import replay

    refusals = Refusals()
    events = _readable(read_source(files, source), refusals)
    for finding in replay(Engine(usable_rules(rules or active_paths(load_settings(config)))), events):
        typer.echo(msgspec.json.encode(finding))
    refusals.finish()


def _readable(items: Iterable[Event | RefusedLine], refusals: Refusals) -> Iterator[Event]:
    for item in items:
        if isinstance(item, Event):
            yield item
        else:
            refusals.add(f"line {item.line}", item)
