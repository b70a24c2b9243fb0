"""HTTP for hosts that join: enrolment by token, clones of an image, the authority, client certificates."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.ingest.answers import answer, named_sender, problem, read_small, signature
from tocsin.ingest.certificates import AgentCertificates, Issued
from tocsin.ingest.senders import Cloned, Enrolment, Senders, enroll, join_as_clone
from tocsin.model.errors import NotFound
from tocsin.ports import Clock

__all__ = ["Joined", "joining_routes"]

_log = structlog.get_logger(__name__)


class Joined(msgspec.Struct, frozen=True):
    """What a host learns when it joins."""

    org: str
    agent_id: str
    ca: str
    certificate: str = ""
    renew_at: int = 0
    not_after: int = 0


class _Renewal(msgspec.Struct, frozen=True):
    """The wish for a new certificate; the time keeps a signature from being good for ever."""

    at: int


def joining_routes(
    senders: Senders,
    engine: sa.Engine,
    clock: Clock,
    certificates: AgentCertificates,
    *,
    ca_pem: str,
    clones_a_day: int,
) -> list[Route]:
    """The routes by which agents come to be known."""

    def joined(org: str, uid: str, public_key: bytes) -> Joined:
        try:
            issued = certificates.issue(org, uid, Ed25519PublicKey.from_public_bytes(public_key), clock.now_ms())
        except NotFound:
            issued = Issued()
        return Joined(org, uid, ca_pem, issued.certificate, issued.renew_at, issued.not_after)

    async def enrol(request: Request) -> Joined:
        _, enrolment = await read_small(request, Enrolment, "enrolment")
        with engine.begin() as connection:
            org, uid = enroll(connection, enrolment, clock.now_ms())
        _log.info("agent enrolled", org=org, agent=uid, hostname=enrolment.hostname)
        return joined(org, uid, enrolment.public_key)

    async def clone(request: Request) -> Joined:
        """A host that was started from another one's image, with that one's key, joins with a key of its own."""
        body, cloned = await read_small(request, Cloned, "clone")
        org, parent = named_sender(request)
        senders.verify(org, parent, signature(request), body)
        with engine.begin() as connection:
            uid = join_as_clone(connection, org, parent, cloned, clock.now_ms(), clones_a_day)
        _log.info("clone joined", org=org, agent=uid, cloned_from=parent, hostname=cloned.hostname)
        return joined(org, uid, cloned.public_key)

    async def certificate(request: Request) -> Issued:
        """A new client certificate for the agent that signed the wish; it need not show the old one."""
        body, _ = await read_small(request, _Renewal, "wish for a certificate")
        org, uid = named_sender(request)
        senders.verify(org, uid, signature(request), body)
        return certificates.issue(org, uid, senders.key(org, uid), clock.now_ms())

    async def ca(request: Request) -> Response:
        """For who checks it by its fingerprint; nothing secret is in it."""
        del request
        if not ca_pem:
            return problem(NotFound("this server has no certificate authority of its own: it is not served over TLS"))
        return Response(ca_pem, media_type="application/x-pem-file")

    return [
        Route("/ingest/enroll", answer(enrol), methods=["POST"]),
        Route("/ingest/clone", answer(clone), methods=["POST"]),
        Route("/ingest/certificate", answer(certificate), methods=["POST"]),
        Route("/ingest/ca", ca, methods=["GET"]),
    ]
