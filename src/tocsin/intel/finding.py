"""From an event and what of it is listed to findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from tocsin.intel.columns import Watch
from tocsin.intel.index import Listing
from tocsin.intel.indicator import Kind
from tocsin.model.event import Event, nest
from tocsin.model.finding import EVIDENCE_KEPT, Finding, MetTerm, alert_id
from tocsin.model.rule import LEVELS

__all__ = ["HISTORIC", "WINDOW_MS", "Sighting", "findings_of", "level_of"]

WINDOW_MS: Final = 86_400_000  # one alert per host, indicator and day
HISTORIC: Final = "historic"  # tag of what was found when the indicator arrived, long after the event
_MEDIUM_CONFIDENCE, _HIGH_CONFIDENCE = 30, 70  # STIX 2.1, appendix A


class Sighting(msgspec.Struct, frozen=True):
    """A listed value in an attribute of an event."""

    watch: Watch
    value: str
    listing: Listing


def level_of(listing: Listing) -> str:
    """The feed's level, one lower for medium confidence and two lower for low; a feed that says none is believed."""
    confidence = _HIGH_CONFIDENCE if listing.confidence is None else listing.confidence
    lower = (confidence < _HIGH_CONFIDENCE) + (confidence < _MEDIUM_CONFIDENCE)
    return LEVELS[max(0, LEVELS.index(listing.feed.level) - lower)]


def findings_of(
    seen: Iterable[tuple[Event, Sequence[Sighting]]], *, historic: bool, whole: int = EVIDENCE_KEPT
) -> Iterator[Finding]:
    """One finding for each event and indicator; whole, with the event, for so many of one alert."""
    kept: Counter[str] = Counter()
    for event, sightings in seen:
        grouped: dict[tuple[Kind, str], list[Sighting]] = {}
        for sighting in sightings:
            if _holds(sighting, event, historic=historic):
                grouped.setdefault((sighting.listing.kind, sighting.listing.value), []).append(sighting)
        for of_indicator in grouped.values():
            finding = _finding(event, of_indicator, historic=historic)
            alert = alert_id(finding)
            kept[alert] += 1
            if kept[alert] <= whole:
                finding = msgspec.structs.replace(finding, met=_met(event, of_indicator), event=nest(event))
            yield finding


def _holds(sighting: Sighting, event: Event, *, historic: bool) -> bool:
    """Whether the listing says something about this very event."""
    listing, at_s = sighting.listing, int(event.values["time"]) // 1000
    # What happened before a warning was published is what searching history is for.
    if (listing.valid_until and at_s >= listing.valid_until) or (at_s < listing.valid_from and not historic):
        return False
    if listing.feed.org not in ("", event.values.get("metadata.tenant_uid", "")):
        return False
    return listing.feed.private or sighting.value != event.values.get("device.ip")


def _finding(event: Event, sightings: Sequence[Sighting], *, historic: bool) -> Finding:
    values, first = event.values, sightings[0]
    origin = str(values.get("device.uid", ""))
    tags = [tag for each in sightings for tag in each.listing.tags]
    return Finding(
        org=str(values.get("metadata.tenant_uid", "")),
        rule_id=f"intel:{first.listing.kind.value}",
        rule_title=f"Listed {first.listing.kind.value}",
        title=_title(sightings, historic=historic),
        level=max((level_of(each.listing) for each in sightings), key=LEVELS.index),
        tags=tuple(dict.fromkeys(["intel", *([HISTORIC] if historic else []), *tags])),
        origin=origin,
        hostname=str(values.get("device.hostname", "")),
        event_uid=str(values.get("metadata.uid", "")),
        class_uid=event.class_uid,
        time=int(values["time"]),
        group={"device.uid": origin, "indicator": first.listing.value},
        window_ms=WINDOW_MS,
        met=(),
        event={},
    )


def _title(sightings: Sequence[Sighting], *, historic: bool) -> str:
    first = sightings[0]
    feeds = list(dict.fromkeys(each.listing.feed.name for each in sightings))
    more = f" and {len(feeds) - 1} more" if len(feeds) > 1 else ""
    value = first.value if first.value == first.listing.value else f"{first.value} ({first.listing.value})"
    return f"{first.watch.phrase.format(value)}, listed by {feeds[0]}{more}{', found in history' if historic else ''}"


def _met(event: Event, sightings: Sequence[Sighting]) -> tuple[MetTerm, ...]:
    time = int(event.values["time"])
    return tuple(MetTerm(each.watch.path, _term(each.listing, time), each.value) for each in sightings)


def _term(listing: Listing, time_ms: int) -> str:
    """What the feed says, and how old it was when the event happened."""
    said = [f"{listing.kind.value} {listing.value} in feed {listing.feed.name}"]
    if listing.confidence is not None:
        said.append(f"confidence {listing.confidence}")
    said.append(f"listed since {_minute(listing.first_seen)}")
    if listing.valid_until:
        said.append(f"until {_minute(listing.valid_until)}")
    age_h = (time_ms - listing.feed.fetched_at) / 3_600_000
    said.append(f"feed {age_h:.1f} h old" if age_h >= 0 else "feed read afterwards")
    if listing.source:
        said.append(listing.source)
    return ", ".join(said)


def _minute(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
