"""The processes that read the log: the detector with its alerts and notifications, and the writer of the lake."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence

import httpx
import sqlalchemy as sa
import structlog

from tocsin import metrics
from tocsin.adapters.lake_sink import FlushWhen, LakeSink
from tocsin.adapters.state_sink import StateSink
from tocsin.alert.outbox import Delivery
from tocsin.alert.record import record
from tocsin.alert.webhook import Webhook
from tocsin.columnar.frame import Batch, frames
from tocsin.config import Settings
from tocsin.detect.engine import Engine
from tocsin.model.errors import InvalidSetting
from tocsin.model.finding import Finding
from tocsin.ports import Clock, EventLog, LogEntry, Notifier
from tocsin.state.dead_letters import put_aside
from tocsin.state.position import claim
from tocsin.stream import Refuse, Runner
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.first_start import open_server_state
from tocsin.wiring.memory import spare_the_collector
from tocsin.wiring.names import DETECTOR, LAKE
from tocsin.wiring.rules import active_rules
from tocsin.wiring.storage import open_lake, open_log
from tocsin.wiring.upkeep import Upkeep

__all__ = ["run"]

_log = structlog.get_logger(__name__)
_WEBHOOK_TIMEOUT_S = 10.0


def run(settings: Settings, roles: set[str], stop: threading.Event) -> None:
    """Run the consumers until told to stop.

    A consumer that fails ends the process, which its supervisor starts again.
    """
    clock = SystemClock()
    engine = open_server_state(settings, clock.now_ms())
    log = open_log(settings)
    parts: list[_Part] = []
    if "detector" in roles:
        parts += _detector(settings, engine, log, clock)
    if "lake" in roles:
        parts += _lake(settings, engine, log, clock)
    spare_the_collector()
    for part in parts:
        part.start(stop)
    stop.wait()
    for part in parts:
        part.end()
    log.close()
    engine.dispose()
    if any(part.failed for part in parts):
        os._exit(1)


class _Part:
    """One thread of work; `halt` wakes it when it is to end."""

    def __init__(
        self, name: str, work: Callable[[threading.Event], None], halt: Callable[[], None] | None = None
    ) -> None:
        self.failed = False
        self._name, self._work, self._halt = name, work, halt
        self._thread: threading.Thread | None = None

    def start(self, stop: threading.Event) -> None:
        self._thread = threading.Thread(target=self._run, args=(stop,), name=self._name)
        self._thread.start()

    def end(self) -> None:
        if self._halt is not None:
            self._halt()
        if self._thread is not None:
            self._thread.join()

    def _run(self, stop: threading.Event) -> None:
        try:
            self._work(stop)
        except BaseException:
            self.failed = True
            _log.exception("part failed", part=self._name)
            raise
        finally:
            # One part gone, all go: the supervisor starts them afresh from their positions.
            stop.set()


def _detector(settings: Settings, engine: sa.Engine, log: EventLog, clock: Clock) -> list[_Part]:
    rules = Engine(active_rules(settings))
    client = httpx.Client(timeout=_WEBHOOK_TIMEOUT_S, follow_redirects=False)
    delivery = Delivery(engine, _notifiers(client), clock)

    def judge(batches: Sequence[Batch]) -> list[Finding]:
        metrics.EVENTS_DETECTED.inc(sum(header.rows for _, header, _ in batches))
        return rules.findings(frames(batches))

    def keep(connection: sa.Connection, findings: list[Finding]) -> None:
        if findings:
            record(connection, findings, clock.now_ms())

    sink = StateSink(engine, DETECTOR, log.partitions, judge, keep, clock)
    runner = Runner(log, sink, _refuse(engine, DETECTOR))
    return [_Part(DETECTOR, runner.run), _Part("delivery", lambda _stop: delivery.run(), delivery.stop)]


def _notifiers(client: httpx.Client) -> Callable[[str, Mapping[str, object]], Notifier]:
    def notifier(kind: str, config: Mapping[str, object]) -> Notifier:
        if kind != "webhook":
            raise InvalidSetting(f"notification channels of kind {kind!r} are not known here")
        return Webhook(client, str(config["url"]), str(config["secret"]))

    return notifier


def _lake(settings: Settings, engine: sa.Engine, log: EventLog, clock: Clock) -> list[_Part]:
    with engine.begin() as connection:
        generation = claim(connection, LAKE, range(log.partitions), clock.now_ms())
    lake = open_lake(settings, generation)
    when = FlushWhen(rows=settings.lake_flush_rows, age_s=settings.lake_flush_s)
    sink = LakeSink(lake, engine, generation, clock, when)
    runner = Runner(log, sink, _refuse(engine, LAKE))
    upkeep = Upkeep(settings, lake, log, engine, clock)
    return [_Part(LAKE, runner.run), _Part("upkeep", upkeep.run)]


def _refuse(engine: sa.Engine, consumer: str) -> Refuse:
    def refuse(entry: LogEntry, reason: str) -> None:
        with engine.begin() as connection:
            put_aside(connection, consumer, entry, reason)
        metrics.DEAD_LETTERS.labels(consumer).inc()

    return refuse
