"""`tocsin intel`: feeds of indicators, what they list, and what of it was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.period import milliseconds
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.errors import BadInput, InvalidSetting, TryLater

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tocsin.config import Settings
    from tocsin.intel.feeds import FeedRow
    from tocsin.intel.update import Outcome

__all__ = ["app"]

app = typer.Typer(help="Threat intelligence: feeds of indicators, and what of them was seen.", no_args_is_help=True)
_DAY_MS = 86_400_000
NameArgument = Annotated[str, typer.Argument(help="Name of the feed.")]


@app.command()
def add(  # noqa: PLR0913, PLR0917 -- each is an option
    name: NameArgument,
    source: Annotated[str, typer.Option("--from", help="URL or file; for TAXII an API root or a collection.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    format_: Annotated[
        str, typer.Option("--format", help="list, csv, stix, taxii, misp or warninglist; guessed if not said.")
    ] = "",
    every: Annotated[str, typer.Option(help="How often it is read again: 30m, 1h, 1d; never: only when asked.")] = "1h",
    level: Annotated[str, typer.Option(help="Level of alerts, lowered where the feed is less confident.")] = "high",
    kind: Annotated[str, typer.Option(help="Kind of all values of a list: ip, domain, url, ...; else guessed.")] = "",
    column: Annotated[
        list[str] | None, typer.Option(help="Column of a CSV file, e.g. value=ioc; also kind, confidence, until, ...")
    ] = None,
    collection: Annotated[str, typer.Option(help="Collection of a TAXII server, by id or title.")] = "",
    username: Annotated[str, typer.Option(help="User at the source.")] = "",
    password: Annotated[str, typer.Option(envvar="TOCSIN_FEED_PASSWORD", help="Password at the source.")] = "",
    token: Annotated[str, typer.Option(envvar="TOCSIN_FEED_TOKEN", help="Bearer token of the source.")] = "",
    private: Annotated[bool, typer.Option(help="Match private addresses and the hosts' own, too.")] = False,
    every_org: Annotated[bool, typer.Option(help="For all orgs of this server.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a feed and read it; a running server matches it within a second and searches history for it."""
    from tocsin.intel.feeds import FeedRow
    from tocsin.intel.feeds import add as add_feed

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    options = _options(kind, column or [], collection, username, password, token, private=private)
    location, known = _location(source), _format(format_, source)
    feed = FeedRow(
        org="" if every_org else settings.org,
        name=name,
        format=known,
        location=location,
        level=_level(level),
        warns=known == "warninglist",
        options=options,
        every_ms=0 if every == "never" else milliseconds(every),
        created_at=now,
        next_at=now + _DAY_MS,  # read below, not by the server
    )
    with engine.begin() as connection:
        add_feed(connection, feed)
    outcome = _update(engine, feed, settings)
    if outcome.error:
        from tocsin.intel.feeds import remove as remove_feed

        with engine.begin() as connection:
            remove_feed(connection, feed.org, feed.name)
        raise InvalidSetting(f"{name} is not added: {outcome.error}")
    _say(feed, outcome, as_json=as_json)


