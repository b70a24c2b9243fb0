"""A console over an empty state, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from console import Console


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """Nobody has logged in yet."""
    made = Console(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(console: Console) -> Iterator[TestClient]:
    """A client of the owner, by bearer token."""
    token = console.owner()
    with TestClient(console.asgi, headers={"authorization": f"Bearer {token}"}) as made:
        yield made


@pytest.fixture
def stranger(console: Console) -> Iterator[TestClient]:
    """A client that has not logged in."""
    with TestClient(console.asgi, follow_redirects=False) as made:
        yield made
