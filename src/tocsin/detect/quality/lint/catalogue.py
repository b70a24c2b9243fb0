"""All lints by id. A room of lints declares them when it is imported, so this is where they are complete."""

from __future__ import annotations

from typing import Final

from tocsin.detect.quality.lint import (
    across,
    conventions,
    correlations,
    detections,
    filters,
    logsources,
    metadata,
    patterns,
    tags,
    techniques,
    terms,
)
from tocsin.detect.quality.lint.registry import ACROSS, LINTS, near

__all__ = ["ACROSS", "LINTS", "ROOMS", "near"]

ROOMS: Final = {
    "What a rule says about itself": metadata,
    "Tags": tags,
    "ATT&CK": techniques,
    "Log sources": logsources,
    "Selections and conditions": detections,
    "Fields and modifiers": terms,
    "Values": patterns,
    "Correlations": correlations,
    "Filters": filters,
    "Conventions": conventions,
    "Rules together": across,
}
