"""A host joins over the network with nothing but the printed token: a real server, its own authority, real TLS."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.agent.deliver.transport import Transport
from tocsin.agent.enroll import enroll
from tocsin.agent.identity import load_identity
from tocsin.model.errors import NotAllowed, Unreachable

pytestmark = pytest.mark.slow

ADDRESS = "127.0.0.2"  # on every Linux host, and not taken for loopback, so served over TLS
WITHIN_S = 60


class Gateway:
    """A gateway over TLS, and the tokens that its command line prints."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"https://{ADDRESS}:{port}"
        self._config, self._data = folder / "tocsin.toml", folder / "data"
        self._config.write_text(f'host = "{ADDRESS}"\nport = {port}\n')
        self.process = subprocess.Popen([*self._command("serve", "gateway")], stderr=subprocess.DEVNULL)

    def _command(self, *arguments: str) -> list[str]:
        options = ["--config", str(self._config), "--data-dir", str(self._data)]
        return [sys.executable, "-m", "tocsin.cli", *arguments, *options]

    def token(self) -> str:
        done = subprocess.run(self._command("agent", "token", "--json"), capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["server"] == self.url
        return str(json.loads(done.stdout)["token"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that answers."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), port)
    try:
        deadline = time.monotonic() + WITHIN_S
        while not _answers(port):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield gateway
    finally:
        gateway.process.terminate()
        gateway.process.wait(15)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), 1).close()
    except OSError:
        return False
    return True


def test_the_printed_token_is_all_a_host_needs(gateway: Gateway, tmp_path: Path) -> None:
    """The authority comes from the server, is checked against the token, and is trusted from then on."""
    identity = enroll(gateway.url, gateway.token(), tmp_path)
    assert load_identity(tmp_path) == identity
    trusting = Transport(identity.server, identity.ca)
    assert trusting.fetch("/ingest/ca").body.decode() == identity.ca
    trusting.close()


def test_another_authority_does_not_get_the_token(gateway: Gateway, tmp_path: Path) -> None:
    """Whoever answers with an authority that is not the token's is refused, and the token is still good."""
    whole = gateway.token()
    token, _, fingerprint = whole.partition("@sha256:")
    with pytest.raises(NotAllowed, match="is not the token's"):
        enroll(gateway.url, f"{token}@sha256:{fingerprint[::-1]}", tmp_path / "deceived")
    assert enroll(gateway.url, whole, tmp_path / "again").agent_id


def test_without_a_fingerprint_the_error_says_what_to_do(gateway: Gateway, tmp_path: Path) -> None:
    """A server that nothing vouches for is not talked to; the person reads which command prints the whole token."""
    bare = gateway.token().partition("@")[0]
    with pytest.raises(Unreachable, match=r"not to be trusted.*tocsin agent token.*--ca FILE"):
        enroll(gateway.url, bare, tmp_path)
