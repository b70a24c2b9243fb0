"""The console in a real browser, over a real state and real alerts."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from playwright.sync_api import Page, expect

import sample_intrusion
from console import NAME, PASSWORD, Console, another
from tocsin.alert.read import show
from tocsin.model.event import Event, nest
from tocsin.model.finding import Finding
from tocsin.web.headers import CONTENT_SECURITY_POLICY

pytestmark = pytest.mark.browser


def _finding(console: Console, title: str = "Reverse shell through /dev/tcp") -> Finding:
    found = sample_intrusion.findings(console.clock.now_ms() - 100_000)
    return next(finding for finding in found if finding.rule_title == title)


def test_the_first_login(page: Page, console: Console) -> None:
    """With the printed token somebody becomes the owner, sees that all is quiet, and can come back."""
    page.goto("/")
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    page.get_by_label("First-login token").fill(console.first_token())
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("No alerts yet")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Alerts", exact=True)).to_be_visible()


def test_an_alert_appears_by_itself_within_a_second(inside: Page, console: Console) -> None:
    """Nobody reloads: the row, the counts and the end of the empty page come with the alert."""
    expect(inside.get_by_text("No alerts yet")).to_be_visible()
    inside.evaluate("window.sameDocument = true")
    started = time.monotonic()
    console.record([_finding(console)])
    inside.locator(".row").wait_for()
    assert time.monotonic() - started < 1.0
    expect(inside.locator(".row .title")).to_have_text("bash opened a reverse shell to 198.51.100.23:4444")
    expect(inside.locator(".row .why .mono")).to_have_text("apache2 \u203a dash \u203a .k \u203a bash")
    expect(inside.locator("[data-count=open]")).to_have_text("1")
    expect(inside.get_by_text("No alerts yet")).to_be_hidden()
    assert inside.evaluate("window.sameDocument") is True


def test_nothing_moves_under_the_pointer(inside: Page, console: Console) -> None:
    """Who points at a row keeps it there; new alerts are announced and come when asked for."""
    one = _finding(console)
    console.record([one])
    inside.locator(".row").hover()
    before = inside.locator(".row").bounding_box()
    console.record([another(one, 1), another(one, 2)])
    expect(inside.locator("#fresh")).to_have_text("2 new alerts")
    assert inside.locator(".row").bounding_box() == before
    inside.locator("#fresh").click()
    expect(inside.locator(".row")).to_have_count(3)
    expect(inside.locator("#fresh")).to_be_hidden()


def test_a_row_counts_up_in_place(inside: Page, console: Console) -> None:
    """More events of the same alert change its count, and no second row appears."""
    finding = _finding(console, "Password guessing over SSH")
    console.record([finding])
    expect(inside.locator(".row .count")).to_contain_text("1")
    later = [f for f in sample_intrusion.findings(finding.time + 600_000) if f.rule_id == finding.rule_id]
    console.record([f for f in later if f.time // f.window_ms == finding.time // finding.window_ms][:9])
    expect(inside.locator(".row .count").first).not_to_have_text("\u00d71")
    expect(inside.locator(".row")).to_have_count(1)


def test_from_the_queue_to_the_closed_alert(inside: Page, console: Console) -> None:
    """Open an alert, see why it fired and its tree, acknowledge it, close it with a reason."""
    keys = console.intrusion()
    inside.reload()
    inside.get_by_role("link", name="bash opened a reverse shell").click()
    expect(inside.locator("h1")).to_have_text("bash opened a reverse shell to 198.51.100.23:4444")
    expect(inside.locator(".terms mark")).to_have_text("/dev/tcp/")
    tree = inside.locator(".tree svg")
    expect(tree).to_be_visible()
    expect(tree.locator("g")).to_have_count(10)
    expect(tree.locator("g.hit .name")).to_have_text("bash")
    box, card = tree.locator("g").last.bounding_box(), inside.locator(".tree").bounding_box()
    assert box is not None
    assert card is not None
    assert box["y"] + box["height"] <= card["y"] + card["height"]

    inside.locator(".event summary").click()
    expect(inside.locator(".event .records").last).to_contain_text("EXECVE")
    expect(inside.locator(".event .code .k").first).to_be_visible()
    inside.locator(".alert-head [data-copy]").click()
    copied = json.loads(inside.evaluate("navigator.clipboard.readText()"))
    assert copied["alert"]["id"] in keys
    assert copied["evidence"][0]["event"]["class_uid"] == 1007

    inside.get_by_role("button", name="Acknowledge").click()
    expect(inside.locator(".alert-head .status")).to_have_text(f"Acknowledged by {NAME}")
    inside.wait_for_load_state()
    inside.keyboard.press("x")
    inside.get_by_role("button", name="Close alert").click()
    expect(inside.locator("dialog")).to_be_visible()
    inside.get_by_label("Expected activity").check()
    inside.get_by_label("Note").fill("a drill")
    inside.get_by_role("button", name="Close alert").click()
    expect(inside.locator(".alert-head .status")).to_have_text(f"Closed by {NAME}")
    expect(inside.locator(".timeline")).to_contain_text("Expected activity: a drill")
    with console.engine.connect() as connection:
        assert show(connection, sample_intrusion.ORG, copied["alert"]["id"]).status == "closed"


def test_the_queue_by_keyboard(inside: Page, console: Console) -> None:
    """With j and k choose a row, a acknowledges it where it is, Enter opens it, u comes back."""
    console.intrusion()
    inside.reload()
    inside.locator("#live.on").wait_for()
    for key in ("j", "j", "k", "j"):
        inside.keyboard.press(key)
    chosen = inside.locator(".row").nth(1)
    assert "is-selected" in (chosen.get_attribute("class") or "")
    inside.keyboard.press("a")
    expect(chosen.locator(".status")).to_have_text("Acknowledged")
    assert "is-selected" in (chosen.get_attribute("class") or "")
    title = chosen.locator(".title").inner_text()
    inside.keyboard.press("Enter")
    expect(inside.locator("h1")).to_have_text(title)
    inside.keyboard.press("u")
    expect(inside.get_by_role("heading", name="Alerts", exact=True)).to_be_visible()


def test_search_with_histogram(inside: Page, console: Console) -> None:
    """An expression finds events, the bars narrow the time, an event opens to its JSON."""
    console.intrusion()
    inside.goto("/search?last=1h")
    inside.locator("#q").fill("process.name = 'curl' OR dst_endpoint.port = 4444")
    inside.get_by_role("button", name="Search").click()
    expect(inside.locator("#found")).to_have_text("3 events")
    assert inside.locator(".histogram .bar").count() >= 1
    inside.locator(".event summary").first.click()
    document = json.loads(inside.locator(".event[open] .code").inner_text())
    assert document["class_uid"] == 1007
    inside.locator(".histogram a:has(.bar)").first.focus()
    inside.keyboard.press("Enter")
    inside.wait_for_url("**from=*")
    expect(inside.locator("#q")).to_have_value("process.name = 'curl' OR dst_endpoint.port = 4444")
    expect(inside.locator(".event").first).to_be_visible()


def test_the_query_bar_completes_attributes(inside: Page) -> None:
    """Typing part of a name offers the attributes with their meaning; Tab takes the first."""
    inside.goto("/search")
    inside.locator("#q").press_sequentially("dst_endpoint.po")
    expect(inside.locator("#suggest li").first).to_contain_text("dst_endpoint.port")
    inside.keyboard.press("Tab")
    expect(inside.locator("#q")).to_have_value("dst_endpoint.port")
    expect(inside.locator("#suggest")).to_be_hidden()


def test_a_bad_query_says_what_is_wrong(inside: Page, complaints: list[str]) -> None:
    """The expression stays in the bar with a sentence below it, and nothing pretends to be a result."""
    inside.goto("/search")
    inside.locator("#q").fill("process.name = ")
    inside.keyboard.press("Enter")
    expect(inside.get_by_role("alert")).to_be_visible()
    assert len(inside.get_by_role("alert").inner_text()) > 10
    expect(inside.locator("#q")).to_have_value("process.name =")
    assert inside.locator(".histogram").count() == 0
    # The browser logs the page's own status 400; nothing else.
    assert [text for text in complaints if "400" not in text] == []
    complaints.clear()


def test_hostile_text_stays_text(inside: Page, console: Console) -> None:
    """Whatever an intruder puts into a command line is shown, never run."""
    hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    finding = _finding(console)
    shell = sample_intrusion.Proc(77, "/bin/sh", f"sh -c {hostile}", sample_intrusion.WORKER)
    event = sample_intrusion.launch(shell, console.clock.now_ms(), 1)
    console.events.add([event])
    (key,) = console.record([_with_title(finding, hostile, event)])
    expect(inside.locator(".row .title")).to_have_text(hostile)
    inside.goto(f"/alerts/{key}")
    expect(inside.locator("h1")).to_have_text(hostile)
    expect(inside.locator(".tree")).to_contain_text(hostile)
    inside.goto("/search?last=1h")
    inside.locator(".event summary").first.click()
    expect(inside.locator(".event[open] .code")).to_contain_text("onerror=alert(1)")
    assert inside.locator("img").count() == 0


def _with_title(finding: Finding, title: str, event: Event) -> Finding:
    return msgspec.structs.replace(finding, title=title, event=nest(event), time=int(event.values["time"]))


@pytest.mark.parametrize(
    "path",
    [
        "/alerts",
        "/alerts/{key}",
        "/search",
        "/search?q=process.name%3D%27id%27",
        "/agents",
        "/rules",
        "/suppressions",
        "/policies",
    ],
)
def test_every_page_is_fast_and_locked_down(inside: Page, console: Console, path: str) -> None:
    """Each page answers in less than 300 ms, forbids everything that is not ours, and fits a narrow screen."""
    key = console.intrusion()[0]
    console.enrol()
    address = path.format(key=key)
    inside.goto(address)
    taken = []
    for _ in range(3):
        started = time.monotonic()
        answer = inside.request.get(address)
        taken.append(time.monotonic() - started)
    assert answer.status == 200
    assert min(taken) < 0.3
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "style=" not in answer.text()
    inside.set_viewport_size({"width": 390, "height": 844})
    assert inside.evaluate("document.documentElement.scrollWidth") <= 390
