"""Passwords: kept as scrypt hashes that carry their own parameters."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from tocsin.model.errors import BadInput

__all__ = ["MIN_LENGTH", "hash_password", "matches"]

MIN_LENGTH = 12
_MAX_LENGTH = 1_024
# OWASP's password storage cheat sheet: N=2^14, r=8, p=5 is as strong as N=2^17, p=1, with an eighth of the memory.
_N, _R, _P = 2**14, 8, 5
_SALT_BYTES, _KEY_BYTES = 16, 32
_MAX_MEMORY = 64 * 1024 * 1024


def hash_password(password: str) -> str:
    """What to keep of a new password.

    Raises:
        BadInput: too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= _MAX_LENGTH:
        raise BadInput(f"a password has between {MIN_LENGTH} and {_MAX_LENGTH} characters")
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(_derive(password, salt, _N, _R, _P))}"


def matches(password: str, kept: str | None) -> bool:
    """Is it the password that was kept? Takes as long where there is none, so that names cannot be guessed."""
    scheme, n, r, p, salt, key = (kept or _NOBODYS).split("$")
    if scheme != "scrypt" or len(password) > _MAX_LENGTH:
        return False
    derived = _derive(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(derived, base64.b64decode(key)) and kept is not None


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=_KEY_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_NOBODYS = f"scrypt${_N}${_R}${_P}${_text(bytes(_SALT_BYTES))}${_text(bytes(_KEY_BYTES))}"
