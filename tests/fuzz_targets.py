"""What is fuzzed: each parser of bytes that an enemy may have written, and what must hold whatever it is given."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import zstandard

from name_server import encode_name, encode_query, encode_response, resource
from tocsin.agent.names.message import MAX_ANSWERS, read_message
from tocsin.agent.names.packet import read_packet
from tocsin.columnar.check import check
from tocsin.columnar.frame import frames
from tocsin.columnar.nested import nested
from tocsin.model import wire
from tocsin.model.errors import InvalidBatch, InvalidRecord
from tocsin.model.event import Event, nest
from tocsin.model.schema import CLASSES
from tocsin.normalize.auditd.map import map_event
from tocsin.normalize.auditd.parse import kernel_stamp, parse_kernel, parse_line
from tocsin.normalize.auditd.reassemble import AuditEvent, Reassembler
from tocsin.normalize.auditd.record import AuditRecord, Keys
from tocsin.ports import LogEntry

__all__ = ["TARGETS", "Target"]

GOLDEN = Path(__file__).parent / "golden"
Target = tuple[Callable[[bytes], None], Callable[[], Iterator[bytes]]]
"""What is called with each input, and the inputs to begin with where no corpus is kept yet."""

_MAX_PENDING, _LONGEST_STORY = 8, 180
_KINDS = (
    "SYSCALL",
    "EOE",
    "PROCTITLE",
    "PATH",
    "EXECVE",
    "LOGIN",
    "USER_LOGIN",
    "CONFIG_CHANGE",
    "DAEMON_START",
    "AVC",
)
_LONGEST_NAME = 4 * 255  # every byte of it may have to be written as a number
_NO_KEYS = Keys((), arguments=False)


def _record(raw: bytes) -> None:
    """A record as the kernel sends it, and as a line of a log: read with as many names as values, or refused."""
    kernel_stamp(raw[2:])
    readers: list[Callable[[], AuditRecord]] = [
        lambda: parse_line(raw),
        lambda: parse_kernel(int.from_bytes(raw[:2], "little"), raw[2:]),
    ]
    for read in readers:
        try:
            record = read()
        except InvalidRecord:
            continue
        assert len(record.keys) == len(record.values)


def _reassembler(raw: bytes) -> None:
    """Records of any kinds, in any order: none is lost or comes twice, and no more than so many wait."""
    reassembler = Reassembler(timeout_ms=100, max_pending=_MAX_PENDING)
    pushed, events = 0, list[AuditEvent]()
    for record in _shapes(raw[:_LONGEST_STORY]):
        pushed += record.type != "EOE"
        events += reassembler.push(record)
        assert reassembler.pending <= _MAX_PENDING + 1
    events += reassembler.flush()
    assert sum(len(event.records) for event in events) == pushed
    assert reassembler.pending == 0 <= reassembler.lost


def _shapes(raw: bytes) -> Iterator[AuditRecord]:
    """Three bytes a record: its kind, how far the serial moves, how far the time does."""
    serial = time_ms = 1000
    for kind, moved, passed in zip(raw[::3], raw[1::3], raw[2::3], strict=False):
        serial = (serial + moved - 128 if moved > 4 else serial + moved) % 2**32  # mostly onwards
        time_ms = abs(time_ms + passed - 64)
        yield AuditRecord(_KINDS[kind % len(_KINDS)], time_ms, serial, "", _NO_KEYS, [])


def _events(raw: bytes) -> None:
    """Lines of a log: each event that they make is of the schema."""
    reassembler = Reassembler()
    for line in raw.splitlines():
        try:
            events = reassembler.push(parse_line(line))
        except InvalidRecord:
            continue
        for event in events:
            _is_of_the_schema(event)
    for event in reassembler.flush():
        _is_of_the_schema(event)


def _is_of_the_schema(event: AuditEvent) -> None:
    mapped = map_event(event)
    assert mapped.attributes().keys() <= CLASSES[mapped.class_uid].paths
    assert json.dumps(nest(mapped))


def _names(raw: bytes) -> None:
    """A DNS message, and a packet with some: bounded, or refused."""
    packet = read_packet(raw)
    for message in (raw, *(packet.messages if packet else ())):
        try:
            read = read_message(message)
        except InvalidRecord:
            continue
        assert len(read.name) <= _LONGEST_NAME
        assert len(read.answers) <= MAX_ANSWERS


def _name_messages() -> Iterator[bytes]:
    query = encode_query("a.example")
    answers = [
        resource(5, encode_name("b.example")),
        resource(28, bytes(16)),
        resource(16, b"\x02hi"),
        resource(1, b"1234"),
    ]
    message = encode_response(query, *answers, resource(15, b"\0\1\xc0\x0c"), resource(33, b"\0\1\0\2\0\3\xc0\x0c"))
    addresses = socket.inet_aton("192.0.2.1") * 2
    udp = struct.pack("!HHHH", 53, 40_000, 8 + len(message), 0) + message
    tcp = struct.pack("!HHIIBBHHH", 40_000, 53, 0, 0, 0x50, 0x18, 0, 0, 0) + struct.pack("!H", len(query)) + query
    yield from (query, message)
    yield struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
    yield struct.pack("!IHBB", 0x60000000, len(tcp), 6, 64) + bytes(32) + tcp


def _golden_lines() -> Iterator[bytes]:
    for log in sorted(GOLDEN.glob("auditd/*.log")):
        yield from log.read_bytes().splitlines()[:400]


def _golden_groups() -> Iterator[bytes]:
    for log in sorted(GOLDEN.glob("auditd/*.log")):
        lines = log.read_bytes().splitlines()
        yield from (b"\n".join(lines[at : at + 3]) for at in range(0, min(len(lines), 900), 3))


_HEADER = wire.BatchHeader(wire.VERSION, "acme", "a1", "boot", 1, 0, b"", 1, 1, 0, {}, 0, b"")


def _batch(raw: bytes) -> None:
    """As an envelope, and as the body of one whose digests are right: rows of the lake come of it, or a refusal."""
    for envelope in (raw, _enclosed(raw)):
        with contextlib.suppress(InvalidBatch):
            opened, header = wire.decode_envelope(envelope)
            sections = wire.decode_body(opened, header)
            header = msgspec.structs.replace(header, rows=sum(section.rows for section in sections))
            check(header, sections)
            entry = LogEntry(0, 0, header.org, header.origin, header.epoch, header.sequence, 1, envelope)
            for frame in frames([(entry, header, sections)]).values():
                assert len(nested(frame)) == len(frame)


def _enclosed(body: bytes) -> bytes:
    header = msgspec.structs.replace(_HEADER, body_bytes=len(body), body_sha256=hashlib.sha256(body).digest())
    sealed = wire.Envelope(msgspec.msgpack.encode(header), zstandard.compress(body), bytes(64))
    return msgspec.msgpack.encode(sealed)


def _batches() -> Iterator[bytes]:
    events = [
        Event(1007, {"time": 1, "process.cmd_line": "id -u", "process.pid": 7}, shared={"actor.process.pid": 1}),
        Event(1007, {"time": 300, "process.cmd_line": "ls"}, (wire.PlainRecord("SYSCALL", ("a0",), ("1",)),)),
        Event(4001, {"time": 2**40, "dst_endpoint.port": 443}),
    ]
    for chosen in (events, events[:1], events[1:2], events[2:]):
        sections = msgspec.msgpack.encode(wire.encode_sections(chosen))
        yield sections
        yield _enclosed(sections)


TARGETS: dict[str, Target] = {
    "record": (_record, _golden_lines),
    "reassembler": (_reassembler, lambda: iter([bytes(range(60))])),
    "events": (_events, _golden_groups),
    "batch": (_batch, _batches),
    "names": (_names, _name_messages),
}
