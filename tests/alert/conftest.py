"""A real state on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tocsin.state.engine import open_state


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty, migrated state."""
    engine = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    yield engine
    engine.dispose()
