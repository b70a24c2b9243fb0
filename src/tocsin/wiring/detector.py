"""The detector: rules over the log, alerts and ledger into the state, notifications out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx
import sqlalchemy as sa

from tocsin import metrics
from tocsin.adapters.state_sink import StateSink
from tocsin.alert.outbox import Delivery
from tocsin.alert.record import record
from tocsin.alert.webhook import Webhook
from tocsin.columnar.frame import Batch, frames
from tocsin.config import Settings
from tocsin.detect.evaluate.engine import Engine
from tocsin.model.errors import InvalidSetting
from tocsin.model.finding import Finding
from tocsin.ports import Clock, EventLog, Notifier
from tocsin.stream import Runner
from tocsin.wiring.names import DETECTOR
from tocsin.wiring.part import Part, refuse_to_state
from tocsin.wiring.rules import active_rules

__all__ = ["detector_parts"]

_WEBHOOK_TIMEOUT_S = 10.0


def detector_parts(settings: Settings, engine: sa.Engine, log: EventLog, clock: Clock) -> list[Part]:
    """The consumer that judges, and the thread that delivers."""
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
    runner = Runner(log, sink, refuse_to_state(engine, DETECTOR))
    return [Part(DETECTOR, runner.run), Part("delivery", lambda _stop: delivery.run(), delivery.stop)]


def _notifiers(client: httpx.Client) -> Callable[[str, Mapping[str, object]], Notifier]:
    def notifier(kind: str, config: Mapping[str, object]) -> Notifier:
        if kind != "webhook":
            raise InvalidSetting(f"notification channels of kind {kind!r} are not known here")
        return Webhook(client, str(config["url"]), str(config["secret"]))

    return notifier
