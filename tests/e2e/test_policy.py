"""Capture policies on a real server, a real agent and the real kernel: applied live, confirmed, refused, counted."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel_audit import kernel_audit_alone
from tocsin.agent.audit.control import AuditControl
from tocsin.api.policies import Following, following
from tocsin.api.search import document
from tocsin.conditions.parse_sql import parse_filter
from tocsin.config import load_settings
from tocsin.ingest.coverage import INTENTIONAL, coverage, reason_of
from tocsin.ports import Selection
from tocsin.state.engine import open_state, reading
from tocsin.state.policies import NewPolicy, add_policies
from tocsin.testing import Installation, installed, wait_for
from tocsin.wiring.lake.storage import open_storage

pytestmark = [pytest.mark.root, pytest.mark.slow]

WITHIN_S = 60.0
# Live means: while people still look at the command that they have typed.
LIVE_WITHIN_S = 10.0
ORG, HOUR_MS = "default", 3_600_000
QUIET, QUIET_ADDRESS, OTHER_ADDRESS = "quiet-bash", "127.0.0.77", "127.0.0.1"


class Fleet:
    """An installation with one agent, and what its people do to its policies."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation, self.policies = installation, folder / "fleet"
        self.policies.mkdir()
        self.quiet = folder / QUIET
        shutil.copy("/bin/bash", self.quiet)
        settings = load_settings(folder / "tocsin.toml", data_dir=installation.data_dir)
        self.state = open_state(settings.state)
        self._storage = open_storage(settings, self.state)

    def close(self) -> None:
        """Close what was opened to look at."""
        self._storage.close()
        self.state.dispose()

    def apply(self, name: str, text: str) -> float:
        """Apply a policy and wait until the agent has said that it applies it; gives how long that took."""
        file = self.policies / f"{name}.toml"
        file.write_text(text)
        done = self.installation.tocsin("agent", "policy", "apply", str(file))
        assert done.returncode == 0, done.stderr
        began = time.monotonic()
        wait_for(lambda: self.agent().state == "applied", WITHIN_S, "the agent's confirmation")
        return time.monotonic() - began

    def agent(self) -> Following:
        """What the server knows of the one agent."""
        with reading(self.state) as connection:
            (found,) = following(connection, ORG)
        return found

    def found(self, where: str) -> list[dict[str, Any]]:
        """Stored events, in OCSF's nested form."""
        now = time.time_ns() // 1_000_000
        wanted = Selection(ORG, now - HOUR_MS, now + HOUR_MS, parse_filter(where), limit=1_000)
        return [document(row) for row in self._storage.query.events(wanted)]

    def connect(self, bash: str, address: str, port: int) -> None:
        """A connection by a program that is started for it, at no terminal."""
        subprocess.run([bash, "-c", f"exec 3<>/dev/udp/{address}/{port}"], check=True, start_new_session=True)

    def not_kept(self) -> dict[str, int]:
        """What the server's ledger says was not kept, by reason and class."""
        now = time.time_ns() // 1_000_000
        with reading(self.state) as connection:
            hours = coverage(connection, ORG, now - HOUR_MS, now + HOUR_MS)
        counted: Counter[str] = Counter()
        for hour in hours:
            counted.update(hour.not_kept)
        return counted


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """This host, watched by a whole installation."""
    folder = tmp_path_factory.mktemp("installation")
    with kernel_audit_alone(), installed(folder, settings="rulesets = []\n") as installation:
        wait_for(installation.agent_is_healthy, 30, "a healthy agent")
        fleet = Fleet(installation, folder)
        # Whatever else this host does while it is tested: nothing is lowered for it.
        fleet.apply("base", "[limit]\ncpu_percent = 0\n")
        yield fleet
        fleet.close()


def test_a_policy_is_applied_live_and_the_kernel_leaves_out_what_it_can(fleet: Fleet) -> None:
    """A program's connections are gone from one moment to the next, not its writes to watched files; tags are there."""
    fleet.connect(str(fleet.quiet), OTHER_ADDRESS, 47_201)
    wait_for(lambda: fleet.found("dst_endpoint.port = 47201"), WITHIN_S, "the connection before")
    policy = f"[[exclude]]\nexe = ['{fleet.quiet}']\n[tags]\nenvironment = 'test'\n"
    policy += "[redact]\npatterns = ['--pin=(?P<secret>\\d+)']\n"
    assert fleet.apply("quiet", policy) < LIVE_WITHIN_S
    assert fleet.agent().wanted == fleet.agent().applied == "base@1,quiet@1"
    assert [rule for rule in _rules() if b"tocsin-policy" in rule and QUIET.encode() in rule]

    fleet.connect(str(fleet.quiet), OTHER_ADDRESS, 47_202)
    written = Path("/etc/tocsin-e2e-policy")
    subprocess.run([fleet.quiet, "-c", f": > {written}"], check=True, start_new_session=True)
    written.unlink()
    subprocess.run(["/bin/echo", "tocsin-e2e-policy", "--pin=4711"], check=True, stdout=subprocess.DEVNULL)
    fleet.connect("/bin/bash", OTHER_ADDRESS, 47_203)
    wait_for(lambda: fleet.found("dst_endpoint.port = 47203"), WITHIN_S, "another program's connection")
    (after,) = fleet.found("dst_endpoint.port = 47203")
    assert after["metadata"]["tags"] == [{"name": "environment", "value": "test"}]
    assert fleet.found("dst_endpoint.port = 47202") == []
    creation = f"file.path = '{written}' AND activity_id = 1"
    wait_for(lambda: fleet.found(creation), WITHIN_S, "the write of the excluded program")
    assert fleet.found(creation)[0]["actor"]["process"]["file"]["path"] == str(fleet.quiet)
    (redacted,) = fleet.found("process.name = 'echo' AND process.cmd_line LIKE '%tocsin-e2e-policy --pin%'")
    assert redacted["process"]["cmd_line"].endswith("--pin=[redacted]")
    assert len(fleet.found("metadata.event_code = 'POLICY_APPLIED' AND message LIKE '%quiet@1'")) == 1


