"""The policy in force: delivered, kept, merged with the host's own, refused whole."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tocsin.agent.config import read_config
from tocsin.agent.policy.delivered import Delivered, Document, Follower
from tocsin.agent.policy.document import Exclusion, Policy
from tocsin.agent.policy.live import LivePolicy
from tocsin.agent.redact import REDACTED, Redactor
from tocsin.model.errors import InvalidSetting
from tocsin.model.event import Event, Value

GOOD = Document("base", 2, "[exclude]\nexe = ['/bin/a']\n[limit]\ncpu_percent = 3\n")
BAD = Document("web", 1, "[exclude]\nmoon = 1\n")


def live(local: Policy | None = None) -> LivePolicy:
    return LivePolicy(local or Policy(), salt="a1", uid_of=lambda _name: None)


def connection_of(exe: str) -> Event:
    values: dict[str, Value] = {"time": 1, "activity_id": 1, "actor.process.file.path": exe}
    return Event(4001, values | {"unmapped.audit.serial": 1, "dst_endpoint.ip": "::1"})


def test_without_a_policy_nothing_is_asked() -> None:
    """No gate stands between the mapping and the batch."""
    assert live().gate() is None


def test_delivered_and_own_exclusions_are_one_policy(tmp_path: Path) -> None:
    """What agent.toml says counts beside what the server says, and its numbers last."""
    (tmp_path / "agent.toml").write_text("[exclude]\nexe = ['/bin/b']\n[limit]\ncpu_percent = 9\n")
    policy = live(read_config(tmp_path / "agent.toml").policy)
    assert policy.apply(Delivered("base@2", (GOOD,)))
    gate = policy.gate()
    assert gate is not None
    assert [gate.refuses(connection_of(exe)) for exe in ("/bin/a", "/bin/b", "/bin/c")] == [
        "excluded",
        "excluded",
        None,
    ]
    assert (policy.applied, policy.governor.percent) == ("base@2", 9)


def test_of_several_one_that_cannot_be_read_changes_nothing() -> None:
    """The old ones stay whole, and the reason names policy, line and key; a better delivery mends it."""
    policy = live()
    policy.apply(Delivered("base@2", (GOOD,)))
    before = policy.policy
    assert not policy.apply(Delivered("base@3,web@1", (Document("base", 3, ""), BAD)))
    assert (policy.policy, policy.applied, policy.refused) == (before, "base@2", "base@3,web@1")
    assert policy.problem.startswith("web@1:2: exclude.moon is not known here")
    assert policy.apply(Delivered("", ()))
    assert (policy.applied, policy.problem, policy.policy) == ("", "", Policy())


def test_settings_that_are_wrong_name_the_file(tmp_path: Path) -> None:
    """The agent does not start with a half of its own policy."""
    path = tmp_path / "agent.toml"
    path.write_text("state_dir = '/x'\n[exclude]\nexe = ['rsync']\n")
    with pytest.raises(InvalidSetting, match=r"agent\.toml:3: exclude\.exe cannot hold 'rsync'"):
        read_config(path)


def test_what_was_delivered_is_there_after_a_restart(tmp_path: Path) -> None:
    """An agent that starts while its server is away does what it was told last."""
    follower = Follower(tmp_path)
    assert follower.is_due
    follower.ask()
    follower.hear("base@2")
    assert follower.take(msgspec.json.encode(Delivered("base@2", (GOOD,))))
    assert not follower.take(msgspec.json.encode(Delivered("base@2")))
    assert Follower(tmp_path).delivered == Delivered("base@2", (GOOD,))
    assert (tmp_path / "policy.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidSetting, match="cannot be read"):
        follower.take(b"<html>")
    (tmp_path / "policy.json").write_bytes(b"{")
    assert Follower(tmp_path).delivered == Delivered()


def test_patterns_of_policies_come_and_go() -> None:
    """The host's own patterns stay; what was found before is not remembered."""
    redactor = Redactor(["--own (?P<secret>\\d+)"])
    assert redactor.clean("x --pin 4711 --own 93") == f"x --pin 4711 --own {REDACTED}"
    redactor.use(["--pin (?P<secret>\\d+)"])
    assert redactor.clean("x --pin 4711 --own 93") == f"x --pin {REDACTED} --own {REDACTED}"
    redactor.use(())
    assert redactor.clean("x --pin 4711 --own 93") == f"x --pin 4711 --own {REDACTED}"


def test_an_exclusion_of_nothing_is_none() -> None:
    """Empty lists, as the shipped settings have them, exclude nothing."""
    assert live(Policy(exclude=(Exclusion(exe=("/bin/x",)),))).gate() is not None
    assert not Exclusion().says_something
