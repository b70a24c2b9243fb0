"""A feed that is added to a running server: what is listed is found at once, and in what was kept before."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_audit import kernel_audit_alone
from tocsin.testing import Installation, Received, installed, wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow]

WITHIN_S = 60.0
BEFORE, AFTER = "127.77.0.1", "127.77.0.2"  # of this host alone; the feed is told that private addresses count


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """This host, watched by a whole installation."""
    with kernel_audit_alone(), installed(tmp_path_factory.mktemp("installation")) as installation:
        assert installation.greeting["agent"].startswith("on this host"), installation.greeting
        wait_for(installation.agent_is_healthy, 30, "a healthy agent")
        yield installation


def _connect(address: str) -> None:
    subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/{address}/47159"], check=False, stderr=subprocess.DEVNULL)


def _alerts(host: Installation, address: str) -> list[Received]:
    found = host.receiver.alerts("intel:ip")
    return [one for one in found if one.data["alert"]["group"]["indicator"] == address]


def _count(host: Installation, expression: str) -> int:
    return int(host.tocsin("search", expression, "--count").stdout or 0)


def test_a_feed_added_to_a_running_server(
    host: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A connection after the feed was added raises an alert; the one before it is found in history, and marked so."""
    _connect(BEFORE)
    wait_for(lambda: _count(host, f"dst_endpoint.ip = '{BEFORE}'"), WITHIN_S, "the event in search")

    feed = tmp_path / "listed.txt"
    feed.write_text(f"# of this test\n{BEFORE}\n{AFTER}\nnonsense!\n")
    added = host.tocsin("intel", "add", "listed", "--from", str(feed), "--private", "--level", "critical")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith("listed: 2 indicators (2 ip), 2 new\n  1 not read:\n    line 4: ")
    time.sleep(2)  # the detector looks for changes twice a second

    _connect(AFTER)
    wait_for(lambda: _alerts(host, AFTER), WITHIN_S, "the alert of the connection after")
    live = _alerts(host, AFTER)[0]
    event = live.data["events"][0]
    assert live.data["alert"]["title"] == f"Connection to {AFTER}, listed by listed"
    assert live.data["alert"]["level"] == "critical"
    assert event["why"][0]["field"] == "dst_endpoint.ip"
    with capsys.disabled():
        print(f"\nlisted connection to webhook: {live.at_ms - event['event']['time']} ms")  # noqa: T201 -- asked for

    wait_for(lambda: _alerts(host, BEFORE), WITHIN_S, "the alert of the connection before")
    old = _alerts(host, BEFORE)[0].data["alert"]
    assert old["title"] == f"Connection to {BEFORE}, listed by listed, found in history"
    assert "historic" in old["rule"]["tags"]
    assert "historic" not in live.data["alert"]["rule"]["tags"]


def test_lookup_says_what_was_seen(host: Installation) -> None:
    """Who lists an address, and how often it was seen; a network around it would be found as well."""
    found = host.tocsin("intel", "lookup", AFTER)
    assert found.returncode == 0, found.stderr
    assert f"ip {AFTER}; listed by listed (critical)" in found.stdout
    assert "seen in " in found.stdout


def test_a_feed_that_is_gone_stays_as_it_was(host: Installation, tmp_path: Path) -> None:
    """Where the file of a feed is gone, its indicators stay and are shown with age and reason."""
    feed = tmp_path / "gone.txt"
    feed.write_text("127.77.0.9\n")
    assert host.tocsin("intel", "add", "gone", "--from", str(feed), "--private").returncode == 0
    feed.unlink()
    updated = host.tocsin("intel", "update", "gone")
    assert updated.returncode == 3
    assert "No such file or directory; what it listed before stays" in updated.stderr
    listed = host.tocsin("intel", "list").stdout
    assert "No such file or directory" in listed
    assert host.tocsin("intel", "lookup", "127.77.0.9").returncode == 0
