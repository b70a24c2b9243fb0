"""Admission: what a batch is to its sender's chain."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.ingest.chain import Admission, Chains
from tocsin.model import wire
from tocsin.model.errors import ChainBroken
from tocsin.model.event import Event
from tocsin.model.wire import BatchHeader, ChainPosition

KEY = Ed25519PrivateKey.generate()
START = ChainPosition("default", "agent-1", "boot-1", 1, 0, b"")


def batches(count: int, start: ChainPosition = START) -> list[BatchHeader]:
    headers = []
    position = start
    for number in range(count):
        event = Event(1007, {"time": number})
        payload, batch_hash = wire.seal(wire.encode_sections([event]), position, KEY, created_at=number)
        headers.append(wire.decode_envelope(payload)[1])
        position = position.after(batch_hash)
    return headers


def test_a_chain_is_admitted_in_order() -> None:
    """Each batch that names its predecessor is the next one."""
    chains = Chains()
    for header in batches(4):
        assert chains.admit(header) is Admission.NEXT
        chains.advance(header)


def test_a_repeated_batch_is_known() -> None:
    """A batch sent again after a lost answer is acknowledged, not taken twice."""
    chains = Chains()
    for header in batches(3):
        chains.advance(header)
    assert chains.admit(batches(3)[0]) is Admission.KNOWN


def test_a_missing_batch_is_a_gap() -> None:
    """What comes without its predecessor is taken, and counted as a gap."""
    chains = Chains()
    first, _, third = batches(3)
    chains.advance(first)
    assert chains.admit(third) is Admission.GAP


def test_a_batch_that_was_passed_over_is_not_acknowledged() -> None:
    """A batch that comes after its successors is refused aloud: consumers would not take it any more."""
    chains = Chains()
    first, second, third = batches(3)
    chains.advance(first)
    chains.advance(third)
    with pytest.raises(ChainBroken, match="after its successors"):
        chains.admit(second)


def test_another_batch_under_a_used_number_is_refused() -> None:
    """Two different batches cannot have the same place."""
    chains = Chains()
    chains.advance(batches(1)[0])
    other, _ = wire.seal([], START, KEY, created_at=99)
    with pytest.raises(ChainBroken, match="another batch"):
        chains.admit(wire.decode_envelope(other)[1])


def test_a_batch_that_does_not_follow_is_refused() -> None:
    """A batch with the right number and the wrong predecessor was not sent by the same run of the agent."""
    chains = Chains()
    chains.advance(batches(1)[0])
    (stranger,) = batches(1, ChainPosition("default", "agent-1", "boot-1", 1, 1, b"x" * 32))
    with pytest.raises(ChainBroken, match="does not follow"):
        chains.admit(stranger)


def test_an_epoch_that_is_over_is_refused() -> None:
    """A restored copy of an agent cannot write into the past."""
    chains = Chains()
    (old,) = batches(1)
    (new,) = batches(1, ChainPosition("default", "agent-1", "boot-2", 2, 0, old.hash()))
    chains.advance(old)
    assert chains.admit(new) is Admission.NEXT
    chains.advance(new)
    with pytest.raises(ChainBroken, match="is over"):
        chains.admit(old)
