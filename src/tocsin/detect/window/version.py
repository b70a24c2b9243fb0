"""When a correlation says something else, what it remembers is of no use any more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from tocsin.model.correlation import Correlation

__all__ = ["versions"]


def versions(correlations: Mapping[str, Sequence[Correlation]]) -> dict[tuple[str, str], str]:
    """Of every org's correlations, by id, a text that differs when what they mean does; titles do not count."""
    return {(org, each.id): _version(each) for org, of_org in correlations.items() for each in of_org}


def _version(correlation: Correlation) -> str:
    said = (
        correlation.type,
        correlation.members,
        correlation.timespan_ms,
        correlation.bounds,
        correlation.group_by,
        correlation.value,
        correlation.carried,
        correlation.percentile,
        correlation.expression,
        correlation.alert_by,
        correlation.window_ms,
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]
