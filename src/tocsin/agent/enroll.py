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
from tocsin.agent.identity import Identity, make_key, save_identity
from tocsin.model.errors import InvalidSetting, NotAllowed, TryLater

if TYPE_CHECKING:
    from tocsin.agent.deliver.transport import Answer

__all__ = ["enroll", "host_facts"]

OK: Final = 200
FORBIDDEN: Final = {401, 403}
SERVER_ERROR: Final = 500
FINGERPRINT: Final = "@sha256:"


class _Enrolled(msgspec.Struct):
    org: str
    agent_id: str
    ca: str = ""


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
    identity = Identity(server, enrolled.org, enrolled.agent_id, enrolled.ca)
    save_identity(state_dir, identity)
    return identity


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
