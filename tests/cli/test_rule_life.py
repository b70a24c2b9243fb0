"""The commands of a rule's life, on a real state."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

import sample_intrusion
from tocsin.alert.record import record
from tocsin.cli.app import main
from tocsin.config import load_settings
from tocsin.ingest.senders import Enrolment, enroll
from tocsin.state.engine import open_state
from tocsin.state.tables import agent, rule_version
from tocsin.wiring.clock import SystemClock
from tocsin.wiring.processes.first_start import open_server_state

RULE = """title: {title}
id: {id}
logsource: {{product: linux, category: process_creation}}
detection:
  selection: {{CommandLine|startswith: {word}}}
  condition: selection
level: high
"""
ONE, TWO = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"


class Server:
    """A data folder as a server leaves it, a folder of rules, and commands on both."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.rules = folder / "team"
        self.rules.mkdir()
        (folder / "tocsin.toml").write_text("rulesets = []\n")
        settings = load_settings(folder / "tocsin.toml", data_dir=folder / "data")
        open_server_state(settings, SystemClock().now_ms()).dispose()

    def write(self, name: str, *rules: str) -> None:
        (self.rules / name).write_text("---\n".join(rules))

    def run(self, *arguments: str) -> tuple[int, str]:
        place = ["--config", str(self.folder / "tocsin.toml"), "--data-dir", str(self.folder / "data")]
        code = main([*arguments, *place])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def lines(self, *arguments: str) -> list[dict[str, object]]:
        code, said = self.run(*arguments, "--json")
        assert code == 0, said
        return [json.loads(line) for line in said.splitlines()]

    def state(self) -> sa.Engine:
        return open_state(f"sqlite:///{self.folder / 'data' / 'state.db'}")


@pytest.fixture
def server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Server:
    return Server(tmp_path, capsys)


def _rule(number: str = ONE, word: str = "marked", title: str = "A rule") -> str:
    return RULE.format(id=number, word=word, title=title)


def test_a_folder_is_planned_applied_and_planned_again(server: Server) -> None:
    """A plan shows what is added, changed (as a diff) and removed; once applied there is nothing left to apply."""
    server.write("a.yml", _rule(), _rule(TWO, "second", "Another"))
    code, said = server.run("rules", "plan", str(server.rules))
    assert (code, "+ A rule" in said, "2 added, 0 changed, 0 removed" in said) == (0, True, True)
    assert server.run("rules", "apply", str(server.rules))[0] == 0
    assert "nothing to apply" in server.run("rules", "plan", str(server.rules))[1]
    server.write("a.yml", _rule(word="changed"))
    code, said = server.run("rules", "plan", str(server.rules))
    assert "-  selection: {CommandLine|startswith: marked}" in said
    assert "+  selection: {CommandLine|startswith: changed}" in said
    assert "- Another" in said
    (done,) = server.lines("rules", "apply", str(server.rules))
    assert [change["kind"] for change in done["changes"]] == ["changed", "removed"]  # type: ignore[attr-defined]
    assert [rule["title"] for rule in server.lines("rules", "list")] == ["A rule"]


def test_a_folder_with_a_mistake_is_not_applied_at_all(server: Server) -> None:
    """One rule that cannot be compiled, or whose case goes wrong, keeps the whole folder from being applied."""
    server.write("a.yml", _rule())
    server.write("b.yml", _rule(TWO).replace("condition: selection", "condition: nothing"))
    code, said = server.run("rules", "apply", str(server.rules))
    assert code == 1
    assert "b.yml:" in said
    server.write("b.yml", _rule(TWO))
    (server.rules / "b.fires.log").write_text("")
    (server.rules / "b.misses.log").write_text("")
    code, said = server.run("rules", "apply", str(server.rules))
    assert (code, "there is no event in it" in said) == (1, True)
    assert server.lines("rules", "list") == []
    assert server.run("rules", "apply", str(server.folder / "nowhere"))[0] == 2


def test_two_rulesets_cannot_share_an_id(server: Server, tmp_path: Path) -> None:
    """A rule that another folder has applied is refused under this name, with the place of the first."""
    server.write("a.yml", _rule())
    assert server.run("rules", "apply", str(server.rules))[0] == 0
    code, said = server.run("rules", "apply", str(server.rules), "--ruleset", "copy")
    assert (code, f"id {ONE} is also the id of" in said) == (1, True)
    assert (tmp_path / "team" / "a.yml").exists()


