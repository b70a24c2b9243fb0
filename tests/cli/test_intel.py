"""`tocsin intel` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tocsin.cli.app import main
from tocsin.state.engine import open_state


class Done(NamedTuple):
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


Intel = Callable[..., Done]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a server that has been started before."""
    open_state(f"sqlite:///{tmp_path / 'state.db'}").dispose()
    return tmp_path


@pytest.fixture
def intel(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Intel:
    """Runs a command on that data."""
    monkeypatch.setenv("TOCSIN_FEED_PASSWORD", "secret")

    def run(*arguments: str) -> Done:
        code = main(["intel", *arguments, "--data-dir", str(data)])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


def test_the_life_of_a_feed(data: Path, intel: Intel) -> None:
    """Added, listed, hidden by a warning list, looked up, and removed; secrets are never shown."""
    (data / "ips.txt").write_text("198.51.1.7\n198.52.1.7\nnonsense!\n")
    (data / "list.json").write_text(json.dumps({"name": "x", "type": "cidr", "list": ["198.52.0.0/16"]}))
    added = intel("add", "ips", "--from", str(data / "ips.txt"), "--level", "low", "--username", "me")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith(
        "ips: 2 indicators (2 ip), 2 new\n  1 not read:\n    line 3: 'nonsense!' is no address"
    )
    assert intel("add", "cdn", "--from", str(data / "list.json")).stdout == "cdn: 1 entries\n"
    shown = intel("list", "--json")
    feeds = {each["name"]: each for each in map(json.loads, shown.stdout.splitlines())}
    assert feeds["ips"]["hidden"] == {"cdn": 1}
    assert feeds["ips"]["options"] == {"username": "me"}
    assert "secret" not in shown.stdout
    assert " cdn         1      1 " in intel("warnings").stdout
    looked_up = intel("lookup", "198.52.1.7")
    assert "listed by ips (low)" in looked_up.stdout
    assert "hidden by warning list cdn" in looked_up.stdout
    assert intel("remove", "ips").stdout == "ips removed\n"
    assert intel("lookup", "198.52.1.7").returncode == 1


def test_a_look_up_says_what_will_not_match(data: Path, intel: Intel) -> None:
    """An address that is nobody's, unless the feed is for these, and an indicator that has expired."""
    (data / "ips.csv").write_text("value,until\n10.1.2.3,\n198.52.1.7,2020-01-01\n")
    for name, more in (("a", []), ("b", ["--private"])):
        assert intel("add", name, "--from", str(data / "ips.csv"), *more).returncode == 0
    by_feed = {line.split(" listed by ")[1][0]: line for line in intel("lookup", "10.1.2.3").stdout.splitlines()}
    assert "not matched: a private or reserved address" in by_feed["a"]
    assert "not matched" not in by_feed["b"]
    assert "expired 2020-01-01 00:00 UTC" in intel("lookup", "198.52.1.7").stdout
    assert intel("remove", "a", "--json").stdout == '{"removed":"a"}\n'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "a", "--from", "/nowhere"], "a is not added: /nowhere: No such file or directory"),
        (["add", "a", "--from", "/nowhere", "--format", "magic"], "format 'magic' is not known; known are list, csv"),
        (["add", "a", "--from", "/nowhere", "--level", "loud"], "level 'loud' is not known"),
        (["add", "a", "--from", "/nowhere", "--kind", "smell"], "kind 'smell' is not known"),
        (["add", "a", "--from", "/nowhere", "--column", "value"], "--column value is not understood"),
        (["add", "a", "--from", "/nowhere", "--every", "often"], "'often' is no span of time"),
        (["update", "a"], "there is no feed a; there are none yet"),
        (["lookup", "?"], "'?' is no address"),
    ],
)
def test_what_is_wrong_is_one_sentence(intel: Intel, arguments: list[str], said: str) -> None:
    """A wrong value or a feed that is not there is said in one sentence, with exit code 2, and nothing is kept."""
    done = intel(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
