"""Client certificates of agents: issued for the key that an agent has anyway, checked against who says it sends."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from starlette.requests import Request

from tocsin.ingest.authority import authority
from tocsin.model.errors import NotAllowed, NotFound

__all__ = ["PEER", "AgentCertificates", "CertificateWanted", "Issued", "Mode"]

PEER = "tocsin.peer"  # where a connection's certificate is in the scope of its requests: the subject's common name
_DAYS, _RENEW_AFTER_DAYS = 30, 20
_DAY_MS = 86_400_000


class CertificateWanted(NotAllowed):
    """The sender must show its client certificate; it gets one from /ingest/certificate."""


class Issued(msgspec.Struct, frozen=True):
    """A certificate, and when it wants to be renewed."""

    certificate: str = ""  # PEM; none if this server issues none
    renew_at: int = 0  # ms
    not_after: int = 0  # ms


class Mode(msgspec.Struct, frozen=True):
    """Whether certificates are issued, and whether they must be shown."""

    issued: bool = False
    required: bool = False


class AgentCertificates:
    """What this server's authority says about agents."""

    def __init__(self, folder: Path, mode: Mode, lifetime_days: float = _DAYS) -> None:
        self._folder, self._mode, self._lifetime = folder, mode, dt.timedelta(days=lifetime_days)

    def issue(self, org: str, agent_id: str, public_key: Ed25519PublicKey, now_ms: int) -> Issued:
        """A client certificate for an agent's key.

        Raises:
            NotFound: this server issues none.
        """
        if not self._mode.issued:
            raise NotFound("this server issues no client certificates (setting agent_certificates)")
        key, ca = authority(self._folder)
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _name(org, agent_id))])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + self._lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        lifetime_ms = int(self._lifetime.total_seconds() * 1000)
        renew_at = now_ms + lifetime_ms * _RENEW_AFTER_DAYS // _DAYS
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Issued(pem, renew_at, now_ms + lifetime_ms)

    def check(self, request: Request, org: str, agent_id: str) -> None:
        """Make sure that the connection is the sender's own.

        Raises:
            CertificateWanted: one must be shown, and was not.
            NotAllowed: the one shown is another agent's.
        """
        shown = request.scope.get(PEER)
        if shown is None and self._mode.required:
            raise CertificateWanted("this server wants the agent's client certificate (setting agent_certificates)")
        if shown is not None and shown != _name(org, agent_id):
            raise NotAllowed(f"the connection's certificate is not that of agent {agent_id}")


def _name(org: str, agent_id: str) -> str:
    return f"{agent_id}.{org}"[:64]
