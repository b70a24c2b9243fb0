"""Batches on disk survive what disks and power do to them."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.agent.config import SpoolSettings
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.identity import Identity
from tocsin.model.errors import OutOfSpace
from tocsin.model.event import Event
from tocsin.model.wire import BatchHeader, decode_body, decode_envelope, encode_sections, seal, verify

KEY = Ed25519PrivateKey.generate()
IDENTITY = Identity("http://127.0.0.1", "acme", "a1")
SMALL = SpoolSettings(max_bytes=20_000, segment_bytes=4_000, sync_ms=0)


def _spool(folder: Path, settings: SpoolSettings = SMALL) -> Spool:
    return Spool(folder, settings, IDENTITY, KEY, "boot")


def _add(spool: Spool, rows: int = 3, priority: int = 1) -> None:
    events = [Event(1007, {"time": i, "message": os.urandom(60).hex()}) for i in range(rows)]
    sections = encode_sections(events)
    spool.append(*seal(sections, spool.position, KEY, created_at=0, priority=priority))


def _drain(spool: Spool) -> list[tuple[bool, BatchHeader]]:
    """Everything that waits, verified: whether each still has its body, and its header."""
    taken = []
    while (waiting := spool.next(0)) is not None:
        envelope, header = decode_envelope(waiting[1])
        verify(envelope, KEY.public_key())
        decode_body(envelope, header)
        taken.append((bool(envelope.body), header))
        spool.acknowledge(header.epoch, header.sequence + 1)
    return taken


def _assert_chained(headers: list[BatchHeader]) -> None:
    for before, after in itertools.pairwise(headers):
        assert after.previous == before.hash()


def test_batches_leave_in_order_and_only_when_acknowledged(tmp_path: Path) -> None:
    """The same batch is given again until the server has it."""
    spool = _spool(tmp_path)
    for _ in range(3):
        _add(spool)
    first, again = spool.next(0), spool.next(0)
    assert first is not None
    assert first == again
    assert [header.sequence for _, header in _drain(spool)] == [0, 1, 2]
    assert spool.waiting == 0


def test_several_batches_are_given_as_far_as_they_fit(tmp_path: Path) -> None:
    """At most so many, at most so large together, but one in any case."""
    spool = _spool(tmp_path)
    for _ in range(5):
        _add(spool)
    sizes = [len(envelope) for _, envelope in spool.next_together(0, 5, 10**6)]
    assert len(sizes) == 5
    assert [entry.sequence for entry, _ in spool.next_together(0, 3, 10**6)] == [0, 1, 2]
    assert [entry.sequence for entry, _ in spool.next_together(0, 5, sum(sizes[:4]))] == [0, 1, 2, 3]
    assert [entry.sequence for entry, _ in spool.next_together(0, 5, 1)] == [0]
    _drain(spool)
    assert spool.next_together(0, 5, 10**6) == []


def test_a_restart_goes_on_with_the_chain_in_a_new_epoch(tmp_path: Path) -> None:
    """What waited still waits, and the first batch of the new epoch names the last one of the old."""
    spool = _spool(tmp_path)
    _add(spool)
    _add(spool)
    spool.acknowledge(0, 1)
    spool.close()
    spool = _spool(tmp_path)
    _add(spool)
    headers = [header for _, header in _drain(spool)]
    assert [(header.epoch, header.sequence) for header in headers] == [(0, 1), (1, 0)]
    _assert_chained(headers)


def test_everything_acknowledged_still_leaves_the_chains_end(tmp_path: Path) -> None:
    """The newest segment stays, so that the chain goes on; older ones are deleted."""
    spool = _spool(tmp_path)
    for _ in range(30):
        _add(spool)
    last = _drain(spool)[-1][1]
    _add(spool)
    spool.close()
    assert len(list(tmp_path.glob("*.spool"))) <= 2
    assert _drain(_spool(tmp_path))[0][1].previous == last.hash()


@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros"])
def test_a_damaged_tail_is_cut_off_and_counted(tmp_path: Path, damage: str) -> None:
    """After a power failure what was written whole is kept, the rest is counted, and new batches go on."""
    spool = _spool(tmp_path)
    for _ in range(3):
        _add(spool)
    spool.close()
    (segment,) = tmp_path.glob("*.spool")
    whole = segment.read_bytes()
    changed = {"cut": whole[:-7], "flipped": whole[:-9] + b"\xff" * 9, "zeros": whole + b"\0" * 500}
    segment.write_bytes(changed[damage])
    spool = _spool(tmp_path)
    assert spool.damaged_bytes > 0
    _add(spool)
    sequences = [(header.epoch, header.sequence) for _, header in _drain(spool)]
    assert sequences == [*((0, i) for i in range(3 if damage == "zeros" else 2)), (1, 0)]


def test_overflow_buries_the_least_important_first_and_the_chain_holds(tmp_path: Path) -> None:
    """Over the limit, bulk batches become signed tombstones while security-critical ones keep their bodies."""
    limit = 80_000
    spool = _spool(tmp_path, SpoolSettings(max_bytes=limit, segment_bytes=8_000, sync_ms=0))
    for i in range(120):
        _add(spool, rows=20, priority=0 if i % 6 == 0 else 2)
    assert spool.size_bytes <= limit
    dropped = spool.take_dropped_rows()
    assert spool.take_dropped_rows() == 0
    taken = _drain(spool)
    assert len(taken) == 120
    _assert_chained([header for _, header in taken])
    assert all(kept for kept, header in taken if header.priority == 0)
    buried = [header for kept, header in taken if not kept]
    assert sum(header.rows for header in buried) == dropped > 0


def test_a_batch_the_server_refuses_becomes_a_tombstone_and_then_goes(tmp_path: Path) -> None:
    """A batch that will never be taken must not block those behind it."""
    spool = _spool(tmp_path)
    _add(spool)
    _add(spool)
    waiting = spool.next(0)
    assert waiting is not None
    spool.bury(waiting[0])
    again = spool.next(0)
    assert again is not None
    assert decode_envelope(again[1])[0].body == b""
    spool.bury(again[0])
    assert [header.sequence for _, header in _drain(spool)] == [1]


def test_a_rebased_chain_is_signed_anew_from_zero(tmp_path: Path) -> None:
    """After a conflict everything that waits goes on in a later epoch, tombstones included."""
    spool = _spool(tmp_path)
    for _ in range(5):
        _add(spool)
    spool.acknowledge(0, 2)
    waiting = spool.next(0)
    assert waiting is not None
    spool.bury(waiting[0])
    spool.rebase(77)
    _add(spool)
    taken = _drain(spool)
    assert [(header.epoch, header.sequence) for _, header in taken] == [(77, i) for i in range(4)]
    assert [kept for kept, _ in taken] == [False, True, True, True]
    _assert_chained([header for _, header in taken])
    assert _spool(tmp_path).position.epoch == 78


def test_another_identity_starts_afresh(tmp_path: Path) -> None:
    """Batches of an earlier enrolment would be refused: they are not sent under the new one."""
    spool = _spool(tmp_path)
    _add(spool)
    other = Spool(tmp_path, SMALL, Identity("http://127.0.0.1", "other", "a2"), KEY, "boot")
    assert other.waiting == 0
    assert other.position.previous == b""


def test_a_full_disk_keeps_the_position(tmp_path: Path) -> None:
    """A batch that could not be written is not part of the chain."""
    spool = _spool(tmp_path)
    _add(spool)
    position = spool.position
    size = spool.size_bytes
    os.close(spool._segments[-1]._file)
    spool._segments[-1]._file = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(OutOfSpace, match="cannot be written: No space left on device"):
        _add(spool)
    assert spool.position == position
    assert spool.size_bytes == size
    assert spool.trouble


WRITER = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from agent.deliver.test_spool import _add
from tocsin.agent.config import SpoolSettings
from tocsin.agent.identity import Identity
from tocsin.agent.deliver.spool import Spool
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
key = Ed25519PrivateKey.from_private_bytes(bytes(32))
import agent.deliver.test_spool as t
t.KEY = key
spool = Spool(pathlib.Path(sys.argv[1]), SpoolSettings(max_bytes=10**9), Identity("u", "acme", "a1"), key, "boot")
while True:
    _add(spool)
    print(spool.position.epoch, spool.position.sequence, flush=True)
"""


def test_kill_9_loses_no_batch_that_was_spooled(tmp_path: Path) -> None:
    """Killed at random moments, every batch that `append` returned for is there, in an unbroken chain."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    spooled: list[tuple[int, int]] = []
    for _ in range(4):
        arguments = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parents[2])]
        writer = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(random.uniform(0.02, 0.15))  # noqa: S311 - when to strike is no secret
        writer.send_signal(signal.SIGKILL)
        last = writer.communicate()[0].rstrip("\n").split("\n")[-1].split()
        if len(last) == 2:
            spooled.append((int(last[0]), int(last[1])))
    spool = Spool(tmp_path, SpoolSettings(max_bytes=10**9), Identity("u", "acme", "a1"), key, "boot")
    headers: list[BatchHeader] = []
    while (waiting := spool.next(0)) is not None:
        headers.append(decode_envelope(waiting[1])[1])
        spool.acknowledge(headers[-1].epoch, headers[-1].sequence + 1)
    _assert_chained(headers)
    assert spooled
    for epoch, count in spooled:
        assert len([header for header in headers if header.epoch == epoch]) >= count - 1