@app.command("list")
def list_feeds(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show feeds: what they list, how old that is, why a feed cannot be read, how far history is searched."""
    from tocsin.cli.intel_text import feed_table, print_table, shown
    from tocsin.intel.feeds import feeds_of
    from tocsin.intel.hunts import hunts_of
    from tocsin.state.engine import reading

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with reading(engine) as connection:
        feeds = [feed for feed in feeds_of(connection, settings.org) if as_json or not feed.warns]
        hunts = {(hunt.org, hunt.feed): hunt for hunt in hunts_of(connection)}
    if as_json:
        for feed in feeds:
            typer.echo(msgspec.json.encode(shown(feed, hunts.get((feed.org, feed.name)), now)))
    elif feeds:
        print_table(feed_table(feeds, hunts, now))
    else:
        typer.echo("no feeds; add one with `tocsin intel add NAME --from URL`")


@app.command()
def warnings(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show warning lists, and how many indicators of other feeds each one hides."""
    from tocsin.cli.intel_text import print_table, shown, warning_table
    from tocsin.intel.feeds import feeds_of
    from tocsin.state.engine import reading

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with reading(engine) as connection:
        feeds = feeds_of(connection, settings.org)
    lists = [feed for feed in feeds if feed.warns]
    hidden = {each.name: sum(feed.counts.get("hidden", {}).get(each.name, 0) for feed in feeds) for each in lists}
    if as_json:
        for each in lists:
            typer.echo(msgspec.json.encode({**shown(each, None, now), "hides": hidden[each.name]}))
    elif lists:
        print_table(warning_table(lists, hidden, now))
    else:
        typer.echo("no warning lists; add one with `tocsin intel add NAME --format warninglist --from URL`")


@app.command()
def update(
    name: Annotated[str, typer.Argument(help="Name of the feed; all if none is named.")] = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read feeds now. Exit code 3 if one cannot be read; what it listed before stays."""
    from tocsin.intel.feeds import feeds_of, one
    from tocsin.state.engine import reading

    settings = existing_settings(config, data_dir)
    engine, _ = _opened(settings)
    with reading(engine) as connection:
        feeds = [one(connection, settings.org, name)] if name else feeds_of(connection, settings.org)
    failed = []
    for feed in feeds:
        outcome = _update(engine, feed, settings)
        failed += [f"{feed.name}: {outcome.error}; what it listed before stays"] if outcome.error else []
        if not outcome.error:
            _say(feed, outcome, as_json=as_json)
    if failed:
        raise TryLater("; ".join(failed))


@app.command()
def remove(
    name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Forget a feed and all that it lists; the alerts that it raised stay."""
    from tocsin.intel.feeds import one
    from tocsin.intel.feeds import remove as remove_feed
    from tocsin.intel.update import hide_again

    settings = existing_settings(config, data_dir)
    engine, _ = _opened(settings)
    with engine.begin() as connection:
        feed = one(connection, settings.org, name)
        remove_feed(connection, settings.org, name)
    if feed.warns:
        hide_again(engine, feed.org)
    typer.echo(msgspec.json.encode({"removed": name}) if as_json else f"{name} removed")


@app.command()
def lookup(
    value: Annotated[str, typer.Argument(help="Address, domain, URL, hash, file name or email address.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who lists a value, since when, what hides it, and how often it was seen. Exit code 1 if nobody lists it."""
    from tocsin.cli.intel_text import lookup_lines
    from tocsin.intel.lookup import lookup as look_up
    from tocsin.state.engine import reading

    settings = existing_settings(config, data_dir)
    engine, now = _opened(settings)
    with reading(engine) as connection:
        listed, seen = look_up(connection, settings.org, value)
    if as_json:
        typer.echo(msgspec.json.encode({"listed": listed, "seen": seen}))
    else:
        for line in lookup_lines(value, listed, seen, now // 1000):
            typer.echo(line)
    if not listed:
        raise typer.Exit(1)


def _opened(settings: Settings) -> tuple[sa.Engine, int]:
    """The state, and what time it is (ms)."""
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    now = SystemClock().now_ms()
    return open_server_state(settings, now), now


def _update(engine: sa.Engine, feed: FeedRow, settings: Settings) -> Outcome:
    from tocsin.intel.fetch import feed_client
    from tocsin.intel.update import update as update_feed
    from tocsin.wiring.clock import SystemClock

    with feed_client() as client:
        return update_feed(engine, feed, client, SystemClock().now_ms(), settings.intel_hunt_days * _DAY_MS)


def _say(feed: FeedRow, outcome: Outcome, *, as_json: bool) -> None:
    from tocsin.cli.intel_text import outcome_lines

    if as_json:
        typer.echo(msgspec.json.encode({"feed": feed.name, "outcome": outcome}))
    else:
        for line in outcome_lines(feed, outcome):
            typer.echo(line)


def _location(source: str) -> str:
    """A URL as it is; a path so that the server finds it from wherever it runs."""
    return source if source.startswith(("http://", "https://")) else str(Path(source).absolute())


def _format(name: str, source: str) -> str:
    from tocsin.intel.read.formats import FORMATS, guess_format

    if name and name not in FORMATS:
        raise BadInput(f"format {name!r} is not known; known are {', '.join(FORMATS)}")
    return name or guess_format(source)


def _level(name: str) -> str:
    from tocsin.model.rule import LEVELS

    if name not in LEVELS:
        raise BadInput(f"level {name!r} is not known; known are {', '.join(LEVELS)}")
    return name


def _options(
    kind: str, columns: list[str], collection: str, username: str, password: str, token: str, *, private: bool
) -> dict[str, object]:
    from tocsin.intel.indicator import Kind
    from tocsin.intel.options import Options
    from tocsin.intel.read.table import MEANINGS

    if kind and kind not in list(Kind):
        raise BadInput(f"kind {kind!r} is not known; known are {', '.join(Kind)}")
    named = {what: name for what, _, name in (each.partition("=") for each in columns)}
    unknown = [each for each in columns if each.partition("=")[0] not in MEANINGS or "=" not in each]
    if unknown:
        raise BadInput(f"--column {unknown[0]} is not understood: write value=NAME; known are {', '.join(MEANINGS)}")
    options = Options(
        kind=Kind(kind) if kind else None,
        columns=named,
        private=private,
        collection=collection,
        username=username,
        password=password,
        token=token,
    )
    plain: dict[str, object] = msgspec.to_builtins(options)
    return plain
