"""The agent's identity: a key made on this host, and the names the server knows it by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.model.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Identity", "load_identity", "load_key", "make_key", "save_identity"]

KEY_FILE: Final = "agent.key"
IDENTITY_FILE: Final = "agent.json"


class Identity(msgspec.Struct, frozen=True):
    """Who the agent is, and where its server is."""

    server: str
    org: str
    agent_id: str
    ca: str = ""  # PEM of the authority that the server's certificate must come from; the system's if empty


def make_key(state_dir: Path) -> Ed25519PrivateKey:
    """The key in the state folder, made if there is none; only root can read it."""
    path = state_dir / KEY_FILE
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        write_private(path, Ed25519PrivateKey.generate().private_bytes_raw())
    return load_key(state_dir)


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
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _not_enrolled(state_dir: Path) -> str:
    return f"no agent is enrolled in {state_dir}: run `tocsin agent enroll --server URL --token TOKEN`"
