"""`tocsin rules explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.log_files import AUTO
from tocsin.cli.rules.chosen import RAW_SOURCE, SourceOption, chosen_rule, events_in_files, mapping_of, stored_events
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings, load_settings
from tocsin.model.errors import NotFound
from tocsin.model.event import Event, RefusedLine

if TYPE_CHECKING:
    from tocsin.detect.quality.explain import Explanation

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    rule: Annotated[str, typer.Argument(help="A rule's file, id, title or file name.")],
    event: Annotated[str, typer.Argument(help="A file of events, - for standard input, an event's id, or an alert's.")],
    source: SourceOption = AUTO,
    rules: Annotated[
        list[Path] | None, typer.Option(help="Where to look for the rule; the active ones if none.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Explain each event, not only the nearest.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a rule does or does not match an event: each term, the value seen, and what would have to differ."""
    from tocsin.detect.quality.explain import explain, rank
    from tocsin.detect.quality.selections import named_selections

    mapping = mapping_of(source)
    meant, text = chosen_rule(rule, load_settings(config, data_dir=data_dir), rules, mapping)
    events = _events(event, source, config, data_dir)
    selections = named_selections(meant, mapping, text)
    if every or len(events) == 1:
        for each in events:
            _print(explain(meant, each, selections, mapping), as_json)
        return
    place, nearest = min(enumerate(events, 1), key=lambda item: rank(meant, item[1]))
    typer.echo(f"event {place} of {len(events)}, the nearest to the rule; --all explains each", err=True)
    _print(explain(meant, nearest, selections, mapping), as_json)


def _events(event: str, source: str, config: Path | None, data_dir: Path | None) -> list[Event]:
    if event != "-" and not Path(event).exists():
        return stored_events(existing_settings(config, data_dir), event)
    found, refused = [], False
    for item in events_in_files([Path(event)], source):
        if isinstance(item, RefusedLine):
            refused = True
            typer.echo(f"{event}:{item.line}: {item.reason}", err=True)
        else:
            found.append(item)
    if not found and not refused:
        raise NotFound(f"{event}: there is no event in it")
    if not found:
        named = "JSON" if source == RAW_SOURCE else source
        raise NotFound(f"{event}: there is no event in it that can be read as {named}; --source names its format")
    return found


def _print(explanation: Explanation, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(explanation))
        return
    from rich.console import Console

    from tocsin.cli.rules.explained import lines

    console = Console(soft_wrap=True, highlight=False)
    for line in lines(explanation):
        console.print(line)
