"""The agent's client certificate: shown to a server that issued one, renewed in time, asked for when wanted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.identity import Certificate, certificate_file, load_certificate, save_certificate
from tocsin.model.errors import TryLater

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tocsin.agent.deliver.transport import Answer, Transport

__all__ = ["WANTED", "ClientCertificate"]

WANTED: Final = "CertificateWanted"  # title of the problem with which a server asks for one
TRY_EVERY_S: Final = 60.0
OK: Final = 200


class ClientCertificate:
    """Holds the certificate of one agent; used by the shipping thread."""

    def __init__(self, state_dir: Path, key: Ed25519PrivateKey, transport: Transport) -> None:
        self._state_dir, self._key, self._transport = state_dir, key, transport
        self._times = load_certificate(state_dir)
        self._tried_at = float("-inf")
        self.trouble = ""
        self._show()

    @property
    def is_due(self) -> bool:
        """Whether it is time to renew it; never without one, as a server that wants one asks."""
        rested = time.monotonic() - self._tried_at >= TRY_EVERY_S
        return bool(self._times.certificate) and _now_ms() >= self._times.renew_at and rested

    def renew(self, post_signed: Callable[[str, bytes], Answer]) -> bool:
        """Ask for a new one; whether there is one now.

        An expired one is not shown, as the server's TLS would refuse it: the signature says who asks.
        """
        self._tried_at = time.monotonic()
        if self._times.certificate and _now_ms() >= self._times.not_after:
            self._transport.show(None)
        try:
            answer = post_signed("/ingest/certificate", msgspec.json.encode({"at": _now_ms()}))
            issued = msgspec.json.decode(answer.body, type=Certificate) if answer.status == OK else Certificate()
        except (TryLater, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.trouble = f"the client certificate is not renewed: {error}"
            return False
        if not issued.certificate:
            self.trouble = f"the client certificate is not renewed: {answer.detail or answer.status}"
            return False
        save_certificate(self._state_dir, issued, self._key)
        self._times, self.trouble = issued, ""
        self._show()
        return True

    def _show(self) -> None:
        expired = self._times.certificate and _now_ms() >= self._times.not_after
        self._transport.show(None if expired else certificate_file(self._state_dir))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
