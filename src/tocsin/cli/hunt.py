"""`tocsin hunt`: an expression or indicators over everything that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.period import LastOption, SinceOption, UntilOption, span
from tocsin.cli.progress import progress
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.errors import InvalidQuery, NotFound

if TYPE_CHECKING:
    from tocsin.intel.indicator import Indicator
    from tocsin.wiring.stored.hunt import Hunted

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hunt")(hunt)


def hunt(  # noqa: PLR0913, PLR0917 -- the parameters are the options
    where: Annotated[str, typer.Argument(help="SQL boolean expression; or give indicators instead.")] = "",
    ip: Annotated[list[str] | None, typer.Option(help="An address or network.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A domain; names below it are found too.")] = None,
    url: Annotated[list[str] | None, typer.Option(help="A URL.")] = None,
    hash_: Annotated[list[str] | None, typer.Option("--hash", help="An MD5, SHA-1 or SHA-256.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Many of them: a list, CSV, STIX 2.1 or MISP file, as `tocsin intel` reads.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    last: LastOption = "90d",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: Annotated[int, typer.Option(min=0, max=1000, help="Print at most so many events, the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Look for an expression or for indicators in everything that is kept; says when, where, and shows the newest.

    With --json each event is a line in OCSF's nested form.
    """
    from tocsin.cli.search import print_events
    from tocsin.conditions.parse_sql import parse_filter
    from tocsin.detect.history.scan import Period
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.lake.storage import open_storage
    from tocsin.wiring.processes.first_start import open_server_state
    from tocsin.wiring.stored.history import History
    from tocsin.wiring.stored.hunt import hunt_expression, hunt_indicators

    values = [*(ip or []), *(domain or []), *(url or []), *(hash_ or [])]
    if bool(where.strip()) == bool(values or file):
        raise InvalidQuery("give an expression, or indicators with --ip, --domain, --url, --hash or --file")
    condition = parse_filter(where)
    indicators = [] if where.strip() else list(_indicators(values, file))
    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    period = Period(*span(last, since, until, now))
    with closing(open_storage(settings, open_server_state(settings, now))) as storage:
        history = History(storage.query, settings.org)
        with progress("events") as bar:
            if where.strip():
                found = hunt_expression(history, condition, period, bar)
            else:
                found = hunt_indicators(history, indicators, period, bar)
        rows = storage.query.by_uid(settings.org, found.newest[:limit])
    if not as_json:
        _print(found)
    print_events(reversed(rows), as_json=as_json, asked=condition)


def _indicators(values: list[str], file: Path | None) -> Iterator[Indicator]:
    """What was given, in normal form.

    Raises:
        InvalidQuery: a value is no indicator, or the file has none.
        NotFound: there is no such file.
    """
    from tocsin.intel.indicator import Indicator
    from tocsin.intel.value import guess

    for value in values:
        try:
            yield Indicator(*guess(value))
        except ValueError as error:
            raise InvalidQuery(str(error)) from error
    if file is not None:
        yield from _of_file(file)


def _of_file(file: Path) -> Iterator[Indicator]:
    from tocsin.intel.indicator import Indicator, Refused
    from tocsin.intel.options import Options
    from tocsin.intel.read.formats import READERS, guess_format

    if not file.is_file():
        raise NotFound(f"{file}: no such file")
    read = READERS.get(guess_format(str(file)))
    if read is None:
        raise InvalidQuery(f"{file} is no list of indicators: write a list, CSV, STIX 2.1 or MISP file")
    found = 0
    for item in read(file.read_bytes(), Options()):
        if isinstance(item, Indicator):
            found += 1
            yield item
        elif isinstance(item, Refused):
            typer.echo(f"{file}: {item.where}: {item.reason}", err=True)
    if not found:
        raise InvalidQuery(f"{file} has no indicators")


def _print(found: Hunted) -> None:
    from rich.console import Console

    from tocsin.cli.rules.backtest_text import bars, counts

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{found.hits:,} hits in {found.judged:,} events")
    for line in bars(found.days, with_alerts=False):
        console.print(line)
    if found.indicators:
        console.print(f"indicators: {counts(found.indicators)}")
    if found.hits:
        console.print(f"hosts: {counts(found.hosts)}")
