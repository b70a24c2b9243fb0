"""Whose key it is: the machine's on which it was made, and on a clone of that one a new one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.receiving import Server
from tocsin.agent.config import SpoolSettings
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.enroll import enroll, own_identity
from tocsin.agent.identity import load_identity, load_key, next_key, save_identity
from tocsin.model.errors import NotAllowed, Unreachable
from tocsin.model.event import Event
from tocsin.model.wire import encode_sections, seal


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """The state folder of an agent that has enrolled, with a batch that it has not sent."""
    folder = tmp_path / "original"
    server = Server()
    with server.listening():
        identity = enroll(server.url, "good", folder)
    key = load_key(folder)
    spool = Spool(folder / "spool", SpoolSettings(), identity, key, "boot")
    spool.append(*seal(encode_sections([Event(1007, {"time": 1})]), spool.position, key, created_at=0))
    spool.close()
    return folder


def _cloned(original: Path, server: Server) -> Path:
    folder = original.with_name("clone")
    shutil.copytree(original, folder)
    identity = load_identity(folder)
    save_identity(folder, type(identity)(server.url, identity.org, identity.agent_id, "", "machine-1"))
    return folder


def test_on_its_own_machine_nothing_changes(original: Path) -> None:
    """The server is not even asked."""
    mine = load_identity(original)
    assert own_identity(original, mine.machine_id) == mine
    assert own_identity(original, "") == mine


def test_an_identity_of_before_is_bound_to_the_machine_it_is_on(original: Path) -> None:
    """What an older version enrolled has no machine yet."""
    mine = load_identity(original)
    save_identity(original, type(mine)(mine.server, mine.org, mine.agent_id, mine.ca))
    assert own_identity(original, "machine-7").machine_id == "machine-7"
    assert load_identity(original).machine_id == "machine-7"


def test_a_clone_becomes_an_agent_of_its_own(original: Path) -> None:
    """New key, new id, nothing of the other one's spool; and the same at the next start."""
    server = Server()
    with server.listening():
        folder = _cloned(original, server)
        before = load_key(folder).private_bytes_raw()
        identity = own_identity(folder, "machine-2")
        assert own_identity(folder, "machine-2") == identity
    assert (identity.agent_id, identity.machine_id) == ("a2", "machine-2")
    assert load_key(folder).private_bytes_raw() != before
    assert len(server.clones) == 1
    spool = Spool(folder / "spool", SpoolSettings(), identity, load_key(folder), "boot")
    assert spool.waiting == 0


def test_a_clone_that_may_not_join_sends_nothing(original: Path) -> None:
    """Neither refused nor without an answer does it go on under the other one's name."""
    server = Server()
    server.clones_allowed = False
    with server.listening():
        folder = _cloned(original, server)
        with pytest.raises(NotAllowed, match="enrol this host with a token"):
            own_identity(folder, "machine-2")
    with pytest.raises(Unreachable):
        own_identity(folder, "machine-2")
    assert load_identity(folder).agent_id == "a1"


def test_a_crash_while_joining_loses_nothing(original: Path) -> None:
    """Killed between the new identity and its key, the next start finishes; the key is the one that was sent."""
    server = Server()
    with server.listening():
        folder = _cloned(original, server)
        sent = next_key(folder).private_bytes_raw()
        identity = load_identity(folder)
        save_identity(folder, type(identity)(server.url, "acme", "a2", "", "machine-2"))
        assert own_identity(folder, "machine-2").agent_id == "a2"
    assert load_key(folder).private_bytes_raw() == sent
    assert server.clones == []
