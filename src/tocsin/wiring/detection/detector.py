"""The detector: rules over the log, alerts and ledger into the state, notifications out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
import sqlalchemy as sa

from tocsin import metrics
from tocsin.adapters.state_sink import StateSink
from tocsin.alert.outbox import Delivery
from tocsin.alert.webhook import Webhook
from tocsin.columnar.frame import Batch, frames
from tocsin.config import Settings
from tocsin.detect.evaluate.engine import Engine
from tocsin.model.errors import InvalidSetting
from tocsin.model.finding import Finding
from tocsin.ports import Clock, EventLog, Notifier
from tocsin.stream import Runner
from tocsin.wiring.detection.correlating import Noted, Noting, correlating
from tocsin.wiring.detection.correlator import correlator_part
from tocsin.wiring.detection.listed import Listed
from tocsin.wiring.detection.presence import Presence
from tocsin.wiring.detection.verdict import keep, silenced
from tocsin.wiring.names import DETECTOR
from tocsin.wiring.processes.part import Part, refuse_to_state
from tocsin.wiring.rules.live import LiveRules, RuleSet

__all__ = ["detector_parts"]

_WEBHOOK_TIMEOUT_S = 10.0


def detector_parts(settings: Settings, engine: sa.Engine, log: EventLog, clock: Clock) -> list[Part]:
    """The consumer that judges, the thread that exchanges its rules, and the one that delivers."""
    live = LiveRules(settings, engine, clock, DETECTOR)
    listed = Listed(engine)
    client = httpx.Client(timeout=_WEBHOOK_TIMEOUT_S, follow_redirects=False)
    delivery = Delivery(engine, _notifiers(client), clock)

    def judge(batches: Sequence[Batch]) -> Judged:
        metrics.EVENTS_DETECTED.inc(sum(header.rows for _, header, _ in batches))
        return judged(*live.take(), listed, batches)

    def write(connection: sa.Connection, found: Judged) -> None:
        keep(connection, found.rules, found.findings, clock.now_ms())
        found.noted.keep(connection, clock.now_ms())

    sink = StateSink(engine, DETECTOR, log.partitions, judge, write, clock)
    runner = Runner(log, sink, refuse_to_state(engine, DETECTOR))
    return [
        Part(DETECTOR, runner.run),
        correlator_part(settings, engine, live, clock),
        Part("rules", live.watch, live.halt, live.wake),
        Part("indicators", listed.run),
        Part("presence", Presence(engine, clock, settings.agent_offline_s).run),
        Part("delivery", lambda _stop: delivery.run(), delivery.stop),
    ]


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of some batches, and the rule set that said so."""

    rules: RuleSet
    findings: list[Finding]
    noted: Noted  # for correlations


def judged(rules: RuleSet, engine: Engine, listed: Listed, batches: Sequence[Batch]) -> Judged:
    """What rules and feeds say about the batches: what matches where the rule applies, and who is told of it."""
    by_class = frames(batches)
    noting = Noting(correlating(rules.placement))
    found = engine.findings(by_class, noting) + listed.findings(by_class)
    return Judged(rules, silenced(rules, found, by_class), noting.noted(by_class))


def _notifiers(client: httpx.Client) -> Callable[[str, Mapping[str, object]], Notifier]:
    def notifier(kind: str, config: Mapping[str, object]) -> Notifier:
        if kind != "webhook":
            raise InvalidSetting(f"notification channels of kind {kind!r} are not known here")
        return Webhook(client, str(config["url"]), str(config["secret"]))

    return notifier
