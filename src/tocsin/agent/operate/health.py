"""How the agent is: each module's state and reason, and what was counted, as one file that `status` reads."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["COUNTERS", "HEALTH_FILE", "Health", "Module", "PolicyState", "Report", "is_running", "read_report"]

HEALTH_FILE: Final = "health.json"
STALE_AFTER_S: Final = 15.0

# Every counter, with what it means; all count from the agent's start.
COUNTERS: Final = {
    "records": "audit records received from the kernel",
    "events": "events made of them and put into batches",
    "unreadable": "records that could not be read; shipped as they came",
    "kernel_lost": "records that the kernel lost because its backlog was full",
    "receive_overruns": "times the socket's buffer overran",
    "serial_gaps": "events that the kernel began and that never arrived",
    "told_twice": "audit events that the eBPF sensor tells as well; not a loss",
    "ebpf_process_lost": "programs and exits that found no room in the eBPF ring buffer",
    "ebpf_network_lost": "connections that found no room in the eBPF ring buffer",
    "ebpf_missed": "times that the kernel could not run an eBPF program",
    "files_overflow": "times that the kernel's queue of file changes was full; what differs is looked for then",
    "names_limited": "DNS packets beyond what the settings allow per second",
    "names_dropped": "DNS packets for which the socket had no room",
    "names_unreadable": "packets of port 53 that are no DNS",
    "logs_behind": "lines of text logs that were passed over because too many came",
    "logs_gone": "times that a rotated or truncated log was not found again to be read to its end",
    "logs_cut": "lines of text logs that were cut off, and entries of the journal left out, because of their length",
    "logs_told_twice": "lines that tell what the kernel's audit told as well, kept as plain lines; not a loss",
    "backlog_wait_jiffies": "time that processes waited for the agent",
    "excluded": "events left out because a policy or the settings exclude them",
    "sampled": "events left out because a policy keeps one in so many",
    "rate_limited": "events left out because a policy keeps so many a second",
    "adaptive": "events left out to keep the agent under its share of the processor",
    "own": "what the agent itself does to the host and its audit",
    "redacted": "secrets cut out of arguments",
    "spool_overflow": "events dropped because the spool was full",
    "refused": "events of batches that the server refused for good",
    "shipped": "events that the server acknowledged",
    "batches": "batches that the server acknowledged",
}


class Module(msgspec.Struct, frozen=True):
    """A part of the agent: whether it works as intended, and if not why."""

    healthy: bool
    reason: str = ""


class PolicyState(msgspec.Struct, frozen=True):
    """Which policies the server wants, which are in force, and why others are not."""

    wanted: str = ""
    applied: str = ""
    problem: str = ""
    cpu_step: int = 0  # how far events are lowered to keep the agent under its share of the processor; 0: not
    kernel_rules: int = 0  # exclusions that the kernel itself sees to; what they leave out is not counted


class Report(msgspec.Struct, frozen=True):
    """The agent's state at one moment."""

    pid: int
    version: str
    started_at: int  # ms
    written_at: int  # ms
    modules: dict[str, Module]
    counters: dict[str, int]
    gauges: dict[str, int]
    last_acknowledged_at: int = 0  # ms
    policy: PolicyState = PolicyState()

    @property
    def healthy(self) -> bool:
        return all(module.healthy for module in self.modules.values())


class Health:
    """Collects what the modules say; the loop and the shipping thread both write to it."""

    def __init__(self, version: str) -> None:
        self._version, self._started_at = version, _now_ms()
        self._lock = threading.Lock()
        self._modules: dict[str, Module] = {}
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._gauges: dict[str, int] = {}
        self._last_acknowledged_at = 0
        self.policy = PolicyState()

    def well(self, module: str, remark: str = "") -> None:
        """The module works as intended."""
        self._modules[module] = Module(healthy=True, reason=remark)

    def ill(self, module: str, reason: str) -> None:
        """The module does not work as intended."""
        self._modules[module] = Module(healthy=False, reason=reason)

    def ship(self, reason: str) -> None:
        """Shipping does not work at the moment."""
        self.ill("ship", reason)

    def shipped(self, rows: int) -> None:
        """A batch was acknowledged."""
        self.count("shipped", rows)
        self.count("batches")
        self._last_acknowledged_at = _now_ms()
        self.well("ship")

    def count(self, counter: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[counter] += by

    def reached(self, counter: str, total: int) -> None:
        """Set a counter that is counted elsewhere."""
        self._counters[counter] = total

    def gauge(self, name: str, value: int) -> None:
        """Note a size as it is now."""
        self._gauges[name] = value

    def snapshot(self) -> Report:
        """The state now."""
        return Report(
            os.getpid(),
            self._version,
            self._started_at,
            _now_ms(),
            dict(self._modules),
            dict(self._counters),
            dict(self._gauges),
            self._last_acknowledged_at,
            self.policy,
        )

    def write(self, state_dir: Path) -> None:
        """Replace the report in the state folder; on a full disk the old one stays, and goes stale."""
        part = state_dir / f"{HEALTH_FILE}.part"
        with contextlib.suppress(OSError):
            part.write_bytes(msgspec.json.format(msgspec.json.encode(self.snapshot())))
            part.replace(state_dir / HEALTH_FILE)


def read_report(state_dir: Path) -> Report | None:
    """The last report of the agent, None if it never wrote one that can be read."""
    try:
        return msgspec.json.decode((state_dir / HEALTH_FILE).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None


def is_running(report: Report) -> bool:
    """Whether the process that wrote the report is still there and still writes."""
    alive = os.path.exists(f"/proc/{report.pid}")  # noqa: PTH110 - a path of /proc
    return alive and time.time() * 1000 - report.written_at < STALE_AFTER_S * 1000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
