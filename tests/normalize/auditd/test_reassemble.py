"""Records to events: completion, timeouts by record time, gaps, long argument lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.normalize.auditd.parse import parse_kernel, parse_line
from tocsin.normalize.auditd.reassemble import AuditEvent, Reassembler
from tocsin.normalize.auditd.record import AuditRecord


def _record(kind: str, serial: int, time_ms: int = 1000, node: str = "", body: str = "a=1") -> AuditRecord:
    prefix = f"node={node} " if node else ""
    return parse_line(f"{prefix}type={kind} msg=audit({time_ms // 1000}.{time_ms % 1000:03}:{serial}): {body}")


def _run(reassembler: Reassembler, records: list[AuditRecord]) -> list[AuditEvent]:
    return [event for record in records for event in reassembler.push(record)]


def _shapes(events: list[AuditEvent]) -> list[tuple[int, int]]:
    return [(event.serial, len(event.records)) for event in events]


@pytest.mark.data
@pytest.mark.parametrize(
    ("log", "events", "lost"),
    [
        ("normal", [(58, 2), (59, 5), (60, 5), (61, 4), (62, 1)], 0),
        ("lost_messages", [(49, 2), (59, 5), (60, 5), (61, 4), (62, 1)], 9),
        ("out_of_order", [(58, 2), (59, 5), (60, 5), (61, 4), (62, 1)], 0),
        ("rollover", [(4294967294, 1), (4294967295, 1), (0, 1), (1, 1), (2, 1)], 0),
    ],
)
def test_public_logs_are_grouped_and_losses_counted(
    public_data: Path, log: str, events: list[tuple[int, int]], lost: int
) -> None:
    """go-libaudit's four logs give its events in its order, and its number of lost ones."""
    reassembler = Reassembler(timeout_ms=2000, max_pending=5)
    lines = (public_data / f"audit/go-libaudit/reassembler/{log}.log").read_bytes().splitlines()
    found = _run(reassembler, [parse_line(line) for line in lines]) + reassembler.flush()
    assert _shapes(found) == events
    assert reassembler.lost == lost


def test_eoe_completes_and_proctitle_completes() -> None:
    """Either ends an event at once; the EOE after a PROCTITLE begins nothing."""
    reassembler = Reassembler()
    records = [_record("SYSCALL", 1), _record("PATH", 1), _record("EOE", 1, body=""), _record("SYSCALL", 2)]
    assert _shapes(_run(reassembler, records)) == [(1, 2)]
    assert _shapes(_run(reassembler, [_record("PROCTITLE", 2), _record("EOE", 2, body="")])) == [(2, 2)]
    assert reassembler.pending == 0


def test_interleaved_events_are_kept_apart() -> None:
    """Two CPUs write at once; records go to their own event by serial."""
    records = [_record(kind, serial) for kind in ("SYSCALL", "CWD", "PATH", "PROCTITLE") for serial in (1, 2, 3)]
    assert _shapes(_run(Reassembler(), records)) == [(1, 4), (2, 4), (3, 4)]


def test_user_messages_stand_alone() -> None:
    """A record from user space is an event at once, no EOE follows it."""
    assert _shapes(
        _run(Reassembler(), [_record("USER_LOGIN", 1), _record("DAEMON_END", 9), _record("ADD_USER", 2)])
    ) == [
        (1, 1),
        (9, 1),
        (2, 1),
    ]


@pytest.mark.parametrize("kind", ["LOGIN", "CONFIG_CHANGE", "ANOM_ABEND", "AVC", "KERN_MODULE", "SECCOMP"])
def test_kernel_records_wait_for_their_system_call(kind: str) -> None:
    """Records that may begin a system call's event are joined with the SYSCALL that follows."""
    events = _run(Reassembler(), [_record(kind, 1), _record("SYSCALL", 1), _record("EOE", 1, body="")])
    assert _shapes(events) == [(1, 2)]


def test_timeout_goes_by_record_time() -> None:
    """An event without an end is given when a later record, or the caller, moves time beyond the timeout."""
    reassembler = Reassembler(timeout_ms=2000)
    assert not _run(reassembler, [_record("CONFIG_CHANGE", 1, 1000), _record("SYSCALL", 2, 3000)])
    assert _shapes(_run(reassembler, [_record("SYSCALL", 3, 3001)])) == [(1, 1)]
    assert not reassembler.expire(5000)
    assert _shapes(reassembler.expire(5001)) == [(2, 1)]


def test_a_live_caller_gets_lone_records_soon() -> None:
    """What nothing says to be part of a system call is given by the clock; what is part of one waits for its end."""
    reassembler = Reassembler()
    assert _run(reassembler, [_record("ANOM_ABEND", 1), _record("SYSCALL", 2), _record("CONFIG_CHANGE", 3)]) == []
    assert reassembler.expire(1100) == []
    assert _shapes(reassembler.expire(1400)) == [(1, 1), (3, 1)]
    assert reassembler.pending == 1
    assert _shapes(reassembler.expire(3100)) == [(2, 1)]


def test_clock_set_back_does_not_hold_events() -> None:
    """After the clock is set back, what was stamped before it is given all the same."""
    reassembler = Reassembler(timeout_ms=2000)
    stream = [(1, 900_000), (2, 1000), (3, 1000)]
    assert _shapes(_run(reassembler, [_record("SYSCALL", serial, time_ms) for serial, time_ms in stream])) == [(1, 1)]


