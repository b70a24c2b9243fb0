"""Reading and changing alerts."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

import sample_intrusion
from tocsin.alert.change import MAX_REASON, acknowledge, close
from tocsin.alert.read import Filter, changed_since, counts, full_id, page, show
from tocsin.alert.record import record
from tocsin.model.errors import BadInput, NotFound, WrongState

START = 1_790_000_000_000
ORG = sample_intrusion.ORG


@pytest.fixture
def recorded(engine: sa.Engine) -> list[str]:
    """The sample intrusion's alerts, one a millisecond."""
    ids: list[str] = []
    for n, finding in enumerate(sample_intrusion.findings(START)):
        with engine.begin() as connection:
            ids += record(connection, [finding], START + n).changed
    return list(dict.fromkeys(ids))


def test_pages_follow_each_other(engine: sa.Engine, recorded: list[str]) -> None:
    """The cursor leads through all alerts, newest first, while a new one arrives in between."""
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        with engine.begin() as connection:
            found = page(connection, ORG, Filter(), cursor=cursor, limit=3)
            late = msgspec.structs.replace(sample_intrusion.findings(START)[0], rule_id=f"new-{cursor}")
            record(connection, [late], START + 10**6)
        seen += [alert.id for alert in found.alerts]
        cursor = found.cursor
    assert seen == recorded[::-1]


def test_a_cursor_from_elsewhere_is_refused(engine: sa.Engine) -> None:
    """A cursor that no page gave is bad input, not a crash."""
    with engine.connect() as connection:
        for cursor in ("x", "????", "bm9wZQ", "\u00e9"):
            with pytest.raises(BadInput):
                page(connection, ORG, Filter(), cursor=cursor)


def test_filters_narrow_and_counts_follow(engine: sa.Engine, recorded: list[str]) -> None:
    """Level, status and text narrow the queue; the counts ignore the status only."""
    with engine.begin() as connection:
        assert [a.level for a in page(connection, ORG, Filter(level="critical")).alerts] == ["critical"]
        assert len(page(connection, ORG, Filter(text="BASTION")).alerts) == 1
        assert page(connection, ORG, Filter(text="%")).alerts == []
        acknowledge(connection, ORG, recorded[0], "ada", START)
        assert counts(connection, ORG, Filter(status="open")) == {"open": 7, "acknowledged": 1, "closed": 0}


def test_acknowledge_then_close(engine: sa.Engine, recorded: list[str]) -> None:
    """An alert is acknowledged once, closed with a reason, and then stays as it is."""
    key = recorded[0]
    with engine.begin() as connection:
        taken = acknowledge(connection, ORG, key, "ada", START + 1)
        assert (taken.status, taken.assignee, taken.acknowledged_at) == ("acknowledged", "ada", START + 1)
        assert acknowledge(connection, ORG, key, "bob", START + 2) == taken
        done = close(connection, ORG, key, "bob", " expected ", START + 3)
        assert (done.status, done.closed_reason, done.closed_at) == ("closed", "expected", START + 3)
        with pytest.raises(WrongState):
            acknowledge(connection, ORG, key, "ada", START + 4)
        with pytest.raises(WrongState):
            close(connection, ORG, key, "ada", "again", START + 4)


@pytest.mark.parametrize("reason", ["", "  ", "x" * (MAX_REASON + 1)])
def test_closing_needs_a_reason(engine: sa.Engine, recorded: list[str], reason: str) -> None:
    """Without a reason, or with a novel, the alert stays open."""
    with engine.begin() as connection:
        with pytest.raises(BadInput):
            close(connection, ORG, recorded[0], "ada", reason, START)
        assert show(connection, ORG, recorded[0]).status == "open"


def test_another_orgs_alert_is_not_there(engine: sa.Engine, recorded: list[str]) -> None:
    """Reading or changing an alert of another org finds nothing."""
    with engine.begin() as connection:
        with pytest.raises(NotFound):
            show(connection, "other", recorded[0])
        with pytest.raises(NotFound):
            acknowledge(connection, "other", recorded[0], "eve", START)
        with pytest.raises(NotFound):
            close(connection, "other", recorded[0], "eve", "mine now", START)


def test_changes_since_a_moment(engine: sa.Engine, recorded: list[str]) -> None:
    """What changed at or after a moment comes in the order of change."""
    with engine.begin() as connection:
        acknowledge(connection, ORG, recorded[2], "ada", START + 10_000)
        acknowledge(connection, ORG, recorded[1], "ada", START + 20_000)
        assert [a.id for a in changed_since(connection, ORG, START + 10_000)] == [recorded[2], recorded[1]]
        assert changed_since(connection, "other", 0) == []


def test_an_id_may_be_abbreviated(engine: sa.Engine, recorded: list[str]) -> None:
    """The beginning of an id is enough where it is no other's; nothing and too little are told apart."""
    with engine.begin() as connection:
        assert full_id(connection, ORG, recorded[0][:12]) == recorded[0]
        with pytest.raises(BadInput, match="several alerts"):
            full_id(connection, ORG, "")
        with pytest.raises(NotFound):
            full_id(connection, ORG, "no-such-alert")
