"""Batches reach a real server once, whatever it answers on the way."""

from __future__ import annotations

import datetime as dt
import ipaddress
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.receiving import Answer, Server
from tocsin.agent.config import SpoolSettings
from tocsin.agent.deliver import ship
from tocsin.agent.deliver.ship import Shipper
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.deliver.transport import Transport
from tocsin.agent.identity import Identity
from tocsin.agent.operate.health import Health
from tocsin.agent.policy.delivered import Follower
from tocsin.model.errors import InvalidSetting, Unreachable
from tocsin.model.event import Event
from tocsin.model.wire import encode_sections, seal

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that knows the key."""
    server = Server()
    server.key = KEY.public_key()
    with server.listening():
        yield server


class Sender:
    """A spool and its shipper."""

    def __init__(self, folder: Path, url: str) -> None:
        identity = Identity(url, "acme", "a1")
        self.health = Health("test")
        self.spool = Spool(folder, SpoolSettings(), identity, KEY, "boot")
        self.shipper = Shipper(self.spool, Transport(url), identity, KEY, self.health, Follower(folder))

    def send(self, batches: int) -> None:
        for i in range(batches):
            sections = encode_sections([Event(1007, {"time": i})])
            self.spool.append(*seal(sections, self.spool.position, KEY, created_at=0))

    def ill(self) -> str:
        module = self.health.snapshot().modules.get("ship")
        return "" if module is None or module.healthy else module.reason


def _eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, b'{"detail": "the log is full"}'), "the server answered 503 the log is full"),
        ((429, b""), "the server answered 429"),
        ((200, b"<html>welcome</html>"), "is not a receipt; is the URL Tocsin's?"),
        ((200, b'{"epoch": 0, "next": 0}'), "acknowledged only up to batch 0"),
        ((401, b'{"detail": "not enrolled"}'), "does not accept this agent: not enrolled; enrol it again"),
        ((403, b""), "does not accept this agent: 403"),
    ],
)
def test_a_batch_is_sent_again_until_it_is_taken(
    tmp_path: Path, server: Server, answer: tuple[int, bytes], reason: str
) -> None:
    """A failure is named in the health, and costs neither a batch nor the order."""
    sender = Sender(tmp_path, server.url)
    server.answers = [answer]
    sender.send(3)
    sender.shipper.start()
    _eventually(lambda: reason in sender.ill())
    _eventually(lambda: sender.spool.waiting == 0)
    sender.shipper.stop(1)
    assert [header.sequence for header in server.headers] == [0, 1, 2]
    assert sender.health.snapshot().modules["ship"].healthy
    assert sender.health.snapshot().counters["shipped"] == 3


def test_a_server_that_is_away_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    """While connections are refused the batches wait; then all of them arrive, in order."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sender = Sender(tmp_path, f"http://127.0.0.1:{port}")
    sender.send(4)
    sender.shipper.start()
    _eventually(lambda: "did not answer" in sender.ill())
    assert not sender.shipper.online
    server = Server()
    server.key = KEY.public_key()
    with server.listening(port):
        _eventually(lambda: sender.spool.waiting == 0)
        sender.shipper.stop(1)
    assert [header.sequence for header in server.headers] == [0, 1, 2, 3]


def test_what_has_piled_up_is_sent_many_at_a_time(tmp_path: Path, server: Server) -> None:
    """Twice as many after each success, up to a limit; every batch arrives once and in order."""
    sender = Sender(tmp_path, server.url)
    sender.send(200)
    sender.shipper.start()
    _eventually(lambda: sender.spool.waiting == 0)
    sender.shipper.stop(1)
    assert server.together == [2, 4, 8, 16, 32, 64, 64, 9]
    assert [header.sequence for header in server.headers] == list(range(200))
    assert sender.health.snapshot().counters["shipped"] == 200


@pytest.mark.parametrize(
    ("answer", "together"),
    [
        ((503, b"later"), [2, 4, 4]),
        ((400, b"one of them"), [2, 4, 4]),
        ((200, b"<html>welcome</html>"), [2, 4, 4]),
        ((404, b"an older server"), []),
    ],
)
def test_what_goes_wrong_with_many_is_asked_of_one(
    tmp_path: Path, server: Server, answer: tuple[int, bytes], together: list[int]
) -> None:
    """After any answer but a receipt batches go one by one again; with a server that knows no other way for good."""
    sender = Sender(tmp_path, server.url)
    server.answers_together = [answer]
    sender.send(12)
    sender.shipper.start()
    _eventually(lambda: sender.spool.waiting == 0)
    sender.shipper.stop(1)
    assert server.together == together
    assert [header.sequence for header in server.headers] == list(range(12))
    assert "refused" not in {name for name, count in sender.health.snapshot().counters.items() if count}


