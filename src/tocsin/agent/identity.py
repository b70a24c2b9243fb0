"""The agent's identity: a key made on this host, and the names the server knows it by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.model.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Certificate",
    "Identity",
    "certificate_file",
    "finish_taking",
    "load_certificate",
    "load_identity",
    "load_key",
    "make_key",
    "next_key",
    "save_certificate",
    "save_identity",
    "take_next_key",
]

KEY_FILE: Final = "agent.key"
NEXT_KEY_FILE: Final = "agent.key.next"  # of a clone, until the server has taken it
CERTIFICATE_FILE: Final = "agent.pem"  # the client certificate and the key, as TLS libraries want them
CERTIFICATE_TIMES_FILE: Final = "certificate.json"
IDENTITY_FILE: Final = "agent.json"


class Identity(msgspec.Struct, frozen=True):
    """Who the agent is, and where its server is."""

    server: str
    org: str
    agent_id: str
    ca: str = ""  # PEM of the authority that the server's certificate must come from; the system's if empty
    machine_id: str = ""  # of the machine on which it enrolled; empty where that had none


class Certificate(msgspec.Struct, frozen=True):
    """A client certificate as the server issues it."""

    certificate: str = ""  # PEM
    renew_at: int = 0  # ms
    not_after: int = 0  # ms


def make_key(state_dir: Path) -> Ed25519PrivateKey:
    """The key in the state folder, made if there is none; only root can read it."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _made(state_dir / KEY_FILE)


def next_key(state_dir: Path) -> Ed25519PrivateKey:
    """A key to take the place of the folder's, the same at every try until it has."""
    return _made(state_dir / NEXT_KEY_FILE)


def take_next_key(state_dir: Path, identity: Identity) -> None:
    """Become who the server says that the next key is; after a crash in between, to be called again."""
    save_identity(state_dir, identity)
    (state_dir / CERTIFICATE_FILE).unlink(missing_ok=True)
    (state_dir / CERTIFICATE_TIMES_FILE).unlink(missing_ok=True)
    finish_taking(state_dir)


def finish_taking(state_dir: Path) -> None:
    """Put the next key in its place, if there is one; to be called once the identity is the next key's."""
    if (state_dir / NEXT_KEY_FILE).exists():
        (state_dir / NEXT_KEY_FILE).replace(state_dir / KEY_FILE)


def _made(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        write_private(path, Ed25519PrivateKey.generate().private_bytes_raw())
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def certificate_file(state_dir: Path) -> Path | None:
    """The client certificate with its key; None if the server has issued none."""
    path = state_dir / CERTIFICATE_FILE
    return path if path.exists() else None


def load_certificate(state_dir: Path) -> Certificate:
    """When the certificate wants to be renewed; an empty one if there is none."""
    try:
        return msgspec.json.decode((state_dir / CERTIFICATE_TIMES_FILE).read_bytes(), type=Certificate)
    except (OSError, msgspec.MsgspecError):
        return Certificate()


def save_certificate(state_dir: Path, issued: Certificate, key: Ed25519PrivateKey) -> None:
    """Keep a certificate beside the key that it is for."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - half a megabyte, for certificates alone

    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, form, serialization.NoEncryption())
    write_private(state_dir / CERTIFICATE_FILE, issued.certificate.encode() + secret)
    write_private(state_dir / CERTIFICATE_TIMES_FILE, msgspec.json.encode(issued))


def load_key(state_dir: Path) -> Ed25519PrivateKey:
    """The agent's signing key.

    Raises:
        InvalidSetting: there is none, or it is no key.
    """
    try:
        return Ed25519PrivateKey.from_private_bytes((state_dir / KEY_FILE).read_bytes())
    except FileNotFoundError as error:
        raise InvalidSetting(_not_enrolled(state_dir)) from error
    except ValueError as error:
        raise InvalidSetting(f"{state_dir / KEY_FILE} is not an Ed25519 key; remove it and enrol again") from error


def save_identity(state_dir: Path, identity: Identity) -> None:
    """Keep what enrolment gave, synced before returning."""
    write_private(state_dir / IDENTITY_FILE, msgspec.json.format(msgspec.json.encode(identity)))


def load_identity(state_dir: Path) -> Identity:
    """What enrolment gave.

    Raises:
        InvalidSetting: the agent is not enrolled.
    """
    try:
        return msgspec.json.decode((state_dir / IDENTITY_FILE).read_bytes(), type=Identity)
    except FileNotFoundError as error:
        raise InvalidSetting(_not_enrolled(state_dir)) from error
    except msgspec.MsgspecError as error:
        raise InvalidSetting(f"{state_dir / IDENTITY_FILE} cannot be read ({error}); enrol again") from error


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner can read; after a crash it is the old or the new one, whole."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _not_enrolled(state_dir: Path) -> str:
    return f"no agent is enrolled in {state_dir}: run `tocsin agent enroll --server URL --token TOKEN`"
