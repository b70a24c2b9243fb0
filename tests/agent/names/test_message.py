"""DNS messages and the packets they come in: read with bounds, or refused."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from name_server import encode_name, encode_query, encode_response, resource
from tocsin.agent.names.lookups import ANSWER_WITHIN_MS, MAX_LOOKUPS, Lookups
from tocsin.agent.names.message import MAX_ANSWERS, Answer, Message, read_message
from tocsin.agent.names.packet import TCP, UDP, Flow, read_packet
from tocsin.model.errors import InvalidRecord

QUERY = encode_query("www.Example.COM", number=77)
FLOW = Flow(UDP, "192.0.2.1", 40_000, "192.0.2.53", 53)


def test_a_query_gives_its_name_in_small_letters() -> None:
    """Name, type and id of the question."""
    assert read_message(QUERY) == Message(77, is_response=False, rcode=0, name="www.example.com", type="A")


@pytest.mark.parametrize(
    ("kind", "data", "read"),
    [
        (1, bytes([192, 0, 2, 7]), "192.0.2.7"),
        (28, socket.inet_pton(socket.AF_INET6, "2001:db8::7"), "2001:db8::7"),
        (5, encode_name("cdn.example"), "cdn.example"),
        (2, b"\x02ns\xc0\x10", "ns.example.com"),
        (15, b"\0\x0a\x04mail\xc0\x10", "10 mail.example.com"),
        (33, struct.pack("!HHH", 1, 2, 443) + b"\xc0\x10", "1 2 443 example.com"),
        (16, b"\x03v=1\x02 x", "v=1 x"),
        (99, b"\x01\x02", "\\# 2 0102"),
    ],
)
def test_answers_are_read_as_zone_files_have_them(kind: int, data: bytes, read: str) -> None:
    """Each type's data as text; what has no reading here in hex."""
    (answer,) = read_message(encode_response(QUERY, resource(kind, data))).answers
    assert (answer.rdata, answer.ttl) == (read, 60)


def test_odd_bytes_of_a_name_are_escaped() -> None:
    """A dot or a control character within a label cannot pass for another name."""
    raw = QUERY[:12] + b"\x05a.b\n\\\x02de\0" + b"\0\1\0\1"
    assert read_message(raw).name == "a\\046b\\010\\092.de"


def test_a_message_that_is_cut_off_gives_what_is_before_the_cut() -> None:
    """Two answers of three, where the third is cut."""
    whole = encode_response(QUERY, *(resource(1, bytes([192, 0, 2, number])) for number in range(3)))
    assert [answer.rdata for answer in read_message(whole[:-1]).answers] == ["192.0.2.0", "192.0.2.1"]


def test_no_more_answers_than_the_limit_are_read() -> None:
    """However many a response says that it has."""
    answers = read_message(encode_response(QUERY, *[resource(1, b"1234")] * 500)).answers
    assert answers == (Answer("49.50.51.52", "A", 60),) * MAX_ANSWERS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        QUERY[:20],
        QUERY[:4] + b"\0\0" + QUERY[6:],
        QUERY[:12] + b"\xc0\x0c" + b"\0\1\0\1",
        QUERY[:12] + b"\xc0\x0e\xc0\x0c" + b"\0\1\0\1",
        QUERY[:12] + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1",
        QUERY[:2] + b"\x28\0" + QUERY[4:],
    ],
    ids=["nothing", "cut", "no question", "itself", "in a circle", "too long", "update"],
)
def test_what_is_no_query_is_refused(raw: bytes) -> None:
    """Nothing to read a question from, names without end, other operations."""
    with pytest.raises(InvalidRecord):
        read_message(raw)


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(raw: bytes) -> None:
    """Arbitrary bytes behind a good header end in a message or in InvalidRecord; as a packet, in one or in none."""
    read_packet(raw)
    with suppress(InvalidRecord):
        read_message(b"\0\1\x81\x80\0\1\0\xff\0\0\0\0" + raw)


def test_a_segment_may_hold_several_messages() -> None:
    """Each behind its length; the last may be cut off."""
    part = struct.pack("!H", len(QUERY)) + QUERY
    tcp = struct.pack("!HHIIBBHHH", 40_000, 53, 0, 0, 0x50, 0x18, 0, 0, 0) + part + part[:-3]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, TCP, 0)
    packet = read_packet(header + socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.53") + tcp)
    assert packet is not None
    assert (packet.flow, packet.from_server) == (FLOW._replace(protocol=TCP), False)
    assert packet.messages == (QUERY, QUERY[:-3])


def test_a_container_s_lookup_that_passes_three_interfaces_is_one() -> None:
    """Behind address translation the same query and response are not told again."""
    lookups, query = Lookups(), read_message(QUERY)
    response = read_message(encode_response(QUERY, resource(1, b"1234")))
    translated = FLOW._replace(client="203.0.113.9")
    assert lookups.see(FLOW, query, 1000, is_local=False) is not None
    assert lookups.see(translated, query, 1000, is_local=True) is None
    for flow in (translated, FLOW, FLOW):
        lookups.see(flow, response, 1020, is_local=False)
    (lookup,) = lookups.done
    assert (lookup.flow, lookup.response, lookup.done_ms) == (FLOW, response, 1020)


def test_lookups_are_given_up_in_time_and_in_number() -> None:
    """What is not answered is told as such after five seconds, or when too many wait."""
    lookups, query = Lookups(), read_message(QUERY)
    for number in range(MAX_LOOKUPS + 1):
        lookups.see(FLOW._replace(client_port=number), query, 1000, is_local=True)
    assert [lookup.flow.client_port for lookup in lookups.done] == [0]
    lookups.expire(1000 + ANSWER_WITHIN_MS)
    assert len(lookups.done) == 1
    lookups.expire(1001 + ANSWER_WITHIN_MS)
    assert len(lookups.done) == MAX_LOOKUPS + 1


def test_a_response_that_nobody_asked_for_is_told() -> None:
    """The query was not seen, or there was none."""
    lookups = Lookups()
    response = read_message(encode_response(QUERY, resource(1, b"1234")))
    lookups.see(FLOW, response, 1000, is_local=False)
    assert [lookup.asked for lookup in lookups.done] == [False]
