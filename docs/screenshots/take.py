"""Take the pictures of a running console that the README shows: light and dark, wide and narrow.

Meant for the demo, whose data is a recorded intrusion:

    tocsin demo
    python docs/screenshots/take.py --url http://127.0.0.1:8321 --name ada --password PASSWORD
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = (1360, 850), (390, 844)
QUERY = "process.cmd_line LIKE '%curl%' OR dst_endpoint.port IN (80, 4444)"
Theme = Literal["light", "dark"]


def main() -> None:
    """Log in and take every picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", required=True)
    options.add_argument("--name", required=True)
    options.add_argument("--password", required=True)
    options.add_argument("--to", type=Path, default=Path(__file__).parent)
    options.add_argument("--query", default=QUERY)
    options.add_argument("--last", default="15m", choices=["15m", "1h", "24h", "7d", "30d"])
    wanted = options.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        take_all(browser, wanted.url, wanted.name, wanted.password, wanted.query, wanted.last, wanted.to)
        browser.close()


def take_all(browser: Browser, url: str, name: str, password: str, query: str, last: str, folder: Path) -> None:
    """Every page wide in light and dark; the queue and an alert narrow."""
    themes: tuple[Theme, ...] = ("light", "dark")
    for theme in themes:
        page = _entered(browser, url, name, password, theme, WIDE, 1)
        _queue_and_alert(page, folder, theme)
        _search_and_agents(page, url, query, last, folder, theme)
        page.context.close()
    page = _entered(browser, url, name, password, "light", NARROW, 1.5)
    _queue_and_alert(page, folder, "narrow")
    page.context.close()


def _entered(
    browser: Browser, url: str, name: str, password: str, theme: Theme, size: tuple[int, int], scale: float
) -> Page:
    viewport: ViewportSize = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=theme, device_scale_factor=scale)
    page = context.new_page()
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.locator("#live.on").wait_for()
    return page


def _queue_and_alert(page: Page, folder: Path, suffix: str) -> None:
    page.screenshot(path=folder / f"alerts-{suffix}.png")
    worst = page.locator(".row:has(.level-critical) .title").first
    (worst if worst.count() else page.locator(".row .title").first).click()
    page.locator(".facts").wait_for()
    page.screenshot(path=folder / f"alert-{suffix}.png", full_page=True)


def _search_and_agents(page: Page, url: str, query: str, last: str, folder: Path, suffix: str) -> None:
    page.goto(f"{url}/search?last={last}")
    page.locator("#q").fill(query)
    page.get_by_role("button", name="Search").click()
    page.locator("#found").wait_for()
    page.locator(".event summary").nth(1).click()
    page.locator(".event[open] .code .k").first.wait_for()
    page.wait_for_timeout(300)  # the arrow turns
    page.screenshot(path=folder / f"search-{suffix}.png")
    page.goto(f"{url}/agents")
    page.screenshot(path=folder / f"agents-{suffix}.png")


if __name__ == "__main__":
    main()
