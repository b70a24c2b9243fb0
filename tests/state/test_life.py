"""What the state knows about rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tocsin.model.errors import NotFound, WrongState
from tocsin.model.life import State
from tocsin.state.engine import open_state
from tocsin.state.life.changes import change_numbers, note_change
from tocsin.state.life.hits import DAY_MS, HOUR_MS, Hits, add_hits, add_noise, forget_hits, hits, hits_by_hour, noise
from tocsin.state.life.states import Given, give_state, states
from tocsin.state.life.suppressions import NewSuppression, add, listed, note_hidden, remove
from tocsin.state.life.versions import Applied, add_version, current, history

RULE = Applied("r", "team", "a.yml", "A rule", "title: A rule\n")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def test_changes_are_counted_by_org(connection: sa.Connection) -> None:
    """Each change has a number greater than the one before, whatever other orgs do."""
    assert [note_change(connection, org, 1) for org in ("a", "a", "b", "a")] == [1, 2, 1, 3]
    assert change_numbers(connection) == {"a": 3, "b": 1}


def test_the_newest_version_counts_until_the_rule_is_removed(connection: sa.Connection) -> None:
    """A removed rule is not among the current ones, its versions stay, and it can come back."""
    add_version(connection, "a", [RULE], "anna", 1)
    removed = Applied("r", "team", "a.yml", "A rule", RULE.content, removed=True)
    add_version(connection, "a", [removed], "ben", 2)
    assert current(connection, "a") == {}
    add_version(connection, "a", [RULE], "cleo", 3)
    assert current(connection, "a")["r"].version == 3
    assert [(each.version, each.author, each.removed) for each in history(connection, "a", "r")] == [
        (3, "cleo", False),
        (2, "ben", True),
        (1, "anna", False),
    ]
    assert current(connection, "b") == {}
    with pytest.raises(NotFound):
        history(connection, "b", "r")


def test_hits_add_up_and_are_forgotten(connection: sa.Connection) -> None:
    """Counts of one hour add up, of several are summed, and old ones go away."""
    first, second = 100 * HOUR_MS, 101 * HOUR_MS
    add_hits(connection, {("a", "r", first): Hits(1, 1, 0, 0), ("b", "r", first): Hits(9, 9, 9, 9)})
    add_hits(connection, {("a", "r", first): Hits(2, 0, 1, 1), ("a", "r", second): Hits(4, 1, 0, 0)})
    assert hits(connection, "a", 0) == {"r": Hits(7, 2, 1, 1)}
    assert hits_by_hour(connection, "a", "r", 0) == {first: Hits(3, 1, 1, 1), second: Hits(4, 1, 0, 0)}
    assert forget_hits(connection, second) == 2
    assert hits(connection, "a", 0) == {"r": Hits(4, 1, 0, 0)}


def test_a_rule_that_is_made_active_has_a_fresh_budget(connection: sa.Connection) -> None:
    """Alerts of the day count against the budget until somebody says that the rule is active."""
    add_noise(connection, {("a", "r", DAY_MS): 3, ("b", "r", DAY_MS): 5})
    add_noise(connection, {("a", "r", DAY_MS): 2})
    assert noise(connection, "a", "r", DAY_MS) == 5
    give_state(connection, "a", "r", Given(State.STAGED, "", "anna", 1))
    assert noise(connection, "a", "r", DAY_MS) == 5
    give_state(connection, "a", "r", Given(State.ACTIVE, "", "anna", 2))
    assert (noise(connection, "a", "r", DAY_MS), noise(connection, "b", "r", DAY_MS)) == (0, 5)
    assert states(connection, "a")["r"] == Given(State.ACTIVE, "", "anna", 2)


def test_a_suppression_says_what_it_is(connection: sa.Connection) -> None:
    """In force until its end, expired from then on, removed when somebody did so; what it hid is counted."""
    made = add(connection, "a", NewSuppression("time > 1", "anna", "why", 100), "ben", 10)
    note_hidden(connection, {("a", made.id): 3, ("b", made.id): 9}, 20)
    (found,) = listed(connection, "a")
    assert (found.hidden, found.last_hidden_at, found.state(99), found.state(100)) == (3, 20, "in force", "expired")
    assert remove(connection, "a", made.id, "cleo", 30).state(99) == "removed"
    with pytest.raises(WrongState):
        remove(connection, "a", made.id, "cleo", 31)
    with pytest.raises(NotFound):
        remove(connection, "b", made.id, "cleo", 31)
