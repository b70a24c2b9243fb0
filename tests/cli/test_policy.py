"""The commands about capture policies, on a real state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from tocsin.cli.app import main
from tocsin.config import load_settings
from tocsin.model.event import Event, Value
from tocsin.state.engine import open_state
from tocsin.state.tables import agent
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.lake.storage import open_storage
from tocsin.wiring.processes.first_start import open_server_state

BASE = "[[exclude]]\nexe = ['/usr/bin/rsync']\n"
WEB = "[agents]\nrole = 'web'\n\n[events.network_activity]\nsample = 10\n"
APPLIED = {"wanted": "base@1,web@1", "applied": "base@1", "problem": "", "cpu_step": 0}


class Server:
    """A data folder as a server leaves it, a folder of policies, and commands on both."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys
        self.policies = folder / "fleet"
        self.policies.mkdir()
        (folder / "tocsin.toml").write_text("rulesets = []\n")
        self.settings = load_settings(folder / "tocsin.toml", data_dir=folder / "data")
        open_server_state(self.settings, SystemClock().now_ms()).dispose()

    def write(self, name: str, text: str) -> str:
        path = self.policies / name
        path.write_text(text)
        return str(path)

    def run(self, *arguments: str) -> tuple[int, str]:
        place = ["--config", str(self._folder / "tocsin.toml"), "--data-dir", str(self._folder / "data")]
        code = main(["agent", "policy", *arguments, *place])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def enrol(self, uid: str, hostname: str, policy: dict[str, object] | None = None) -> None:
        engine = open_state(self.settings.state)
        row = {"id": uid, "org": "default", "hostname": hostname, "public_key": b"", "enrolled_at": 1}
        with engine.begin() as connection:
            connection.execute(sa.insert(agent).values(**row, host={}, health={"policy": policy} if policy else {}))
        engine.dispose()


@pytest.fixture
def server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Server:
    return Server(tmp_path, capsys)


def test_a_folder_is_planned_applied_and_planned_again(server: Server) -> None:
    """A plan shows what is added, changed (as a diff) and removed; once applied there is nothing left to apply."""
    server.write("base.toml", BASE)
    server.write("web.toml", WEB)
    code, said = server.run("plan", str(server.policies))
    assert (code, "+ web  (role=web)" in said, "2 added, 0 changed, 0 removed" in said) == (0, True, True)
    assert server.run("apply", str(server.policies))[0] == 0
    assert "nothing to apply" in server.run("plan", str(server.policies))[1]
    server.write("web.toml", WEB.replace("10", "20"))
    (server.policies / "base.toml").unlink()
    code, said = server.run("apply", str(server.policies), "--as", "ada")
    assert (code, "+sample = 20" in said, "- base" in said) == (0, True, True)
    assert [line.split()[0] for line in server.run("history", "web")[1].splitlines()] == ["2", "1"]
    assert "ada  removed" in server.run("history", "base")[1]
    assert server.run("show", "web", "--version", "1")[1] == WEB


def test_a_file_leaves_the_policies_of_other_files_alone(server: Server) -> None:
    """Applying one file adds to what is there."""
    server.run("apply", server.write("base.toml", BASE))
    server.run("apply", server.write("web.toml", WEB))
    found = json.loads(server.run("list", "--json")[1])
    assert [(each["name"], each["agents"]) for each in found["policies"]] == [("base", []), ("web", [{"role": "web"}])]
    assert server.run("remove", "base")[0] == 0
    assert [each["name"] for each in json.loads(server.run("list", "--json")[1])["policies"]] == ["web"]
    assert server.run("remove", "nothing")[0] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[events.network_activity]\nsample = 0\n", "web.toml:2: events.network_activity.sample cannot be 0"),
        ("[events.authentication]\nsample = 2\n", "web.toml:1: events.authentication is protected"),
        ("[events.file_activity.create]\nsample = 2\n", "events.file_activity.create is protected"),
        ("\n[[exclude]]\nexe = ['rsync']\n", "web.toml:3: exclude.exe cannot hold 'rsync': it is not a whole path"),
        ("[exclude\n", "web.toml:1: "),
    ],
)
def test_a_wrong_policy_is_refused_whole_with_line_and_key(server: Server, text: str, reason: str) -> None:
    """Nothing of the folder is applied, and what is wrong is named."""
    server.write("base.toml", BASE)
    server.write("web.toml", text)
    code, said = server.run("apply", str(server.policies))
    assert (code, reason in said) == (1, True), said
    assert json.loads(server.run("list", "--json")[1])["policies"] == []


def test_the_list_says_which_agents_have_applied_what(server: Server) -> None:
    """An agent's own word is set beside what it is to apply; a refusal makes the command fail."""
    server.write("base.toml", BASE)
    server.run("apply", str(server.policies))
    server.enrol("a1", "web-1", {"applied": "base@1", "problem": ""})
    server.enrol("a2", "web-2", {"applied": "", "problem": ""})
    server.enrol("a3", "web-3")
    found = json.loads(server.run("list", "--json")[1])["agents"]
    assert [(each["hostname"], each["state"]) for each in found] == [
        ("web-1", "applied"),
        ("web-2", "on its way"),
        ("web-3", "on its way"),
    ]
    server.enrol("a4", "web-4", {"applied": "", "problem": "base@1:1: exclude is not known here"})
    code, said = server.run("list")
    assert (code, "is not known here" in said.replace("\n", " ")) == (1, True)


def test_explain_tells_what_a_policy_would_have_kept(server: Server) -> None:
    """Of what is stored, by class and reason; what is protected is kept."""
    clock = SystemClock()
    engine = open_state(server.settings.state)
    storage = open_storage(server.settings, engine)
    del storage, clock
    engine.dispose()
    code, said = server.run("explain", server.write("base.toml", BASE))
    assert (code, "no events in the last 1h" in said) == (0, True)


def connection_of(exe: str, time_ms: int) -> Event:
    values: dict[str, Value] = {"time": time_ms, "activity_id": 1, "actor.process.file.path": exe}
    return Event(4001, values | {"dst_endpoint.ip": "10.0.0.1", "dst_endpoint.port": 443})
