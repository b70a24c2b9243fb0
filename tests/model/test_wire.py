"""The batch on the wire."""

from __future__ import annotations

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model import wire
from tocsin.model.errors import BadSignature, InvalidBatch
from tocsin.model.event import Event, Value

KEY = Ed25519PrivateKey.generate()
START = wire.ChainPosition("default", "agent-1", "boot-1", 7, 0, b"")

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_RECORDS = st.lists(
    st.lists(_TEXT, max_size=4).map(lambda v: wire.PlainRecord("T", tuple(f"a{i}" for i in range(len(v))), tuple(v))),
    max_size=3,
).map(tuple)
_EVENTS = st.builds(
    Event,
    st.sampled_from([1007, 4001]),
    st.fixed_dictionaries(
        {"time": st.integers(0, 2**60)},
        optional={"message": _TEXT, "exit_code": st.integers(-(2**63), 2**63 - 1)},
    ),
    _RECORDS,
    st.sampled_from(
        [{}, {"actor.process.name": "sh", "actor.process.pid": 7}, {"actor.process.name": "", "actor.process.euid": -1}]
    ),
)


def sealed(events: list[Event], position: wire.ChainPosition = START) -> tuple[bytes, bytes]:
    return wire.seal(wire.encode_sections(events), position, KEY, created_at=1)


def receive(data: bytes) -> list[wire.Section]:
    envelope, header = wire.decode_envelope(data)
    wire.verify(envelope, KEY.public_key())
    return wire.decode_body(envelope, header)


@given(st.lists(_EVENTS, max_size=8))
def test_a_batch_comes_back_as_it_was(events: list[Event]) -> None:
    """Values, nulls and records survive the wire, for any events."""
    data, _ = sealed(events)
    envelope, header = wire.decode_envelope(data)
    wire.verify(envelope, KEY.public_key())
    back = [event for section in wire.decode_body(envelope, header) for event in wire.decode_events(section)]
    in_order = [
        event for uid in dict.fromkeys(e.class_uid for e in events) for event in events if event.class_uid == uid
    ]
    assert [(e.class_uid, e.attributes(), e.records) for e in back] == [
        (e.class_uid, e.attributes(), e.records) for e in in_order
    ]
    assert header.rows == len(events)


@given(
    st.lists(
        st.tuples(st.sampled_from(["none", "first", "second"]), st.sampled_from(["/bin/own", None]), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_shared_attributes_come_back_in_every_event(rows: list[tuple[str, str | None, bool]]) -> None:
    """Whether an event shares an attribute, has it to itself or lacks it, whoever reads it finds the same."""
    shared: dict[str, dict[str, Value]] = {
        "none": {},
        "first": {"actor.process.pid": 1, "actor.process.file.path": "/bin/a", "severity_id": 1},
        "second": {"actor.process.pid": 2, "actor.process.name": "b", "severity_id": 1},
    }
    events = []
    for number, (kind, own, has_pid) in enumerate(rows):
        values: dict[str, Value] = {"time": number}
        if own is not None and kind != "first":
            values["actor.process.file.path"] = own
        if has_pid and kind == "none":
            values["actor.process.pid"] = number
        events.append(Event(4001, values, (), shared[kind]))
    data, _ = sealed(events)
    read = [event.values for section in receive(data) for event in wire.decode_events(section)]
    assert read == [event.attributes() for event in events]


def test_the_hash_chains_batches() -> None:
    """The hash that `seal` gives is the one the header has at the other end."""
    data, batch_hash = sealed([Event(1007, {"time": 1})])
    _, header = wire.decode_envelope(data)
    assert header.hash() == batch_hash
    assert START.after(batch_hash).sequence == 1


def test_a_tombstone_keeps_the_chain_and_cannot_be_forged() -> None:
    """A dropped batch still proves its place; a body stripped by somebody else does not pass."""
    data, batch_hash = sealed([Event(1007, {"time": 1})])
    envelope, header = wire.decode_envelope(wire.tombstone(data, KEY))
    wire.verify(envelope, KEY.public_key())
    assert (header.hash(), header.rows, wire.decode_body(envelope, header)) == (batch_hash, 1, [])
    stripped = msgspec.structs.replace(wire.decode_envelope(data)[0], body=b"")
    with pytest.raises(BadSignature):
        wire.verify(stripped, KEY.public_key())


def test_a_changed_header_or_body_is_refused() -> None:
    """Neither half can be altered without the signature or the digest noticing."""
    envelope, header = wire.decode_envelope(sealed([Event(1007, {"time": 1})])[0])
    other, _ = wire.decode_envelope(sealed([Event(1007, {"time": 2})])[0])
    with pytest.raises(BadSignature):
        wire.verify(msgspec.structs.replace(envelope, header=other.header), KEY.public_key())
    with pytest.raises(InvalidBatch, match="not the one that was signed"):
        wire.decode_body(msgspec.structs.replace(envelope, body=other.body), header)


def test_a_bomb_is_not_inflated() -> None:
    """A body that inflates beyond the signed size is refused without inflating it."""
    envelope, header = wire.decode_envelope(sealed([Event(1007, {"time": 1})])[0])
    bomb = zstandard.ZstdCompressor().compress(b"\0" * (1 << 30))
    with pytest.raises(InvalidBatch):
        wire.decode_body(msgspec.structs.replace(envelope, body=bomb), header)


@given(st.binary(max_size=200))
def test_garbage_is_an_invalid_batch(data: bytes) -> None:
    """Arbitrary bytes give InvalidBatch and nothing else."""
    with pytest.raises(InvalidBatch):
        wire.decode_envelope(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_changes_nothing_unnoticed(place: int, value: int) -> None:
    """An altered envelope is refused, or says exactly what was signed (zstd has several frames for one content)."""
    data, _ = sealed([Event(1007, {"time": 1, "message": "x"}), Event(1007, {"time": 2, "message": "y"})])
    at = place % len(data)
    try:
        received = receive(data[:at] + bytes([value]) + data[at + 1 :])
    except InvalidBatch:
        return
    assert received == receive(data)
