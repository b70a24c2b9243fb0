"""Where consumers stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tocsin.model.errors import Fenced
from tocsin.ports import LakePosition
from tocsin.state.engine import open_state, reading
from tocsin.state.position import claim, commit_position, read_position
from tocsin.state.tables import org


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    yield engine
    engine.dispose()


def test_a_position_comes_back(state: sa.Engine) -> None:
    """Offsets and taken batches are read as they were written; what a commit does not name stays."""
    with state.begin() as connection:
        generation = claim(connection, "detect", range(2), 1)
        commit_position(connection, "detect", LakePosition({0: 5, 1: 7}, {"a/h1": (1, 2)}), generation, 2)
        commit_position(connection, "detect", LakePosition({1: 8}, {"a/h1": (1, 3), "b/h/2": (9, 0)}), generation, 3)
    with reading(state) as connection:
        assert read_position(connection, "detect") == LakePosition({0: 5, 1: 8}, {"a/h1": (1, 3), "b/h/2": (9, 0)})
        assert read_position(connection, "lake") == LakePosition({}, {})


def test_claiming_keeps_the_offsets(state: sa.Engine) -> None:
    """A new owner goes on where the old one stopped, and partitions that are new start at 0."""
    with state.begin() as connection:
        commit_position(connection, "detect", LakePosition({0: 5}, {}), claim(connection, "detect", [0], 1), 2)
        assert claim(connection, "detect", [0, 1], 3) == 2
        assert read_position(connection, "detect").offsets == {0: 5, 1: 0}


def test_an_older_owner_is_fenced_with_its_output(state: sa.Engine) -> None:
    """A commit of an older generation fails, and what it wrote in the same transaction is not kept."""
    with state.begin() as connection:
        old = claim(connection, "detect", [0], 1)
        claim(connection, "detect", [0], 2)

    def write_as_old_owner() -> None:
        with state.begin() as connection:
            connection.execute(sa.insert(org).values(id="a", name="A", created_at=1))
            commit_position(connection, "detect", LakePosition({0: 5}, {}), old, 3)

    with pytest.raises(Fenced):
        write_as_old_owner()
    with reading(state) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(org)) == 0
        assert read_position(connection, "detect").offsets == {0: 0}
