"""Make the agent known to a server: a one-time token for a key that never leaves the host."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import platform
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.deliver.transport import Transport
from tocsin.agent.identity import (
    Certificate,
    Identity,
    finish_taking,
    load_identity,
    load_key,
    make_key,
    next_key,
    save_certificate,
    save_identity,
    take_next_key,
)
from tocsin.model.errors import InvalidSetting, NotAllowed, TryLater

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tocsin.agent.deliver.transport import Answer

__all__ = ["enroll", "host_facts", "own_identity"]

OK: Final = 200
FORBIDDEN: Final = {401, 403}
SERVER_ERROR: Final = 500
FINGERPRINT: Final = "@sha256:"


class _Enrolled(msgspec.Struct):
    org: str
    agent_id: str
    ca: str = ""
    certificate: str = ""
    renew_at: int = 0
    not_after: int = 0


def enroll(server: str, token: str, state_dir: Path, ca: str = "") -> Identity:
    """Register this host's key and keep the answer in the state folder.

    `ca` is the authority to trust for this first request, as the server's own is only learnt from the answer. A token
    that ends in the authority's fingerprint, TOKEN@sha256:HEX, needs none: the authority is fetched from the server,
    and the token is only sent to a server with a certificate of the authority that has this fingerprint.

    Raises:
        NotAllowed: the token is unknown, expired or used, or the server's authority is not the one of the token.
        TryLater: the server does not answer, or not now.
        InvalidSetting: the URL is not a Tocsin server's.
    """
    token, named, expected = token.partition(FINGERPRINT)
    if named and not ca:
        ca = _known_authority(server, expected)
    key = make_key(state_dir)
    body = {
        "token": token,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "hostname": socket.gethostname(),
        "host": host_facts(),
    }
    transport = Transport(server, ca)
    answer = transport.post("/ingest/enroll", msgspec.json.encode(body), {"Content-Type": "application/json"})
    transport.close()
    enrolled = _enrolled(answer, server)
    identity = Identity(server, enrolled.org, enrolled.agent_id, enrolled.ca, host_facts()["machine_id"])
    save_identity(state_dir, identity)
    _keep_certificate(state_dir, enrolled, key)
    return identity


def own_identity(state_dir: Path, machine_id: str) -> Identity:
    """The identity in the state folder, if it is this machine's; on a clone of that machine one of its own.

    The clone makes a key, asks the server in the name of the key that it was cloned with, and is an agent of its own
    from then on. What the other one had spooled is left to that one.

    Raises:
        InvalidSetting: nobody is enrolled here.
        NotAllowed: the server lets no more clones join by themselves.
        TryLater: the server does not answer; nothing may be sent in the other one's name meanwhile.
    """
    identity = load_identity(state_dir)
    if identity.machine_id == machine_id or not machine_id:
        finish_taking(state_dir)
        return identity
    if not identity.machine_id:  # enrolled before it was noted
        identity = msgspec.structs.replace(identity, machine_id=machine_id)
        save_identity(state_dir, identity)
        return identity
    return _join_as_clone(state_dir, identity, machine_id)


def _join_as_clone(state_dir: Path, parent: Identity, machine_id: str) -> Identity:
    key, parents_key = next_key(state_dir), load_key(state_dir)
    body = msgspec.json.encode(
        {
            "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
            "hostname": socket.gethostname(),
            "host": host_facts(),
        }
    )
    headers = {
        "Content-Type": "application/json",
        "Tocsin-Org": parent.org,
        "Tocsin-Agent": parent.agent_id,
        "Tocsin-Signature": base64.b64encode(parents_key.sign(body)).decode(),
    }
    transport = Transport(parent.server, parent.ca)
    try:
        joined = _enrolled(transport.post("/ingest/clone", body, headers), parent.server)
    finally:
        transport.close()
    identity = msgspec.structs.replace(parent, agent_id=joined.agent_id, machine_id=machine_id)
    take_next_key(state_dir, identity)
    _keep_certificate(state_dir, joined, key)
    return identity


def _keep_certificate(state_dir: Path, enrolled: _Enrolled, key: Ed25519PrivateKey) -> None:
    if enrolled.certificate:
        issued = Certificate(enrolled.certificate, enrolled.renew_at, enrolled.not_after)
        save_certificate(state_dir, issued, key)


def _known_authority(server: str, expected: str) -> str:
    """The server's authority, taken from whoever answers, if it has the fingerprint."""
    if not server.startswith("https:"):
        raise InvalidSetting(f"the token is for a server with a certificate: {server} must begin with https://")
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    transport = Transport(server, context=anybody)
    answer = transport.fetch("/ingest/ca")
    transport.close()
    try:
        pem = answer.body.decode("ascii")
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError as error:
        raise InvalidSetting(f"{server} has no authority to show: {answer.status} {answer.detail}".rstrip()) from error
    if not hmac.compare_digest(found, expected.lower()):
        raise NotAllowed(
            f"{server} shows an authority that is not the token's: {found}; somebody else may be answering"
        )
    return pem


def _enrolled(answer: Answer, server: str) -> _Enrolled:
    if answer.status in FORBIDDEN:
        raise NotAllowed(answer.detail or "the server does not accept the token")
    if answer.status >= SERVER_ERROR:
        raise TryLater(f"the server answered {answer.status} {answer.detail}".rstrip())
    try:
        if answer.status == OK:
            return msgspec.json.decode(answer.body, type=_Enrolled)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    raise InvalidSetting(f"{server} did not answer as a Tocsin server does: {answer.status} {answer.detail}".rstrip())


def host_facts() -> dict[str, str]:
    """What tells this host from others."""
    release = _os_release()
    return {
        "os": release.get("PRETTY_NAME", platform.system()),
        "os_name": release.get("NAME", platform.system()),
        "os_version": release.get("VERSION_ID", ""),
        "kernel": os.uname().release,
        "arch": os.uname().machine,
        "machine_id": _line("/etc/machine-id"),
        "boot_id": _line("/proc/sys/kernel/random/boot_id"),
    }


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
