"""The processes that work in the background, most of them on the log; each loads only what it runs."""

from __future__ import annotations

import signal
import threading

from tocsin.config import Settings
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.lake.event_log import open_log
from tocsin.wiring.processes.first_start import open_server_state
from tocsin.wiring.processes.memory import spare_the_collector
from tocsin.wiring.processes.part import Part

__all__ = ["run"]


def run(settings: Settings, roles: set[str], stop: threading.Event) -> bool:
    """Run the consumers until told to stop; gives whether none failed. SIGHUP has them look at their rules again.

    A consumer that fails ends all, and the supervisor starts the process again.
    """
    clock = SystemClock()
    engine = open_server_state(settings, clock.now_ms())
    log = open_log(settings)
    parts: list[Part] = []
    if "detector" in roles:
        from tocsin.wiring.detection.detector import detector_parts  # noqa: PLC0415 -- the lake needs no rules

        parts += detector_parts(settings, engine, log, clock)
    if "lake" in roles:
        from tocsin.wiring.lake.writer import lake_parts  # noqa: PLC0415 -- the detector needs no files

        parts += lake_parts(settings, engine, log, clock)
    if "intel" in roles:
        from tocsin.wiring.intel import intel_parts  # noqa: PLC0415 -- only here are feeds read

        parts += intel_parts(settings, engine, log, clock)
    spare_the_collector()
    signal.signal(signal.SIGHUP, lambda _number, _frame: _renew(parts))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # the supervisor starts processes with it blocked
    for part in parts:
        part.start(stop)
    stop.wait()
    for part in parts:
        part.end()
    log.close()
    engine.dispose()
    return not any(part.failed for part in parts)


def _renew(parts: list[Part]) -> None:
    for part in parts:
        part.renew()
