"""Health and findings as text and JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from tocsin.agent.operate.health import COUNTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tocsin.agent.operate.doctor import Finding
    from tocsin.agent.operate.health import Report

__all__ = ["render", "render_findings", "to_json"]


def to_json(report: Report | None, *, running: bool) -> str:
    """The report and what follows from it, as one JSON object."""
    verdict = {"running": running, "healthy": bool(running and report and report.healthy)}
    fields = msgspec.to_builtins(report) if report else {}
    return msgspec.json.format(msgspec.json.encode(verdict | fields)).decode()


def render(report: Report | None, *, running: bool, now_s: float) -> str:
    """The report as a table: the verdict, each module and why, every counter with its meaning."""
    if report is None:
        return "not running: no agent has ever written a report here"
    parts = [_verdict(report, running=running, now_s=now_s), "", _modules(report), "", _counters(report)]
    return "\n".join(parts)


def _verdict(report: Report, *, running: bool, now_s: float) -> str:
    if not running:
        return f"not running: last heard of at {_time(report.written_at)}"
    state = "healthy" if report.healthy else "unhealthy"
    uptime_s = int(now_s - report.started_at / 1000)
    return f"{state}: version {report.version}, process {report.pid}, up {uptime_s} s"


def _modules(report: Report) -> str:
    rows = [(name, "ok" if m.healthy else "ILL", m.reason) for name, m in sorted(report.modules.items())]
    return _table([("module", "state", "reason"), *rows])


def _counters(report: Report) -> str:
    rows = [(name, str(report.counters.get(name, 0)), meaning) for name, meaning in COUNTERS.items()]
    gauges = [(name, str(value), "") for name, value in sorted(report.gauges.items())]
    last = _time(report.last_acknowledged_at) if report.last_acknowledged_at else "never"
    return _table([("counter", "value", "meaning"), *rows, *gauges, ("last_acknowledged", last, "")])


def render_findings(findings: Sequence[Finding], *, as_json: bool) -> str:
    """What the doctor found, one line each."""
    if as_json:
        return msgspec.json.format(msgspec.json.encode(findings)).decode()
    return _table([(f.check, "ok" if f.healthy else "ILL", f.reason) for f in findings])


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_row(row, widths) for row in rows)


def _row(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
