"""Client certificates over real TLS: issued when a host joins, wanted with every batch, renewed without a person."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.agent.config import SpoolSettings
from tocsin.agent.deliver.certificate import ClientCertificate
from tocsin.agent.deliver.ship import Shipper
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.deliver.transport import Answer, Transport
from tocsin.agent.enroll import enroll
from tocsin.agent.identity import (
    Certificate,
    Identity,
    certificate_file,
    load_certificate,
    load_key,
    save_certificate,
)
from tocsin.agent.operate.health import Health
from tocsin.agent.policy.delivered import Follower
from tocsin.config import load_settings
from tocsin.ingest.authority import fingerprint
from tocsin.model import wire
from tocsin.model.event import Event
from tocsin.state.engine import open_state
from tocsin.testing import wait_for
from tocsin.wiring.processes.first_start import make_enrolment_token

pytestmark = pytest.mark.slow
ADDRESS = "127.0.0.2"  # on every Linux host, and not taken for loopback, so served over TLS
WITHIN_S = 60.0


class Gateway:
    """A gateway that wants certificates."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind((ADDRESS, 0))
            self.port = free.getsockname()[1]
        self.url, self.data = f"https://{ADDRESS}:{self.port}", folder / "data"
        config = folder / "tocsin.toml"
        config.write_text(f'host = "{ADDRESS}"\nport = {self.port}\nagent_certificates = "required"\n')
        command = [sys.executable, "-m", "tocsin.cli", "serve", "gateway"]
        options = ["--config", str(config), "--data-dir", str(self.data)]
        self.process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
        wait_for(self._answers, WITHIN_S, "a gateway that listens")

    def _answers(self) -> bool:
        try:
            socket.create_connection((ADDRESS, self.port), 1).close()
        except OSError:
            return False
        return True

    def enroll(self, folder: Path) -> Identity:
        engine = open_state(load_settings(data_dir=self.data).state)
        token = make_enrolment_token(engine, "default", uses=1, hours=1, now_ms=time.time_ns() // 1_000_000)
        engine.dispose()
        return enroll(self.url, f"{token}@sha256:{fingerprint(self.data / 'tls')}", folder)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that answers."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    yield gateway
    gateway.process.terminate()
    gateway.process.wait(15)


def post_batch(transport: Transport, identity: Identity, key: Ed25519PrivateKey, sequence: int = 0) -> Answer:
    position = wire.ChainPosition(identity.org, identity.agent_id, "boot", 1, sequence, b"")
    payload, _ = wire.seal(wire.encode_sections([Event(1007, {"time": 1})]), position, key, created_at=1)
    return transport.post("/ingest/batch", payload, {})


def test_a_batch_comes_with_its_senders_certificate(gateway: Gateway, tmp_path: Path) -> None:
    """With the agent's own it is taken; without one the answer says what is wanted; with another's it is refused."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    identity, _ = gateway.enroll(mine), gateway.enroll(other)
    key = load_key(mine)
    transport = Transport(identity.server, identity.ca)
    refused = post_batch(transport, identity, key)
    assert (refused.status, refused.title) == (403, "CertificateWanted"), refused
    transport.show(certificate_file(other))
    refused = post_batch(transport, identity, key)
    assert (refused.status, refused.title) == (403, "NotAllowed"), refused
    assert "is not that of agent" in refused.detail
    transport.show(certificate_file(mine))
    assert post_batch(transport, identity, key).status == 200
    transport.close()


class Host:
    """An agent's spool and shipper."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.key, self.health = load_key(folder), Health("test")
        self.spool = Spool(folder / "spool", SpoolSettings(), identity, self.key, "boot")
        transport = Transport(identity.server, identity.ca)
        certificate = ClientCertificate(folder, self.key, transport)
        self.shipper = Shipper(self.spool, transport, identity, self.key, self.health, Follower(folder), certificate)

    def send(self) -> None:
        sections = wire.encode_sections([Event(1007, {"time": 1})])
        self.spool.append(*wire.seal(sections, self.spool.position, self.key, created_at=0))
        self.shipper.start()
        wait_for(lambda: not self.spool.waiting, WITHIN_S, "an empty spool")
        self.shipper.stop(1)


def test_an_agent_without_a_certificate_gets_one_by_itself(gateway: Gateway, tmp_path: Path) -> None:
    """One that enrolled before certificates were wanted asks for its own, signed with its key, and goes on."""
    identity = gateway.enroll(tmp_path)
    (tmp_path / "agent.pem").unlink()
    (tmp_path / "certificate.json").unlink()
    Host(tmp_path, identity).send()
    assert load_certificate(tmp_path).not_after > time.time() * 1000


def test_a_certificate_is_renewed_in_time(gateway: Gateway, tmp_path: Path) -> None:
    """One that is due is exchanged while batches go on, and is another one then."""
    identity = gateway.enroll(tmp_path)
    first = load_certificate(tmp_path)
    save_certificate(tmp_path, msgspec.structs.replace(first, renew_at=1), load_key(tmp_path))
    Host(tmp_path, identity).send()
    wait_for(lambda: load_certificate(tmp_path).certificate != first.certificate, WITHIN_S, "another certificate")
    assert load_certificate(tmp_path).renew_at > time.time() * 1000


def test_one_that_has_expired_is_not_shown_and_replaced(gateway: Gateway, tmp_path: Path) -> None:
    """A host that was switched off for months comes back without a person."""
    identity = gateway.enroll(tmp_path)
    first = load_certificate(tmp_path)
    expired = Certificate(first.certificate, 1, 2)
    save_certificate(tmp_path, expired, load_key(tmp_path))
    Host(tmp_path, identity).send()
    assert load_certificate(tmp_path).not_after > time.time() * 1000
