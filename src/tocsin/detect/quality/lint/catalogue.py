"""All lints by id. A room of lints declares them when it is imported, so this is where they are complete."""

from __future__ import annotations

from typing import Final

from tocsin.detect.quality.lint import (
    across,
    conventions,
    correlations,
    detections,
    filters,
    keys,
    logsources,
    metadata,
    patterns,
    regexes,
    tags,
    techniques,
    terms,
    value_lists,
    yaml_traps,
)
from tocsin.detect.quality.lint.registry import ACROSS, LINTS, near

__all__ = ["ACROSS", "LINTS", "ROOMS", "near"]

ROOMS: Final = {
    "Keys": keys,
    "What a rule says about itself": metadata,
    "Tags": tags,
    "ATT&CK": techniques,
    "Log sources": logsources,
    "Selections and conditions": detections,
    "Fields and modifiers": terms,
    "Regular expressions": regexes,
    "Values": patterns,
    "What YAML makes of values": yaml_traps,
    "Lists of values": value_lists,
    "Correlations": correlations,
    "Filters": filters,
    "Conventions": conventions,
    "Rules together": across,
}
