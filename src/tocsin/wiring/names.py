"""Names of the consumers of the log, under which their positions are kept."""

from __future__ import annotations

__all__ = ["CORRELATOR", "DETECTOR", "LAKE"]

CORRELATOR = "correlator"
DETECTOR = "detector"
LAKE = "lake"
