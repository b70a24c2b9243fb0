"""A DNS server of our own on a port 53 of the loopback, over UDP and TCP, and what asks it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["NameServer", "encode_name", "encode_query", "encode_response", "resource"]

A, CNAME, TXT, AAAA = 1, 5, 16, 28
_POINTER_TO_QUESTION = b"\xc0\x0c"


def encode_name(name: str) -> bytes:
    """A name as labels."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def encode_query(name: str, kind: int = A, number: int = 1) -> bytes:
    """A query with one question."""
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", kind, 1)


def resource(kind: int, data: bytes, name: bytes = _POINTER_TO_QUESTION, ttl: int = 60) -> bytes:
    """One record of an answer; its name is the question's unless told otherwise."""
    return name + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def encode_response(query: bytes, *answers: bytes, rcode: int = 0) -> bytes:
    """The response to a query."""
    end = query.index(b"\0", 12) + 5
    return query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(answers), 0, 0) + query[12:end] + b"".join(answers)


class NameServer:
    """Knows some names of type A; everything else is NXDOMAIN. `silent` names get no answer."""

    def __init__(self, address: str, names: dict[str, str], silent: str = "") -> None:
        self.address, self._names, self._silent = address, names, encode_name(silent)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        self._udp.bind((address, 53))
        self._tcp = socket.create_server((address, 53), family=family)

    @contextmanager
    def running(self) -> Iterator[NameServer]:
        threads = [threading.Thread(target=serve, daemon=True) for serve in (self._serve_udp, self._serve_tcp)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for sock in (self._udp, self._tcp):
                # A close alone wakes nobody who waits in it.
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            for thread in threads:
                thread.join(5)

    def _answer(self, query: bytes) -> bytes:
        for name, address in self._names.items():
            if query[12:].startswith(encode_name(name)):
                return encode_response(query, resource(A, socket.inet_aton(address)))
        return encode_response(query, rcode=3)

    def _serve_udp(self) -> None:
        while True:
            try:
                query, sender = self._udp.recvfrom(4096)
                if not query:
                    return
                if not query[12:].startswith(self._silent):
                    self._udp.sendto(self._answer(query), sender)
            except OSError:
                return

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection:
                answer = self._answer(connection.recv(4096)[2:])
                connection.sendall(struct.pack("!H", len(answer)) + answer)
