"""From a name that is asked for to the alert that it is listed: real lookups on this host."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_audit import kernel_audit_alone
from name_server import NameServer, encode_query
from tocsin.testing import Installation, installed, wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow]

WITHIN_S = 60.0
ALONE_S = 2.5  # of two that ask one server within two seconds and end at once, neither is named
SERVER = "127.77.53.2"
NAMES = {"c2.listed.example": "192.0.2.66", "plain.example": "192.0.2.1"}
# Asks as a resolver does, and ends as soon as it has its answer.
ASKING = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect((sys.argv[1], 53))
sock.send(bytes.fromhex(sys.argv[2]))
sock.recv(512)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """This host, watched by a whole installation, with a name server."""
    with kernel_audit_alone(), installed(tmp_path_factory.mktemp("installation")) as installation:
        wait_for(installation.agent_is_healthy, 30, "a healthy agent")
        with NameServer(SERVER, NAMES).running():
            yield installation


def _ask(name: str) -> None:
    subprocess.run([sys.executable, "-c", ASKING, SERVER, encode_query(name).hex()], check=True)


def test_a_listed_name_raises_an_alert_with_who_asked(
    host: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a name below a listed domain, the alert has the lookup, its answer and the process; others raise none."""
    feed = tmp_path / "domains.txt"
    feed.write_text("listed.example\n")
    added = host.tocsin("intel", "add", "domains", "--from", str(feed), "--level", "high")
    assert added.returncode == 0, added.stderr
    time.sleep(2)  # the detector looks for changes twice a second

    _ask("plain.example")
    time.sleep(ALONE_S)
    _ask("c2.listed.example")
    wait_for(lambda: host.receiver.alerts("intel:domain"), WITHIN_S, "the alert of the lookup")
    (alert,) = host.receiver.alerts("intel:domain")
    assert alert.data["alert"]["title"] == "Query for listed.example, listed by domains"
    event = alert.data["events"][0]["event"]
    assert event["query"] == {"hostname": "c2.listed.example", "type": "A"}
    assert event["answers"] == [{"rdata": "192.0.2.66", "type": "A", "ttl": 60}]
    process = event["actor"]["process"]
    launch = host.tocsin("search", f"process.uid = '{process['uid']}' AND activity_id = 1", "--count")
    assert int(launch.stdout) == 1  # the process is the one that was seen to start
    assert process["cmd_line"].endswith(encode_query("c2.listed.example").hex())
    assert process["file"]["path"] == str(Path(sys.executable).resolve())
    with capsys.disabled():
        found_by = event["unmapped"]["process_found_by"]
        print(f"\nlookup to webhook: {alert.at_ms - event['time']} ms, process by {found_by}")  # noqa: T201 -- asked for


def test_lookups_are_searched_for(host: Installation) -> None:
    """A name that exists and one that does not are both in search, with their codes."""
    _ask("plain.example")
    _ask("missing.example")

    def count(expression: str) -> int:
        return int(host.tocsin("search", expression, "--count").stdout or 0)

    wait_for(lambda: count("query.hostname = 'plain.example' AND rcode = 'NoError'") > 0, WITHIN_S, "the name")
    wait_for(lambda: count("query.hostname = 'missing.example' AND rcode = 'NXDomain'") > 0, WITHIN_S, "the other")
