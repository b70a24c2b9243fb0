"""The parts of watching files that need no kernel: rules, budget, settings, notices, what is held of audit."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.agent.audit.rules import compile_rules
from tocsin.agent.files.fanotify import Notice, parse
from tocsin.agent.files.hashing import TokenBucket
from tocsin.agent.files.held import HeldEvents, is_change
from tocsin.agent.files.rules import rules_for
from tocsin.agent.files.tree import expand_homes
from tocsin.model.event import Event, Value


def test_rules_are_made_for_what_no_other_rule_covers(tmp_path: Path) -> None:
    """A folder below a covered one needs none; one that is only read needs one; a file is watched as a name."""
    (tmp_path / "with space").mkdir()
    others = compile_rules(
        "-a always,exit -F arch=b64 -F perm=wa -F dir=/etc -S openat -k config\n"
        "-a always,exit -F arch=b64 -F perm=r -F path=/opt/secret -S openat -k credentials",
        "test",
    ).rules
    rules = rules_for(("/etc", "/etc/ssh", "/etcetera", "/opt/secret", str(tmp_path / "with space")), others)
    assert {rule.text.split(" -F ")[3].split(" -S")[0] for rule in rules} == {
        "path=/etcetera",
        "path=/opt/secret",
        f"'dir={tmp_path}/with space'",
    }
    assert all(rule.mask != (0xFFFFFFFF,) for rule in rules)
    assert all("-S open," in rule.text for rule in rules)


def test_homes_are_filled_in_and_paths_in_others_left_out(tmp_path: Path) -> None:
    """Links are followed once, at the start; what lies in another path needs no place of its own."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    paths = (str(tmp_path / "real" / "below"), "{home}/.ssh", str(tmp_path / "link"), "/nowhere")
    expanded = expand_homes(paths, ("/root", "/home/a"))
    assert expanded == tuple(sorted(["/root/.ssh", "/home/a/.ssh", str(tmp_path / "real"), "/nowhere"]))


def test_the_bucket_gives_so_many_bytes_a_second() -> None:
    """Full at first, then what the time brings, never more than it holds; a share may be left to others."""
    now = [0.0]
    bucket = TokenBucket(100, 1000, lambda: now[0])
    assert bucket.take(1000)
    assert not bucket.take(1)
    now[0] = 5
    assert bucket.take(400)
    assert not bucket.take(200)
    now[0] = 1000
    assert not bucket.take(600, leave=0.5)
    assert bucket.take(500, leave=0.5)
    assert bucket.take(500)
    assert not bucket.take(1)


def _told(path: str, activity_id: int, *, pid: int = 7, uid: str = "fe:00:5", code: str = "openat") -> Event:
    values: dict[str, Value] = {
        "time": 1,
        "activity_id": activity_id,
        "status_id": 1,
        "metadata.event_code": code,
        "file.path": path,
        "file.uid": uid,
    }
    return Event(1001, values, (), {"actor.process.pid": pid})


def test_audit_events_are_found_by_path_inode_or_relative_name() -> None:
    """The same process, the same kind, and the same file by any of its names; each is taken once."""
    held = HeldEvents(lambda path: path.startswith("/etc/"))
    for path in ("/etc/a", "b", "/container/c"):
        held.hold(_told(path, 3, uid=f"fe:00:{ord(path[-1])}"), 1.0)
    assert held.take(8, ("content",), ("/etc/a",), "") == []
    assert held.take(7, ("delete",), ("/etc/a",), "") == []
    assert len(held.take(7, ("content",), ("/etc/a",), "")) == 1
    assert held.take(7, ("content",), ("/etc/a",), "") == []
    assert len(held.take(7, ("content",), ("/etc/dir/b",), "")) == 1
    assert len(held.take(7, ("content",), ("/etc/c",), f"fe:00:{ord('c')}")) == 1
    assert len(held) == 0


def test_what_nothing_is_told_about_is_let_go_in_time() -> None:
    """Only what is old enough leaves; the rest stays to be found."""
    held = HeldEvents(lambda path: path.startswith("/etc/"))
    held.hold(_told("/a", 3), 1.0)
    held.hold(_told("/b", 4), 2.0)
    assert [one.paths for one in held.expire(1.5)] == [("/a",)]
    assert len(held) == 1
    assert len(held.expire(2.0)) == 1
    assert not held.knows(7)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [({}, True), ({"status_id": 2}, False), ({"activity_id": 14}, False), ({"activity_id": 12}, False)],
)
def test_only_changes_that_were_made_are_wanted(changes: dict[str, Value], wanted: bool) -> None:  # noqa: FBT001 - a case
    """Neither attempts that failed, nor reading, nor mounts."""
    event = _told("/etc/a", 3)
    event.values |= changes
    assert is_change(event) is wanted


def _notice(mask: int, pid: int, *infos: bytes) -> bytes:
    body = b"".join(infos)
    return struct.pack("=IBBHQii", 24 + len(body), 3, 0, 24, mask, -1, pid) + body


def _name(kind: int, handle: bytes, name: bytes) -> bytes:
    tail = name + b"\0" * (4 - len(name) % 4)
    body = b"fsidfsid" + struct.pack("=Ii", len(handle), 1) + handle + tail
    return struct.pack("=BBH", kind, 0, 4 + len(body)) + body


def test_notices_are_read_whatever_else_the_kernel_says() -> None:
    """Names of both sides of a rename; kinds of information that are not known are skipped."""
    buffer = _notice(0x10000000, 5, _name(10, b"old-", b"a"), _name(99, b"what", b""), _name(12, b"new-", b"b"))
    buffer += _notice(0x4000, 0)
    first, second = parse(buffer)
    assert (first.name, first.new_name, first.pid) == ("a", "b", 5)
    assert first.folder == b"fsidfsid" + struct.pack("=Ii", 4, 1) + b"old-"
    assert second == Notice(0x4000, 0)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 10, 12, 77]), st.binary(max_size=8), st.binary(max_size=20))))
def test_any_information_in_a_notice_is_read(infos: list[tuple[int, bytes, bytes]]) -> None:
    """Every well-formed notice gives one, with whatever parts; the next one is found."""
    parts = [_name(kind, handle, name.replace(b"\0", b"")) for kind, handle, name in infos]
    found = parse(_notice(2, 5, *parts) + _notice(8, 6))
    assert [(notice.mask, notice.pid) for notice in found] == [(2, 5), (8, 6)]