def test_versions_are_kept_and_come_back(server: Server) -> None:
    """Every version says who applied it; an older one can be printed and made the newest."""
    for word, who in (("first", "anna"), ("second", "bob")):
        server.write("a.yml", _rule(word=word))
        server.run("rules", "apply", str(server.rules), "--as", who)
    versions = server.lines("rules", "history", ONE)
    assert [(each["version"], each["author"]) for each in versions] == [(2, "bob"), (1, "anna")]
    assert "startswith: first" in server.run("rules", "history", ONE, "--version", "1")[1]
    assert server.lines("rules", "rollback", ONE, "--as", "anna")[0]["version"] == 3
    assert "startswith: first" in server.run("rules", "history", ONE, "--version", "3")[1]
    assert server.run("rules", "rollback", ONE, "--to", "9") == (
        2,
        f"tocsin: rule {ONE} has no version 9; it has 1 to 3\n",
    )
    assert server.run("rules", "history", TWO)[0] == 2


def test_states_are_given_with_a_name_and_a_reason(server: Server) -> None:
    """Stage, disable and enable change what becomes of rules, of all that are named or of none."""
    server.write("a.yml", _rule(), _rule(TWO, "second", "Another"))
    server.run("rules", "apply", str(server.rules))
    server.run("rules", "stage", ONE, "--as", "anna", "--reason", "too loud")
    staged, other = sorted(server.lines("rules", "list"), key=lambda rule: str(rule["id"]))
    assert (staged["state"], staged["state_by"], staged["state_reason"]) == ("staged", "anna", "too loud")
    assert (other["state"], other["state_by"]) == ("active", "")
    assert server.run("rules", "disable", TWO, "nothing") == (2, "tocsin: there is no rule nothing\n")
    assert {rule["state"] for rule in server.lines("rules", "list")} == {"staged", "active"}
    server.run("rules", "enable", ONE)
    assert {rule["state"] for rule in server.lines("rules", "list")} == {"active"}


def test_reload_says_that_nobody_answers(server: Server) -> None:
    """Without a detector `rules reload` ends with try-later and says so."""
    code, said = server.run("rules", "reload", "--wait-s", "1")
    assert (code, said) == (3, "tocsin: no detector has answered; is the server running?\n")


def test_suppressions_need_owner_reason_and_an_end(server: Server) -> None:
    """What is added is listed as in force, removed once, and kept; what cannot be understood is refused."""
    add = ["suppress", "add", "process.name = 'nc'", "--owner", "anna", "--reason", "known", "--expires", "7d"]
    (made,) = server.lines(*add)
    assert server.run("suppress", "add", "process.nam = 'nc'", *add[3:])[0] == 2
    assert server.run(*add[:6], " ", *add[7:])[0] == 2
    assert server.run(*add[:-1], "0d") == (2, "tocsin: a suppression must end in the future\n")
    assert [each["state"] for each in server.lines("suppress", "list")] == ["in force"]
    key = str(made["id"])
    assert server.lines("suppress", "remove", key, "--as", "bob")[0]["removed_by"] == "bob"
    assert server.run("suppress", "remove", key)[0] == 2
    assert server.lines("suppress", "list") == []
    assert [each["state"] for each in server.lines("suppress", "list", "--all")] == ["removed"]


def test_a_suppression_of_a_rule_needs_that_rule(server: Server) -> None:
    """A misspelt id would hide nothing and not say so; what indicators find can be suppressed by kind."""
    add = [
        "suppress",
        "add",
        "process.name = 'nc'",
        "--owner",
        "anna",
        "--reason",
        "known",
        "--expires",
        "7d",
        "--rule",
    ]
    assert server.run(*add, "nosuch") == (2, "tocsin: there is no rule nosuch\n")
    server.write("a.yml", _rule())
    assert server.run("rules", "apply", str(server.rules))[0] == 0
    assert {server.lines(*add, each)[0]["rule_id"] for each in (ONE, "intel:domain")} == {ONE, "intel:domain"}
    assert len(server.lines("suppress", "list")) == len({ONE, "intel:domain"})