class Fickle(Server):
    """Takes a request or not, and says so or not."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def batch(self, body: bytes) -> Answer:
        return self._perhaps(lambda: super(Fickle, self).batch(body))

    def batches(self, body: bytes) -> Answer:
        parts = msgspec.msgpack.decode(body, type=list[bytes])
        return self._perhaps(lambda: [super(Fickle, self).batch(part) for part in parts][-1])

    def _perhaps(self, take: Callable[[], Answer]) -> Answer:
        failure: Answer = self._chance.choice([(503, b""), (429, b""), (200, b"<html>"), (500, b"oops")])
        what = self._chance.random()
        if what < 0.2:
            return failure
        answer = take()
        return failure if what < 0.4 else answer


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_server_answers_each_batch_arrives_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Also when requests are taken and their answers lost, and more is sealed meanwhile: in order, none missing."""
    monkeypatch.setattr(ship, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(ship, "LONGEST_PAUSE_S", 0.01)
    server = Fickle(random.Random(seed))  # noqa: S311 -- repeatable, no secret
    server.key = KEY.public_key()
    with server.listening():
        sender = Sender(tmp_path, server.url)
        sender.send(150)
        sender.shipper.start()
        for _ in range(30):
            sender.send(5)
            time.sleep(0.002)
        _eventually(lambda: sender.spool.waiting == 0, 30)
        sender.shipper.stop(1)
    assert [header.sequence for header in server.headers] == list(range(300))
    assert len(server.events) == 300


def test_a_conflict_goes_on_in_a_later_epoch(tmp_path: Path, server: Server) -> None:
    """An agent whose state was set back signs what waits anew, and loses nothing."""
    sender = Sender(tmp_path, server.url)
    server.answers = [(409, b'{"detail": "epoch 0 is over"}')]
    sender.send(2)
    before = int(time.time())
    sender.shipper.start()
    _eventually(lambda: sender.spool.waiting == 0)
    sender.shipper.stop(1)
    assert [header.sequence for header in server.headers] == [0, 1]
    assert all(header.epoch >= before for header in server.headers)
    assert len(server.events) == 2


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_for_good_leaves_its_tombstone(tmp_path: Path, server: Server, status: int) -> None:
    """It is counted, its signed header still arrives, and the next batch follows."""
    sender = Sender(tmp_path, server.url)
    server.answers = [(status, b"")]
    sender.send(2)
    sender.shipper.start()
    _eventually(lambda: sender.spool.waiting == 0)
    sender.shipper.stop(1)
    assert [header.sequence for header in server.headers] == [0, 1]
    assert len(server.events) == 1
    assert sender.health.snapshot().counters["refused"] == 1


def test_the_health_is_reported_signed(tmp_path: Path, server: Server) -> None:
    """The server hears how the agent is."""
    sender = Sender(tmp_path, server.url)
    sender.health.well("audit")
    sender.shipper.start()
    _eventually(lambda: bool(server.health))
    sender.shipper.stop(1)
    assert server.health[0]["modules"] == {"audit": {"healthy": True, "reason": ""}}


def test_stopping_does_not_wait_for_a_server_that_is_away(tmp_path: Path) -> None:
    """What is not sent stays in the spool."""
    sender = Sender(tmp_path, "http://127.0.0.1:9")
    sender.send(1)
    sender.shipper.start()
    _eventually(lambda: not sender.shipper.online)
    began = time.monotonic()
    sender.shipper.stop(3)
    assert time.monotonic() - began < 2
    assert sender.spool.waiting == 1
    assert ship.LONGEST_PAUSE_S > 3


def _authority() -> tuple[str, bytes]:
    """A self-signed certificate for 127.0.0.1 as PEM, and the certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tocsin test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode(), pem + private


def test_only_the_enrolled_authority_is_trusted(tmp_path: Path) -> None:
    """Over TLS the server must have a certificate of the authority that enrolment named, and of no other."""
    pem, both = _authority()
    (tmp_path / "server.pem").write_bytes(both)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = Server()
    with server.listening():
        assert server._http is not None
        server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        trusting = Transport(url, pem)
        assert trusting.post("/ingest/enroll", b'{"token": "bad"}', {}).status == 403
        trusting.close()
        with pytest.raises(Unreachable, match="not to be trusted: self-signed certificate"):
            Transport(url, _authority()[0]).post("/ingest/enroll", b"{}", {})


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """What a server closes after a pause, which it may without a word, costs no request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_one() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        transport = Transport(f"http://127.0.0.1:{server.getsockname()[1]}")
        for _ in range(2):
            thread = threading.Thread(target=answer_one)
            thread.start()
            assert transport.fetch("/").body == b"ok"
            thread.join()
        transport.close()


def test_a_server_must_be_a_url() -> None:
    """A host without a scheme is refused with an example."""
    with pytest.raises(InvalidSetting, match="such as https://"):
        Transport("tocsin.example:8321")
