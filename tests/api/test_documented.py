"""Routes and pages are documented."""

from __future__ import annotations

import re
from pathlib import Path

from console import Console
from tocsin.alert.announce import EVENTS_SENT
from tocsin.alert.outbox import MAX_TRIES
from tocsin.alert.tree import MAX_NODES
from tocsin.api.app import app
from tocsin.api.passwords import MIN_LENGTH
from tocsin.model.finding import EVIDENCE_KEPT

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_every_api_route_is_documented(console: Console) -> None:
    """docs/console.md lists exactly the routes that OpenAPI describes."""
    described = {
        f"{method.upper()} {path}"
        for path, methods in app(console.backend).openapi()["paths"].items()
        for method in methods
    }
    listed = set(
        re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)`", (DOCS / "console.md").read_text(), re.MULTILINE)
    )
    assert listed == described


def test_the_numbers_in_the_docs_are_those_in_the_code() -> None:
    """Limits that people are told are the limits that hold."""
    console, notifications = (DOCS / "console.md").read_text(), (DOCS / "notifications.md").read_text()
    assert f"first {EVIDENCE_KEPT} events" in console
    assert f"at most {MAX_NODES} processes" in console
    assert f"at least {MIN_LENGTH} characters" in console
    assert f"At most {EVENTS_SENT} events" in notifications
    assert f"After {MAX_TRIES} tries" in notifications