def test_a_suppression_is_tried_on_the_alerts_there_are(server: Server) -> None:
    """`suppress try` counts alerts that would not have been opened, and those that would have been smaller."""
    state = server.state()
    findings = sample_intrusion.findings(SystemClock().now_ms() - 10_000)
    with state.begin() as connection:
        recorded = record(connection, findings, SystemClock().now_ms())
    state.dispose()
    (everything,) = server.lines("suppress", "try", "time > 1")
    assert everything["alerts"] == everything["whole"] == len(recorded.changed)
    (nothing,) = server.lines("suppress", "try", "device.hostname = 'elsewhere'")
    assert (nothing["whole"], nothing["touched"]) == (0, [])
    several = max(findings, key=lambda one: sum(one.rule_id == other.rule_id for other in findings))
    (one_event,) = server.lines("suppress", "try", f"metadata.uid = '{several.event_uid}'", "--rule", several.rule_id)
    (touched,) = msgspec.convert(one_event["touched"], list[dict[str, object]])
    assert touched["hidden"] == 1
    assert one_event["whole"] == (1 if touched["kept"] == 1 else 0)


def test_agents_get_the_tags_of_the_token_they_enrol_with(server: Server) -> None:
    """Every agent that a token enrols has its tags from the first batch on; what is no tag makes no token."""
    said = server.run("agent", "token", "--uses", "2", "--tag", "role=web", "--tag", "env=prod", "--json")[1]
    token = json.loads(said.splitlines()[0])["token"]  # then that this server is for this host only
    state, now = server.state(), SystemClock().now_ms()
    with state.begin() as connection:
        for name in ("web-1", "web-2"):
            enroll(connection, Enrolment(token, os.urandom(32), name), now)
    state.dispose()
    for name in ("web-1", "web-2"):
        assert server.lines("agent", "tag", name)[0]["tags"] == {"env": "prod", "role": "web"}
    assert server.run("agent", "token", "--tag", "role") == (
        2,
        "tocsin: 'role' is no tag; write name=value, without commas\n",
    )


def test_agents_get_tags_and_rulesets_are_assigned(server: Server) -> None:
    """Tags are given to an agent by its host name, shown and taken away; rulesets go to agents with all of them."""
    state = server.state()
    with state.begin() as connection:
        row = {"id": "a1", "org": "default", "hostname": "web-1", "public_key": os.urandom(32), "enrolled_at": 1}
        connection.execute(sa.insert(agent).values(row))
    state.dispose()
    assert server.lines("agent", "tag", "web-1", "role=web", "env=prod")[0]["tags"] == {"env": "prod", "role": "web"}
    assert server.lines("agent", "tag", "a1", "--remove", "env")[0]["tags"] == {"role": "web"}
    assert server.run("agent", "tag", "a1", "role")[0] == 2
    assert server.run("agent", "tag", "nobody", "a=b")[0] == 2
    server.write("a.yml", _rule())
    assert server.run("rules", "apply", str(server.rules))[0] == 0
    name = server.rules.name
    (said,) = server.lines("rules", "assign", name, "--tag", "role=web", "--tag", "env=prod")
    assert said["assigned"] == [{"env": "prod", "role": "web"}]
    assert server.lines("rules", "unassign", name) == [{"ruleset": name, "assigned": []}]
    code, warned = server.run("rules", "assign", "bsae", "--tag", "role=web")
    assert (code, f"tocsin: no rule is of ruleset bsae yet; there are {name}\n" in warned) == (0, True)


def test_a_plan_says_which_rules_are_staged(server: Server) -> None:
    """A rule's state in the plan is its file's, or what somebody has given it since."""
    server.write("a.yml", _rule(), _rule(TWO, "second", "Another") + "tocsin: {state: staged}\n")
    assert "Another  a.yml" in server.run("rules", "plan", str(server.rules))[1]
    assert "[staged]" in server.run("rules", "plan", str(server.rules))[1]
    server.run("rules", "apply", str(server.rules))
    server.run("rules", "disable", TWO)
    (planned,) = server.lines("rules", "plan", str(server.rules))
    assert [change["state"] for change in planned["changes"]] == ["active", "disabled"]  # type: ignore[attr-defined]


def test_applying_twice_makes_one_version(server: Server) -> None:
    """Applying a folder that says what it said before adds no version and disturbs no detector."""
    server.write("a.yml", _rule())
    for _ in range(2):
        assert server.run("rules", "apply", str(server.rules))[0] == 0
    state = server.state()
    with state.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(rule_version)) == 1
    state.dispose()
