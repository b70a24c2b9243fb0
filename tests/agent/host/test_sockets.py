"""The address behind the descriptor of a `listen`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tocsin.agent.host.sockets import with_address
from tocsin.model.event import Event
from tocsin.model.schema import CLASSES
from tocsin.normalize.auditd import Reassembler, map_event, parse_line

GONE = 4_194_304  # above the largest process id
LINE = (
    "type=SYSCALL msg=audit(1700000000.000:7): arch=c000003e syscall=50 success=yes exit=0 a0={fd:x} a1=5 a2=0 a3=0 "
    'items=0 ppid=1 pid={pid} auid=0 uid=0 gid=0 euid=0 egid=0 tty=(none) ses=1 comm="x" exe="/bin/x" key="network"'
)


def _listened(fd: int, pid: int) -> Event:
    reassembler = Reassembler()
    reassembler.push(parse_line(LINE.format(fd=fd, pid=pid).encode()))
    (event,) = reassembler.flush()
    mapped = map_event(event)
    assert mapped.class_uid == 0
    return mapped


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listen_says_where_it_can_be_reached(family: socket.AddressFamily, address: str) -> None:
    """The address that the socket was bound to, with its protocol, as Network Activity, Listen."""
    with socket.create_server((address, 0), family=family) as server:
        event = with_address(_listened(server.fileno(), os.getpid()))
        port = server.getsockname()[1]
    assert event.class_uid == 4001
    values = event.attributes()
    assert set(values) <= CLASSES[4001].paths
    assert (values["activity_id"], values["connection_info.protocol_name"]) == (7, "tcp")
    assert (values["dst_endpoint.ip"], values["dst_endpoint.port"]) == (address, port)
    assert values["actor.process.pid"] == os.getpid()


def test_what_has_no_address_stays_as_it_is(tmp_path: Path) -> None:
    """A Unix socket, a descriptor that is no socket or was closed, a process that has ended."""
    with socket.socket(socket.AF_UNIX) as server, (tmp_path / "file").open("w") as file:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        for fd, pid in ((server.fileno(), os.getpid()), (file.fileno(), os.getpid()), (9999, os.getpid()), (3, GONE)):
            event = _listened(fd, pid)
            assert with_address(event) is event
