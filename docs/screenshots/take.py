"""Take the pictures of a running console that the README shows: light and dark, wide and narrow.

python docs/screenshots/take.py --url http://127.0.0.1:8321 --name ada --password ... [--to docs/screenshots]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

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
Theme = Literal["light", "dark"]


def main() -> None:
    """Log in and take every picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", required=True)
    options.add_argument("--name", required=True)
    options.add_argument("--password", required=True)
    options.add_argument("--to", type=Path, default=Path(__file__).parent)
    options.add_argument("--query", default="process.cmd_line LIKE '%curl%' OR dst_endpoint.port IN (80, 4444)")
    options.add_argument("--last", default="15m", choices=["15m", "1h", "24h", "7d", "30d"])
    wanted = options.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        take_all(browser, wanted.url, wanted.name, wanted.password, wanted.query, wanted.last, wanted.to)
        browser.close()


def take_all(browser: Browser, url: str, name: str, password: str, query: str, last: str, folder: Path) -> None:
    """One picture per page, theme and width."""
    themes: tuple[Theme, ...] = ("light", "dark")
    for theme in themes:
        for caption, (width, height) in (("", WIDE), ("-narrow", NARROW)):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                device_scale_factor=1.5 if caption else 1,
            )
            page = context.new_page()
            page.goto(f"{url}/login")
            page.screenshot(path=folder / f"login-{theme}{caption}.png")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Log in").click()
            _pages(page, url, query, last, folder, f"{theme}{caption}")
            context.close()


def _pages(page: Page, url: str, query: str, last: str, folder: Path, suffix: str) -> None:
    page.locator("#live.on").wait_for()
    page.screenshot(path=folder / f"alerts-{suffix}.png")
    worst = page.locator(".row:has(.level-critical) .title").first
    (worst if worst.count() else page.locator(".row .title").first).click()
    page.locator(".facts").wait_for()
    page.screenshot(path=folder / f"alert-{suffix}.png", full_page=True)
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
