"""Names of the consumers of the log, under which their positions are kept."""

from __future__ import annotations

__all__ = ["DETECTOR", "LAKE"]

DETECTOR = "detector"
LAKE = "lake"
