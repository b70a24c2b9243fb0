"""Feeds, warning lists and look-ups as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from tocsin.intel.feeds import FeedRow
    from tocsin.intel.hunts import Hunt
    from tocsin.intel.lookup import Listed, Seen
    from tocsin.intel.update import Outcome

__all__ = ["feed_table", "lookup_lines", "outcome_lines", "print_table", "shown", "span", "warning_table"]

_PIPE_WIDTH = 200
_REASONS_SHOWN = 5
_SECRETS = ("password", "token")
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def span(milliseconds: int) -> str:
    """A span of time in its largest unit: 3d, 2h, 5m, 0s."""
    return next((f"{milliseconds // size}{unit}" for unit, size in _UNITS if milliseconds >= size), "0s")


def shown(feed: FeedRow, hunt: Hunt | None, now_ms: int) -> dict[str, object]:
    """A feed as JSON, without its secrets."""
    options = {name: value for name, value in feed.options.items() if name not in _SECRETS}
    fields = ("org", "name", "format", "location", "level", "every_ms", "version", "fetched_at", "tried_at", "error")
    return {
        **{name: getattr(feed, name) for name in fields},
        "options": options,
        "age_ms": None if feed.fetched_at is None else now_ms - feed.fetched_at,
        **feed.counts,
        "history": None if hunt is None else {"share": round(hunt.share, 3), "found": hunt.found, "error": hunt.error},
    }


def feed_table(feeds: Sequence[FeedRow], hunts: Mapping[tuple[str, str], Hunt], now_ms: int) -> Table:
    """One feed a row."""
    table = Table(box=None)
    for heading in ("Name", "Format", "Level"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Indicators", "Hidden", "Refused", "Age", "History"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("Last problem", overflow="fold")
    for feed in feeds:
        hunt = hunts.get((feed.org, feed.name))
        row = (
            feed.format,
            feed.level,
            f"{sum(feed.counts.get('kinds', {}).values()):,}",
            f"{sum(feed.counts.get('hidden', {}).values()):,}",
            f"{feed.counts.get('refused', 0):,}",
            _age(feed, now_ms),
            _history(hunt),
        )
        table.add_row(Text(feed.name), *row, Text(feed.error or ""))
    return table


def warning_table(lists: Sequence[FeedRow], hidden: Mapping[str, int], now_ms: int) -> Table:
    """One warning list a row."""
    table = Table("Name", box=None)
    for heading in ("Entries", "Hides", "Age"):
        table.add_column(heading, justify="right")
    table.add_column("Last problem", overflow="fold")
    for each in lists:
        counts = (f"{each.counts.get('entries', 0):,}", f"{hidden[each.name]:,}", _age(each, now_ms))
        table.add_row(Text(each.name), *counts, Text(each.error or ""))
    return table


def print_table(table: Table) -> None:
    """To a terminal as wide as it is, to a pipe without an edge."""
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)


def _age(feed: FeedRow, now_ms: int) -> str:
    return "never read" if feed.fetched_at is None else span(now_ms - feed.fetched_at)


def _history(hunt: Hunt | None) -> str:
    if hunt is None:
        return "-"
    return f"{hunt.found:,} found" if hunt.done else f"{100 * hunt.share:.0f} %, {hunt.found:,} found"


def outcome_lines(feed: FeedRow, outcome: Outcome) -> Iterator[str]:
    """What came of reading a feed."""
    counts = outcome.counts
    if not outcome.changed:
        yield f"{feed.name}: nothing new"
        return
    if feed.warns:
        yield f"{feed.name}: {counts['entries']:,} entries"
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts["kinds"].items()) or "none"
    yield f"{feed.name}: {sum(counts['kinds'].values()):,} indicators ({kinds}), {outcome.new:,} new"
    for name, count in counts["hidden"].items():
        yield f"  {count:,} hidden by warning list {name}"
    if counts["refused"]:
        yield f"  {counts['refused']:,} not read:"
        for each in counts["reasons"][:_REASONS_SHOWN]:
            yield f"    {each['where']}: {each['reason']}"


def lookup_lines(value: str, listed: Sequence[Listed], seen: Sequence[Seen], now_s: int) -> Iterator[str]:
    """Who lists a value, and how often it was seen."""
    if not listed:
        yield f"{value}: no feed lists it"
    for each in listed:
        said = [f"{each.kind} {each.value}", f"listed by {each.feed} ({each.level}) since {_minute(each.first_seen)}"]
        said += [f"confidence {each.confidence}"] if each.confidence is not None else []
        said += [_until(each.valid_until, now_s)] if each.valid_until else []
        said += [f"hidden by warning list {each.hidden}"] if each.hidden else []
        said += ["not matched: a private or reserved address; add the feed with --private"] if each.reserved else []
        said += [", ".join(each.tags)] if each.tags else []
        said += [each.source] if each.source else []
        yield "; ".join(said)
    for one in seen:
        last = _minute(one.last_at // 1000)
        yield f"{one.kind} {one.value}: seen in {one.events:,} events, {one.alerts:,} alerts, last {last}"


def _until(end: int, now_s: int) -> str:
    return f"until {_minute(end)}" if end > now_s else f"expired {_minute(end)}"


def _minute(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
