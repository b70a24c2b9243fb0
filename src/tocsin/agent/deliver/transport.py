"""HTTP to the server: one connection, kept open, over TLS from the enrolled authority where the URL says https."""

from __future__ import annotations

import http.client
import select
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from tocsin.model.errors import InvalidSetting, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Answer", "Transport"]

TIMEOUT_S: Final = 15.0
LONGEST_ANSWER: Final = 256 * 1024
PORTS: Final = {"http": 80, "https": 443}


class Answer(msgspec.Struct, frozen=True):
    """What the server said."""

    status: int
    body: bytes
    retry_after_s: float = 0.0

    @property
    def detail(self) -> str:
        """Its reason in words: a problem's detail, or nothing."""
        return self._said("detail")

    @property
    def title(self) -> str:
        """The kind of problem, or nothing."""
        return self._said("title")

    def _said(self, name: str) -> str:
        try:
            problem = msgspec.json.decode(self.body, type=dict[str, object])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ""
        return str(problem.get(name, ""))


class Transport:
    """Sends requests one after another; used by one thread."""

    def __init__(self, server: str, ca: str = "", *, context: ssl.SSLContext | None = None) -> None:
        self._url, self._ca = _checked(server), ca
        self._context = (context or _tls_context(ca)) if self._url.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def show(self, certificate: Path | None) -> None:
        """Show this client certificate, a PEM file with its key, from the next request on; or none.

        Raises:
            InvalidSetting: the file holds no certificate with its key.
        """
        if self._url.scheme != "https":
            return
        self.close()
        self._context = _tls_context(self._ca)
        if certificate is not None:
            try:
                self._context.load_cert_chain(certificate)
            except (OSError, ssl.SSLError) as error:
                raise InvalidSetting(
                    f"{certificate} is no client certificate with its key: {_reason(error)}"
                ) from error

    def fetch(self, path: str) -> Answer:
        """Ask and wait for the answer, whatever its status.

        Raises:
            Unreachable: no answer came.
        """
        return self._request("GET", path, b"", {})

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send and wait for the answer, whatever its status.

        Raises:
            Unreachable: no answer came; the server may or may not have taken the body.
        """
        return self._request("POST", path, body, headers)

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        if self._connection is not None and _hung_up(self._connection):
            self.close()  # before the request is lost in it
        connection = self._connection or self._connect()
        try:
            connection.request(method, self._url.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.read(LONGEST_ANSWER), _seconds(response.getheader("Retry-After")))
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise Unreachable(
                f"{self._url.geturl()} is not to be trusted: {error.verify_message or error}; enrol with the whole "
                "token that `tocsin agent token` prints there, or name its authority with --ca FILE"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self._url.geturl()} did not answer: {_reason(error)}") from error
        if not response.isclosed() or response.will_close:
            self.close()
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port or PORTS[self._url.scheme]
        if self._context is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        else:
            self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._context)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _hung_up(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection that was kept open: it can be read though nothing was asked."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _checked(server: str) -> SplitResult:
    url = urlsplit(server)
    if url.scheme not in PORTS or not url.hostname:
        raise InvalidSetting(f"{server} is not the URL of a server, such as https://tocsin.example:8321")
    return url


def _tls_context(ca: str) -> ssl.SSLContext:
    """Verify the server by the authority that enrolment gave, and by that one alone."""
    if not ca:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca)
    return context


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
