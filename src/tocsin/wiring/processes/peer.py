"""Which client certificate a connection showed, handed to whoever answers its requests: uvicorn itself does not."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tocsin.ingest.certificates import PEER

__all__ = ["PeerProtocol"]

_Protocol: Any = AutoHTTPProtocol  # httptools' or h11's, whichever is there


class PeerProtocol(_Protocol):  # type: ignore[misc]  # see above
    """uvicorn's protocol; relies on `app` alone, which both of its implementations call for every request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the certificate of the connection in the scope of all its requests."""
        super().connection_made(transport)
        self.app: ASGIApp = _with_peer(self.app, _common_name(transport.get_extra_info("ssl_object")))


def _common_name(connection: ssl.SSLObject | None) -> str | None:
    """The subject of the certificate, which the TLS library has verified; None if there is none."""
    certificate = connection.getpeercert() if connection is not None else None
    if not certificate:
        return None
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    return next((value for part in subject for name, value in part if name == "commonName"), None)


def _with_peer(app: ASGIApp, name: str | None) -> ASGIApp:
    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = name
        await app(scope, receive, send)

    return named
