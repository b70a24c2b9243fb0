"""Names asked for on this host, seen by the kernel's packet socket."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from name_server import NameServer, encode_query
from tocsin.agent.config import NameSettings
from tocsin.agent.names.sensor import NameSensor
from tocsin.agent.operate.health import Health
from tocsin.model.event import Event, Value
from tocsin.model.schema import CLASSES

pytestmark = pytest.mark.root

SERVER, SIX = "127.77.53.1", "::1"
NAMES = {"known.example": "192.0.2.7"}
SILENT = "silent.example"
ASKING = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 53))
sock.recv(512)
"""


class Listening:
    """A sensor and what it has given."""

    def __init__(self, settings: NameSettings) -> None:
        self.sensor, self.health, self.events = NameSensor(settings, "boot"), Health("test"), list[Event]()
        self.sensor.tick(0, self.health)
        self.until(self._hears)

    def _hears(self) -> bool:
        """Whether the sensor's thread has its socket: then it sees a query that nobody answers here."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(encode_query("ready.example"), ("127.77.53.99", 53))
        return bool(self.sensor._lookups._known)

    def about(self, name: str) -> list[Event]:
        self.events += self.sensor.read(time.time_ns() // 1_000_000)
        return [event for event in self.events if event.values["query.hostname"] == name]

    def until(self, condition: Callable[[], bool], within_s: float = 5) -> None:
        deadline = time.monotonic() + within_s
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert condition()


@pytest.fixture
def listening() -> Iterator[Listening]:
    """A sensor at work."""
    found = Listening(NameSettings())
    yield found
    found.sensor.close()


@pytest.fixture(params=[SERVER, SIX])
def server(request: pytest.FixtureRequest) -> Iterator[NameServer]:
    """A name server on the loopback, of each protocol."""
    with NameServer(request.param, NAMES, SILENT).running() as running:
        yield running


def _ask(server: NameServer, name: str, number: int = 7) -> int:
    """Ask over UDP and await the answer; gives the own port."""
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(encode_query(name, number=number), (server.address, 53))
        sock.recv(512)
        time.sleep(0.05)  # the socket is looked for while it is there
        return int(sock.getsockname()[1])


def test_a_lookup_is_one_event_with_question_answer_and_process(listening: Listening, server: NameServer) -> None:
    """Of a query and its response over UDP: name, type, answers, code, both ends, and who asked; once."""
    port = _ask(server, "known.example")
    listening.until(lambda: bool(listening.about("known.example")))
    time.sleep(0.3)
    (event,) = listening.about("known.example")
    values = event.values
    assert (event.class_uid, values["activity_id"], values["rcode"]) == (4003, 6, "NoError")
    assert json.loads(str(values["answers"])) == [{"rdata": "192.0.2.7", "type": "A", "ttl": 60}]
    assert (values["dst_endpoint.ip"], values["dst_endpoint.port"]) == (server.address, 53)
    assert values["src_endpoint.port"] == port
    assert (values["actor.process.pid"], values["unmapped.process_found_by"]) == (os.getpid(), "socket")
    assert values["actor.process.file.path"] == str(Path("/proc/self/exe").resolve())
    assert event.values.keys() <= CLASSES[4003].paths


def test_a_name_that_does_not_exist_is_a_failure(listening: Listening, server: NameServer) -> None:
    """NXDOMAIN is the response code, and there are no answers."""
    _ask(server, "unknown.example")
    listening.until(lambda: bool(listening.about("unknown.example")))
    (event,) = listening.about("unknown.example")
    assert (event.values["rcode"], event.values["rcode_id"], event.values["status_id"]) == ("NXDomain", 3, 2)
    assert "answers" not in event.values


def test_a_lookup_over_tcp(listening: Listening, server: NameServer) -> None:
    """The same over TCP."""
    query = encode_query("known.example", number=9)
    with socket.create_connection((server.address, 53)) as sock:
        sock.sendall(struct.pack("!H", len(query)) + query)
        assert sock.recv(512)
        listening.until(lambda: bool(listening.about("known.example")))
    (event,) = listening.about("known.example")
    assert (event.values["activity_id"], event.values["connection_info.protocol_name"]) == (6, "tcp")
    assert event.values["actor.process.pid"] == os.getpid()


def test_a_query_without_an_answer_is_told_in_the_end(listening: Listening) -> None:
    """Nobody answers: a Query, once the sensor is closed or five seconds have passed."""
    with NameServer(SERVER, NAMES, SILENT).running(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(2):  # asked again: still one lookup
            sock.sendto(encode_query(SILENT), (SERVER, 53))
        time.sleep(0.1)
        assert listening.about(SILENT) == []
        listening.sensor.finish()
        (event,) = listening.about(SILENT)
    assert event.values["activity_id"] == 1
    assert "rcode" not in event.values


def test_a_process_that_ends_at_once_is_named_by_its_connect(listening: Listening) -> None:
    """A lookup whose socket is gone takes the process from audit's connect to the same server, if it is only one."""
    with NameServer(SERVER, NAMES).running():
        query = encode_query("known.example", number=3).hex()
        asked_ms = time.time_ns() // 1_000_000
        subprocess.run([sys.executable, "-c", ASKING, SERVER, query], check=True)
    connect: dict[str, Value] = {
        "time": asked_ms,
        "dst_endpoint.ip": SERVER,
        "dst_endpoint.port": 53,
        "actor.process.pid": 4321,
        "actor.process.name": "dig",
    }
    lookups = listening.sensor._done
    listening.until(lambda: bool(lookups))
    for lookup in lookups:
        lookup.actor = {}  # as if it had been too late
        lookup.time_ms = asked_ms + 1
    listening.sensor.hear([Event(4001, connect)])
    listening.until(lambda: bool(listening.about("known.example")))
    (event,) = listening.about("known.example")
    assert (event.values["actor.process.pid"], event.values["unmapped.process_found_by"]) == (4321, "connect")


def test_more_than_the_settings_allow_is_counted() -> None:
    """Of a flood so many packets are looked at; every other one is counted, here or as dropped by the kernel."""
    found = Listening(NameSettings(max_packets_per_s=20))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(200):
                sock.sendto(encode_query("flood.example", number=number), (SERVER, 53))
        found.until(lambda: sum(found.sensor._counted.values()) > 100)
        assert found.sensor.losses()["names_limited"] > 100
        assert found.sensor.losses() == {}
        found.sensor.finish()
        assert len(found.about("flood.example")) <= 40
    finally:
        found.sensor.close()


def test_what_is_no_dns_is_counted(listening: Listening) -> None:
    """Other packets of port 53 end nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"\0" * 5, (SERVER, 53))
        sock.sendto(encode_query("x.example")[:14], (SERVER, 53))
    listening.until(lambda: listening.sensor._counted["names_unreadable"] == 2)
    assert listening.sensor.losses() == {"names_unreadable": 2}
