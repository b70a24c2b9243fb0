"""`tocsin verify`: every row of the lake, its batch, and its sender's signature."""

from __future__ import annotations

from tocsin.wiring.verify.evidence import Evidence, Period, open_evidence
from tocsin.wiring.verify.verification import Verdict, verify

__all__ = ["Evidence", "Period", "Verdict", "open_evidence", "verify"]
