"""What tests of pages use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from console import Console
from tocsin.api.guard import COOKIE


@pytest.fixture
def browser(console: Console) -> Iterator[TestClient]:
    """Somebody who is logged in; the test's module says what the console has."""
    with TestClient(console.asgi, cookies={COOKIE: console.owner()}) as made:
        yield made