def test_what_the_agent_leaves_out_is_counted_by_reason_and_class(fleet: Fleet) -> None:
    """The ledger accounts for every connection: kept, excluded, or beyond the rate."""
    fleet.apply(
        "quiet", f"[[exclude]]\ncidr = ['{QUIET_ADDRESS}/32']\n[events.network_activity]\nmax_per_second = 20\n"
    )
    time.sleep(1.5)  # the bucket is full
    before = fleet.not_kept()
    for port in range(47_300, 47_310):
        _send_to(QUIET_ADDRESS, port)
    for _ in range(400):
        _send_to(OTHER_ADDRESS, 47_311)

    def counted(reason: str) -> int:
        return fleet.not_kept().get(reason, 0) - before.get(reason, 0)

    def kept() -> int:
        return len(fleet.found("dst_endpoint.port = 47311"))

    wait_for(lambda: counted("excluded/4001") >= 10, WITHIN_S, "the excluded ones")
    wait_for(lambda: kept() + counted("rate_limited/4001") >= 400, WITHIN_S, "all connections")
    assert counted("excluded/4001") == 10
    assert fleet.found(f"dst_endpoint.ip = '{QUIET_ADDRESS}'") == []
    assert 0 < kept() < 400


def test_a_sampled_event_says_its_rate(fleet: Fleet) -> None:
    """Kept and sampled add up, and each kept one stands for so many."""
    fleet.apply("quiet", "[events.network_activity]\nsample = 4\n")
    before = Counter(fleet.not_kept())
    for _ in range(400):
        _send_to(OTHER_ADDRESS, 47_401)

    def not_kept() -> Counter[str]:
        return Counter(fleet.not_kept()) - before

    def lost() -> int:
        return sum(count for reason, count in not_kept().items() if reason_of(reason) not in INTENTIONAL)

    def told() -> int:
        return not_kept()["sampled/4001"] + len(fleet.found("dst_endpoint.port = 47401"))

    wait_for(lambda: told() + lost() >= 400, WITHIN_S, "all connections")
    assert told() >= 400, not_kept()
    kept = fleet.found("dst_endpoint.port = 47401")
    assert 60 < len(kept) < 140
    assert {event["unmapped"]["sample_rate"] for event in kept} == {4}


def test_a_policy_that_the_agent_cannot_read_changes_nothing(fleet: Fleet) -> None:
    """The server's people see which agent refuses it and why; the one before stays, and removing it mends all."""
    applied = fleet.agent().applied
    with fleet.state.begin() as connection:  # as a server that is newer than its agents would
        new = NewPolicy("newer", "[exclude]\nmoon_phase = ['full']\n")
        add_policies(connection, "default", [new], "ada", time.time_ns() // 1_000_000)
    wait_for(lambda: fleet.agent().problem, WITHIN_S, "the refusal")
    assert "newer@1:2: exclude.moon_phase is not known here" in fleet.agent().problem
    assert fleet.agent().applied == applied
    assert fleet.installation.tocsin("agent", "policy", "list").returncode == 1
    assert fleet.installation.tocsin("agent", "policy", "remove", "newer").returncode == 0
    wait_for(lambda: fleet.agent().state == "applied", WITHIN_S, "the policies without it")


def test_explain_tells_what_a_policy_would_keep(fleet: Fleet, tmp_path: Path) -> None:
    """Of what this host has done: programs' connections by the file that is proposed, not what is protected."""
    fleet.apply("quiet", "")
    for _ in range(10):
        fleet.connect(str(fleet.quiet), OTHER_ADDRESS, 47_501)
    wait_for(lambda: len(fleet.found("dst_endpoint.port = 47501")) == 10, WITHIN_S, "the connections")
    proposed = tmp_path / "proposed.toml"
    proposed.write_text(f"[[exclude]]\nexe = ['{fleet.quiet}']\n")
    done = fleet.installation.tocsin("agent", "policy", "explain", str(proposed), "--last", "1h", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    classes = {each["class_name"]: each for each in found["classes"]}
    assert classes["network_activity"]["left_out"]["excluded"] >= 10
    assert classes["file_activity"]["left_out"]["excluded"] == 0
    assert found["excluded"][0][0] == str(fleet.quiet)


def test_a_policy_that_is_removed_leaves_no_rule_behind(fleet: Fleet) -> None:
    """The kernel records everything again."""
    fleet.apply("quiet", f"[[exclude]]\nexe = ['{fleet.quiet}']\n")
    wait_for(lambda: any(b"tocsin-policy" in rule for rule in _rules()), WITHIN_S, "the rule")
    assert fleet.installation.tocsin("agent", "policy", "remove", "quiet").returncode == 0
    wait_for(lambda: fleet.agent().applied == "base@1", WITHIN_S, "the confirmation")
    assert not any(b"tocsin-policy" in rule for rule in _rules())
    fleet.connect(str(fleet.quiet), OTHER_ADDRESS, 47_601)
    wait_for(lambda: fleet.found("dst_endpoint.port = 47601"), WITHIN_S, "the connection")


def _rules() -> list[bytes]:
    control = AuditControl()
    try:
        return control.rules()
    finally:
        control.close()


def _send_to(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, port))
