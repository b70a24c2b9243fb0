"""One value in all feeds: who lists it, since when, what hides it, and how often it was seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tocsin.intel.address import FULL, network, network_text, reserved
from tocsin.intel.feeds import FeedRow, feeds_of, rows_of_feed
from tocsin.intel.indicator import Kind
from tocsin.intel.value import guess, host_of, parents
from tocsin.model.errors import InvalidQuery
from tocsin.state.tables import alert

__all__ = ["Listed", "Seen", "lookup", "sightings"]


@dataclass(frozen=True, slots=True)
class Listed:
    """An indicator as a feed lists it. Times are seconds since the epoch, 0 is none.

    hidden: the warning list that hides it.
    reserved: it is never matched, being an address that is nobody's on the internet, and the feed is not for these.
    """

    feed: str
    level: str
    kind: str
    value: str
    confidence: int | None
    first_seen: int
    valid_from: int
    valid_until: int
    tags: list[str]
    source: str
    hidden: str
    reserved: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """How often an indicator was seen, as far as there are alerts of it. Times are milliseconds since the epoch."""

    kind: str
    value: str
    events: int
    alerts: int
    first_at: int
    last_at: int


def lookup(connection: sa.Connection, org: str, text: str) -> tuple[list[Listed], list[Seen]]:
    """Every indicator that would match the text, and how often each was seen.

    Raises:
        InvalidQuery: the text is nothing that can be listed.
    """
    values = _values(text)
    found = [
        listed
        for feed in feeds_of(connection, org)
        if not feed.warns and feed.version
        for listed in _in_feed(feed, rows_of_feed(connection, feed), values)
    ]
    return found, list(sightings(connection, org, values))


def _values(text: str) -> list[str]:
    """All that may be listed for the text to match: its parents, and the networks that it lies in."""
    try:
        kind, value = guess(text)
    except ValueError as error:
        raise InvalidQuery(str(error)) from error
    values = [text.strip(), value]
    host = host_of(value) if kind is Kind.URL else value
    address = network(host or "")
    if kind in (Kind.IP, Kind.CIDR, Kind.URL) and address is not None:
        number, length = int.from_bytes(address[0], "big"), address[1]
        for bits in range(length, 0, -1):
            first = number >> (FULL - bits) << (FULL - bits)
            values.append(network_text(first.to_bytes(16, "big"), bits))
    elif kind in (Kind.DOMAIN, Kind.URL):
        values += parents(host or "")
    return list(dict.fromkeys(values))


def _in_feed(feed: FeedRow, rows: pa.Table, values: Collection[str]) -> Iterator[Listed]:
    for row in rows.filter(pc.is_in(rows["value"], pa.array(values, pa.string()))).to_pylist():
        yield Listed(
            feed.name,
            feed.level,
            row["kind"],
            row["value"],
            row["confidence"],
            row["first_seen"],
            row["valid_from"],
            row["valid_until"],
            (row["tags"] or "").split("\n") if row["tags"] else [],
            row["source"] or "",
            row["hidden"] or "",
            not feed.read_options.private and reserved(row["value"].partition("/")[0]),
        )


def sightings(connection: sa.Connection, org: str, values: Collection[str] = ()) -> Iterator[Seen]:
    """How often each indicator was seen, or each of these values; the alerts are the only count, so none disagrees."""
    indicator = alert.c.group["indicator"].as_string()
    wanted = sa.select(
        alert.c.rule_id,
        indicator.label("value"),
        sa.func.sum(alert.c.event_count).label("events"),
        sa.func.count().label("alerts"),
        sa.func.min(alert.c.first_event_at).label("first_at"),
        sa.func.max(alert.c.last_event_at).label("last_at"),
    ).where(alert.c.org == org, alert.c.rule_id.startswith("intel:"))
    if values:
        wanted = wanted.where(indicator.in_(list(values)))
    for row in connection.execute(wanted.group_by(alert.c.rule_id, indicator).order_by(sa.desc("last_at"))):
        kind = row.rule_id.partition(":")[2]
        yield Seen(kind, row.value, int(row.events), int(row.alerts), int(row.first_at), int(row.last_at))
