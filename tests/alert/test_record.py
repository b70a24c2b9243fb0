"""Findings become alerts."""

from __future__ import annotations

import random

import msgspec
import sqlalchemy as sa

import sample_intrusion
from tocsin.alert.change import close
from tocsin.alert.channels import set_webhook
from tocsin.alert.read import Filter, evidence, page, show
from tocsin.alert.record import UIDS_KEPT, record
from tocsin.metrics import ALERTS
from tocsin.model.finding import EVIDENCE_KEPT, Finding
from tocsin.state.tables import alert, alert_event, outbox

START = 1_790_000_000_000
ORG = sample_intrusion.ORG


def _recorded(engine: sa.Engine, findings: list[Finding], now_ms: int = START) -> list[str]:
    with engine.begin() as connection:
        return record(connection, findings, now_ms).changed


def _tables(engine: sa.Engine) -> list[list[str]]:
    ignored = ("created_at", "updated_at", "id")
    with engine.connect() as connection:
        return [
            sorted(repr(row) for row in connection.execute(sa.select(*(c for c in table.c if c.name not in ignored))))
            for table in (alert, alert_event)
        ]


def _many(count: int) -> list[Finding]:
    one = next(f for f in sample_intrusion.findings(START) if f.rule_title == "Shell started by a web server")
    return [
        msgspec.structs.replace(one, event_uid=f"{n:06}", time=START // 3_600_000 * 3_600_000 + n) for n in range(count)
    ]


def test_findings_of_one_rule_group_and_window_are_one_alert(engine: sa.Engine) -> None:
    """The sample intrusion gives one alert per rule and host, each counting its events."""
    findings = sample_intrusion.findings(START)
    ids = _recorded(engine, findings)
    assert len(ids) == len(set(ids)) == 8
    with engine.connect() as connection:
        found = {a.rule_title: a for a in page(connection, ORG, Filter()).alerts}
        assert found["Shell started by a web server"].event_count == 2
        assert found["Password guessing over SSH"].event_count == 64
        assert found["Password guessing over SSH"].group == {
            "device.hostname": "bastion-2",
            "src_endpoint.ip": "203.0.113.9",
        }
        shell = found["Shell started by a web server"]
        assert (shell.first_event_at, shell.last_event_at) == (START, START + 41_000)
        assert [item.time for item in evidence(connection, ORG, shell.id)] == [START, START + 41_000]


def test_alerts_are_counted_when_they_are_committed(engine: sa.Engine) -> None:
    """A transaction that is rolled back counts nothing; the one that is committed, each alert once."""
    findings = sample_intrusion.findings(START)
    before = _counted()
    with engine.connect() as connection:
        record(connection, findings, START)
        connection.rollback()
    assert _counted() == before
    _recorded(engine, findings)
    assert _counted() == before + 8


def _counted() -> float:
    return sum(s.value for metric in ALERTS.collect() for s in metric.samples if s.name == "tocsin_alerts_total")


def test_a_replay_adds_nothing(engine: sa.Engine) -> None:
    """The same findings again, in any order and any split, change no alert, no event and no notification."""
    with engine.begin() as connection:
        set_webhook(connection, ORG, "soc", "http://127.0.0.1:1/")
    findings = sample_intrusion.findings(START)
    _recorded(engine, findings)
    before = _tables(engine)
    shuffled = random.Random(1).sample(findings, len(findings))  # noqa: S311  # any order will do
    for start in range(0, len(shuffled), 7):
        assert _recorded(engine, shuffled[start : start + 7], START + 9) == []
    assert _tables(engine) == before
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(outbox)) == 8


def test_splitting_the_findings_gives_the_same_alerts(engine: sa.Engine) -> None:
    """Counts, times and evidence do not depend on how many findings come at once."""
    findings = sample_intrusion.findings(START)
    for finding in findings:
        _recorded(engine, [finding])
    one_by_one = _tables(engine)
    with engine.begin() as connection:
        connection.execute(sa.delete(alert))
        connection.execute(sa.delete(alert_event))
    _recorded(engine, findings)
    assert _tables(engine) == one_by_one


def test_evidence_is_capped_and_the_count_is_not(engine: sa.Engine) -> None:
    """Of a flood the first events are kept whole, then only ids, then only the count; a replay counts nothing."""
    total = UIDS_KEPT + 25
    (key,) = _recorded(engine, _many(total))
    with engine.connect() as connection:
        assert show(connection, ORG, key).event_count == total
        assert len(evidence(connection, ORG, key)) == EVIDENCE_KEPT
        assert connection.scalar(sa.select(sa.func.count()).select_from(alert_event)) == UIDS_KEPT
    assert _recorded(engine, _many(UIDS_KEPT)) == []


def test_a_closed_alert_stays_closed_and_a_new_window_opens_another(engine: sa.Engine) -> None:
    """Later events of the same window are counted without reopening; the next window is a new alert."""
    first, second = _many(2)
    (key,) = _recorded(engine, [first])
    with engine.begin() as connection:
        close(connection, ORG, key, "ada", "a test", START)
    assert _recorded(engine, [second]) == [key]
    (other,) = _recorded(engine, [msgspec.structs.replace(second, event_uid="later", time=second.time + 3_600_000)])
    with engine.connect() as connection:
        kept = show(connection, ORG, key)
        assert (kept.status, kept.event_count) == ("closed", 2)
        assert other != key
        assert show(connection, ORG, other).status == "open"


def test_orgs_do_not_meet(engine: sa.Engine) -> None:
    """The same finding in two orgs gives two alerts, and neither org sees the other's."""
    one = sample_intrusion.findings(START)[0]
    ids = _recorded(engine, [one, msgspec.structs.replace(one, org="other")])
    assert len(set(ids)) == 2
    with engine.connect() as connection:
        assert len(page(connection, ORG, Filter()).alerts) == 1
        assert len(page(connection, "other", Filter()).alerts) == 1
        assert page(connection, "nobody", Filter()).alerts == []


def test_a_new_alert_is_announced_once_per_enabled_channel(engine: sa.Engine) -> None:
    """The notification is in the outbox with the alert, whole; more events of the alert announce nothing."""
    with engine.begin() as connection:
        set_webhook(connection, ORG, "soc", "http://127.0.0.1:1/")
        set_webhook(connection, ORG, "chat", "http://127.0.0.1:2/")
        set_webhook(connection, "other", "theirs", "http://127.0.0.1:3/")
    first, second = _many(2)
    (key,) = _recorded(engine, [first])
    _recorded(engine, [second])
    with engine.connect() as connection:
        rows = connection.execute(sa.select(outbox)).all()
    assert [row.key for row in rows] == [f"alert.opened-{key}-1", f"alert.opened-{key}-2"]
    body = rows[0].payload
    assert body["type"] == "alert.opened"
    assert body["data"]["alert"]["title"] == "apache2 started a shell on web-1"
    assert body["data"]["events"][0]["why"] == [
        {"field": "actor.process.name", "term": "ParentImage|endswith: /apache2", "value": "apache2"}
    ]
    assert body["data"]["events"][0]["event"]["process"]["name"] == "dash"


def test_nothing_is_announced_if_the_transaction_fails(engine: sa.Engine) -> None:
    """The notification shares the alert's fate."""
    with engine.begin() as connection:
        set_webhook(connection, ORG, "soc", "http://127.0.0.1:1/")
    with engine.connect() as connection:
        record(connection, sample_intrusion.findings(START), START)
        connection.rollback()
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(outbox)) == 0
        assert page(connection, ORG, Filter()).alerts == []
