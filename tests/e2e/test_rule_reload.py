"""Rules exchanged on a running server: by editing a folder, by applying one, and refused, while events flow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.test_kill import RULE, Agent, Server
from tocsin.testing import Receiver, wait_for

WITHIN_S = 180.0


def _tocsin(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = ["--config", str(folder / "tocsin.toml"), "--data-dir", str(folder / "data")]
    command = [sys.executable, "-m", "tocsin.cli", *arguments, *place]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)


def _commands(receiver: Receiver, rule: str) -> set[str]:
    """The command lines that webhooks about a rule have told of."""
    alerts = (one.data["alert"] for one in receiver.received)
    return {alert["group"]["process.cmd_line"] for alert in alerts if alert["rule"]["id"] == rule}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rules_are_exchanged_while_events_flow(tmp_path: Path) -> None:
    """Between edits of its rules a server loses no alert, refuses a broken folder, and takes an applied rule."""
    first, second = "22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
    with Receiver().listening() as receiver:
        server = Server(tmp_path, receiver.url)
        server.start()
        agent = Agent(server, tmp_path / "agent")
        agent.start()
        wait_for(lambda: bool(_commands(receiver, first)), WITHIN_S, "an alert by the first rule")
        (tmp_path / "rules.yml").write_text(RULE + "more: [")
        refused = _tocsin(tmp_path, "rules", "reload", "--wait-s", "120")
        assert (refused.returncode, "rules.yml:" in refused.stdout) == (1, True), refused
        (tmp_path / "rules.yml").write_text(RULE)
        assert _tocsin(tmp_path, "rules", "reload", "--wait-s", "120").returncode == 0
        (tmp_path / "team").mkdir()
        (tmp_path / "team" / "two.yml").write_text(RULE.replace(first, second))
        assert _tocsin(tmp_path, "rules", "apply", str(tmp_path / "team")).returncode == 0
        wait_for(lambda: bool(_commands(receiver, second)), WITHIN_S, "an alert by the applied rule")
        agent.finish(within_s=WITHIN_S)
        marked = {command for command in agent.commands if command.startswith("marked")}
        wait_for(lambda: _commands(receiver, first) == marked, WITHIN_S, "every alert of the first rule")
        listed = _tocsin(tmp_path, "rules", "list", "--json")
        server.close()
    found = {rule["id"]: rule for rule in map(json.loads, listed.stdout.splitlines())}
    assert found[first]["matches"] == len(marked)
    assert 0 < found[second]["alerts"] <= len(marked)
