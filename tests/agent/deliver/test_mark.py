"""What a killed agent leaves to the one that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.agent.deliver.mark import Mark, MarkFile
from tocsin.normalize.auditd.parse import parse_line
from tocsin.normalize.auditd.reassemble import Reassembler


def test_the_mark_holds_for_one_run_of_the_machine(tmp_path: Path) -> None:
    """After a reboot the kernel numbers anew; a longer number leaves nothing of a shorter one behind."""
    written = MarkFile(tmp_path, "boot-1")
    written.write(99_999, 5)
    written.write(7, 5)
    assert MarkFile(tmp_path, "boot-1").left() == Mark("boot-1", 7, 5)
    assert MarkFile(tmp_path, "boot-2").left() is None
    written.remove()
    assert MarkFile(tmp_path, "boot-1").left() is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"serial": 1}', b"\0" * 256])
def test_a_damaged_mark_is_none(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file, the agent starts."""
    (tmp_path / "mark").write_bytes(content)
    assert MarkFile(tmp_path, "boot-1").left() is None


def _see(reassembler: Reassembler, serial: int, ended: bool = True) -> None:  # noqa: FBT001, FBT002 -- reads well below
    stamp = f"audit(1700000000.{serial % 1000:03}:{serial})"
    reassembler.push(parse_line(f"type=SYSCALL msg={stamp}: syscall=59"))
    if ended:
        reassembler.push(parse_line(f"type=EOE msg={stamp}: "))


def test_what_came_since_the_mark_is_lost_at_once() -> None:
    """Nobody listened to it; what follows is counted as ever, a gap may still be filled."""
    reassembler = Reassembler()
    reassembler.resume(100)
    _see(reassembler, 111)
    assert (reassembler.lost, reassembler.settled) == (10, 111)
    _see(reassembler, 114)
    assert (reassembler.lost, reassembler.settled) == (10, 111)
    _see(reassembler, 112)
    _see(reassembler, 113)
    assert (reassembler.lost, reassembler.settled) == (10, 114)


def test_an_event_that_is_not_whole_is_not_settled() -> None:
    """The agent may be killed before it is."""
    reassembler = Reassembler()
    assert reassembler.settled is None
    _see(reassembler, 5)
    _see(reassembler, 6, ended=False)
    _see(reassembler, 7)
    assert reassembler.settled == 5
