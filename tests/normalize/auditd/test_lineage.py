"""Parents and identities from a log alone."""

from __future__ import annotations

import json

from ocsf_schema import problems
from tocsin.model.event import Event
from tocsin.normalize.auditd import read_events


def _launch(serial: int, pid: int, ppid: int, exe: str, *arguments: str, node: str = "") -> list[str]:
    prefix = f"node={node} " if node else ""
    head = f"msg=audit(1700000000.{serial:03}:{serial}):"
    who = f'auid=1 uid=33 euid=33 egid=33 tty=(none) ses=1 comm="{exe.rpartition("/")[2]}" exe="{exe}" key=(null)'
    printed = " ".join(f'a{at}="{argument}"' for at, argument in enumerate(arguments))
    return [
        f"{prefix}type=SYSCALL {head} arch=c000003e syscall=59 success=yes exit=0 ppid={ppid} pid={pid} {who}",
        f"{prefix}type=EXECVE {head} argc={len(arguments)} {printed}",
        f'{prefix}type=PROCTITLE {head} proctitle="{exe}"',
    ]


def _events(*lines: list[str]) -> list[Event]:
    found = list(read_events([line.encode() for block in lines for line in block], hostname="h"))
    assert all(isinstance(event, Event) for event in found)
    return [event for event in found if isinstance(event, Event)]


def test_parent_and_ancestors_are_named() -> None:
    """A program start names its parent's executable and arguments, as the log told them before."""
    server, shell, command = _events(
        _launch(1, 10, 1, "/usr/sbin/nginx", "nginx", "-g"),
        _launch(2, 20, 10, "/bin/sh", "sh", "-c", "id"),
        _launch(3, 30, 20, "/usr/bin/id", "id"),
    )
    assert server.values["process.uid"] == "10-r1700000000001.1"
    assert shell.values["process.parent_process.file.path"] == "/usr/sbin/nginx"
    assert shell.values["process.parent_process.cmd_line"] == "nginx -g"
    assert shell.values["actor.process.uid"] == server.values["process.uid"]
    assert command.values["process.parent_process.uid"] == shell.values["process.uid"]
    ancestry = json.loads(str(command.values["process.ancestry"]))
    assert [ancestor["path"] for ancestor in ancestry] == ["/bin/sh", "/usr/sbin/nginx"]
    assert [problems(event) for event in (server, shell, command)] == [[], [], []]


def test_a_new_program_in_the_same_process_keeps_its_identity() -> None:
    """Exec replaces the program, not the process; what the process is called is what it became."""
    first, second, child = _events(
        _launch(1, 10, 5, "/bin/sh", "sh"),
        _launch(2, 10, 5, "/usr/bin/perl", "perl"),
        _launch(3, 11, 10, "/bin/ls", "ls"),
    )
    assert first.values["process.uid"] == second.values["process.uid"]
    assert child.values["process.parent_process.file.path"] == "/usr/bin/perl"


def test_a_reused_id_is_another_process() -> None:
    """The same id under another parent is a new process; under init it is the old one whose parent died."""
    first, orphan, other = _events(
        _launch(1, 10, 5, "/bin/sh", "sh"), _launch(2, 10, 1, "/bin/sh", "sh"), _launch(3, 10, 7, "/bin/sh", "sh")
    )
    assert first.values["process.uid"] == orphan.values["process.uid"]
    assert first.values["process.uid"] != other.values["process.uid"]


def test_machines_do_not_share_processes() -> None:
    """The same ids on two nodes are different processes."""
    _, child = _events(
        _launch(1, 10, 1, "/usr/sbin/nginx", "nginx", node="a"), _launch(2, 20, 10, "/bin/sh", "sh", node="b")
    )
    assert "process.parent_process.file.path" not in child.values


def test_a_log_read_twice_gives_the_same_identities() -> None:
    """Identities come from record time and serial, so a replay gives them again."""
    lines = [*_launch(1, 10, 1, "/usr/sbin/nginx", "nginx"), *_launch(2, 20, 10, "/bin/sh", "sh")]
    assert [event.values for event in _events(lines)] == [event.values for event in _events(lines)]
