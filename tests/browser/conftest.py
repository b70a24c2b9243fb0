"""A real Chromium, and a console that it looks at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from console import Console, served
from tocsin.api.guard import COOKIE

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium; in CI it must be there, elsewhere its absence is said aloud."""
    path = os.environ.get("TOCSIN_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        absent = "no Chromium found: install it, or name one in TOCSIN_TEST_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(f"{absent}; CI must have it")
        pytest.skip(absent)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console over an empty state."""
    made = Console(tmp_path)
    yield made
    made.close()


@pytest.fixture
def url(console: Console) -> Iterator[str]:
    """Where the console is served."""
    with served(console) as address:
        yield address


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about: script errors, refused loads, blocked content."""
    return []


@pytest.fixture
def page(chromium: Browser, url: str, complaints: list[str]) -> Iterator[Page]:
    """An empty page; whatever the browser complains about in it fails the test."""
    context = chromium.new_context(base_url=url, viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(10_000)
    opened = context.new_page()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: _complain(complaints, message))
    opened.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(url) else None)
    yield opened
    context.close()
    assert complaints == []


def _complain(complaints: list[str], message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        complaints.append(message.text)


@pytest.fixture
def inside(page: Page, console: Console, url: str) -> Page:
    """The queue, as somebody sees it who is logged in."""
    page.context.add_cookies([{"name": COOKIE, "value": console.owner(), "url": url}])
    page.goto("/alerts")
    page.locator("#live.on").wait_for()
    return page