def test_cap_gives_the_oldest() -> None:
    """More events than the cap do not wait."""
    reassembler = Reassembler(max_pending=2)
    assert _shapes(_run(reassembler, [_record("SYSCALL", serial) for serial in (1, 2, 3)])) == [(1, 1)]
    assert reassembler.pending == 2


def test_nodes_have_their_own_serials_and_clocks() -> None:
    """Logs of two machines in one file neither mix nor expire each other."""
    reassembler = Reassembler(timeout_ms=2000)
    records = [_record("SYSCALL", 7, 1000, "a"), _record("SYSCALL", 7, 99_000, "b"), _record("PATH", 7, 1000, "a")]
    assert not _run(reassembler, records)
    assert sorted((event.node, len(event.records)) for event in reassembler.flush()) == [("a", 2), ("b", 1)]
    assert reassembler.lost == 0


def test_late_serials_are_not_lost() -> None:
    """A gap that is filled within the timeout is no loss; one that is not becomes one."""
    reassembler = Reassembler(timeout_ms=2000)
    _run(reassembler, [_record("USER", serial) for serial in (1, 4, 2)])
    assert reassembler.lost == 0
    _run(reassembler, [_record("USER", 5, 9000)])
    assert reassembler.lost == 1


def test_gaps_beyond_the_cap_are_lost_at_once() -> None:
    """A gap of a million serials costs neither time nor memory, and is counted whole."""
    reassembler = Reassembler(max_pending=10)
    _run(reassembler, [_record("USER", 1), _record("USER", 1_000_002)])
    assert reassembler.lost == 1_000_000 - 10
    reassembler.flush()
    assert reassembler.lost == 1_000_000


def test_another_boot_is_no_loss() -> None:
    """Serials begin again at boot; auditd's own numbers say nothing; a reader of a part can switch counting off."""
    reassembler = Reassembler()
    _run(reassembler, [_record("USER", 500_000), _record("DAEMON_END", 42), _record("USER", 3), _record("USER", 4)])
    reassembler.flush()
    assert reassembler.lost == 0
    partial = Reassembler(count_gaps=False)
    _run(partial, [_record("USER", 1), _record("USER", 9)])
    partial.flush()
    assert partial.lost == 0


def test_record_without_header_gets_the_time_it_was_logged_at() -> None:
    """AUDIT_REPLACE carries no time; it is placed after the record before it."""
    events = _run(Reassembler(), [_record("USER", 1, 5000), parse_line("type=UNKNOWN[1329] msg=g\x05")])
    assert [(event.records[0].type, event.time_ms) for event in events] == [("USER", 5000), ("REPLACE", 5000)]


def _execve_records(arguments: list[bytes], size: int) -> list[AuditRecord]:
    """Print arguments as the kernel does, a new record after every chunk of `size` bytes of a long one."""
    bodies = [f"argc={len(arguments)}"]
    for number, argument in enumerate(arguments):
        if len(argument) <= size:
            bodies[-1] += f" a{number}={argument.hex().upper()}"
            continue
        chunks = [argument[at : at + size] for at in range(0, len(argument), size)]
        bodies[-1] += f" a{number}_len={2 * len(argument)} a{number}[0]={chunks[0].hex().upper()}"
        bodies += [f" a{number}[{at}]={chunk.hex().upper()}" for at, chunk in enumerate(chunks[1:], 1)]
    return [parse_kernel(1309, f"audit(1.000:1): {body}".encode()) for body in bodies]


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=40), min_size=1))
def test_split_arguments_are_joined_before_they_are_decoded(arguments: list[str]) -> None:
    """Whatever the chunks cut through, the event has one EXECVE with the arguments as they were."""
    records = _execve_records([argument.encode() for argument in arguments], size=7)
    reassembler = Reassembler()
    assert not _run(reassembler, [_record("SYSCALL", 1), *records])
    (event,) = reassembler.push(_record("EOE", 1, body=""))
    assert [record.type for record in event.records] == ["SYSCALL", "EXECVE"]
    assert event.records[1].fields() == {
        "argc": str(len(arguments)),
        **{f"a{number}": argument for number, argument in enumerate(arguments)},
    }


def test_quoted_chunks_are_joined() -> None:
    """A long argument of plain characters comes in quotes, chunk by chunk."""
    bodies = ['argc=2 a0="sh" a1_len=6 a1[0]="a=b"', ' a1[1]="c,d"']
    records = [parse_kernel(1309, f"audit(1.000:1): {body}".encode()) for body in bodies]
    reassembler = Reassembler()
    _run(reassembler, records)
    (event,) = reassembler.flush()
    assert event.records[0].fields() == {"argc": "2", "a0": "sh", "a1": "a=bc,d"}


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 10**7), st.sampled_from(["SYSCALL", "PATH", "USER", "EOE"]))
    )
)
def test_no_record_is_lost_or_doubled(stream: list[tuple[int, int, str]]) -> None:
    """Whatever serials and times come, every record but EOE leaves in exactly one event."""
    records = [_record(kind, serial, time_ms + 1) for serial, time_ms, kind in stream]
    reassembler = Reassembler(max_pending=4)
    events = _run(reassembler, records) + reassembler.flush()
    given_back = [id(record) for event in events for record in event.records]
    assert sorted(given_back) == sorted(id(record) for record in records if record.type != "EOE")
