"""Single records: golden values of go-libaudit, odd input, and the speed path equal to the careful one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidRecord
from tocsin.normalize.auditd import parse
from tocsin.normalize.auditd.interpret import interpret, rule_keys
from tocsin.normalize.auditd.parse import parse_kernel, parse_line
from tocsin.normalize.auditd.record import AuditRecord

SYSCALL, PATH, EXECVE, SOCKADDR, CWD, USER_LOGIN = 1300, 1302, 1309, 1306, 1307, 1112


def _golden_pairs(folder: Path) -> list[tuple[str, Any]]:
    logs = sorted(folder.glob("*.log"))
    pairs = [
        (line, expected)
        for log in logs
        for line, expected in zip(
            filter(None, log.read_text().splitlines()),
            json.loads(log.with_name(log.name + ".golden").read_text()),
            strict=True,
        )
    ]
    assert len(logs) == len(list(folder.glob("*.golden")))
    return pairs


@pytest.mark.data
def test_golden_records_equal_in_every_value(public_data: Path) -> None:
    """Each of go-libaudit's 84 records has the type, time, serial, keys and values that its golden file states."""
    pairs = _golden_pairs(public_data / "audit/go-libaudit/auparse")
    for line, expected in pairs:
        record = parse_line(line)
        if expected is None:  # AUDIT_REPLACE, a bare process id, which go-libaudit cannot read
            assert record.type == "REPLACE"
            continue
        time_ms = round(datetime.fromisoformat(expected["@timestamp"]).timestamp() * 1000)
        assert (record.type.lower(), record.time_ms, record.serial) == (
            expected["record_type"],
            time_ms,
            expected["sequence"],
        )
        assert interpret(record) == expected["data"]
        assert list(rule_keys(record)) == expected.get("keys", [])
    assert len(pairs) == 84


@pytest.mark.data
@pytest.mark.parametrize(
    "log",
    [
        "beats/filebeat/module/auditd/log/test/audit-rhel7.log",
        "beats/filebeat/module/auditd/log/test/audit-rhel6.log",
        "beats/filebeat/module/auditd/log/test/test.log",
        "otrf/defense_evasion/host/sh_binary_padding_dd_2020-11-10081941.log",
        "otrf/discovery/host/sh_arp_cache_2020-11-10074812.log",
    ],
)
def test_every_line_of_a_real_log_is_read(public_data: Path, log: str) -> None:
    """No line of a real log is refused, and every record with a body has fields."""
    lines = (public_data / "audit" / log).read_bytes().splitlines()
    records = [parse_line(line) for line in lines]
    assert len(records) == len(lines) > 0
    assert all(record.keys for record in records if record.type != "EOE")


def test_kernel_and_log_give_the_same_record() -> None:
    """A netlink payload and the line that auditd would log of it are read alike."""
    body = 'audit(1604996384.965:93777): item=0 name="/bin/dd" inode=20 nametype=NORMAL'
    ours, logged = parse_kernel(PATH, body.encode()), parse_line(f"type=PATH msg={body}")
    assert (ours.type, ours.time_ms, ours.serial) == ("PATH", 1604996384965, 93777)
    assert ours.fields() == logged.fields() == {"item": "0", "name": "/bin/dd", "inode": "20", "nametype": "NORMAL"}


def test_node_and_enrichment_are_read() -> None:
    """A line of an enriched log keeps its node, and what auditd added follows the fields under its own names."""
    line = 'node=web1 type=CWD msg=audit(1.002:3): cwd="/x y=z"\x1dAUID="root" SADDR={ fam=inet } ARCH=x86_64'
    record = parse_line(line)
    assert record.node == "web1"
    assert record.fields() == {"cwd": "/x y=z", "AUID": "root", "SADDR": "{ fam=inet }", "ARCH": "x86_64"}


def test_unknown_types_are_named_as_auditd_names_them() -> None:
    """A number nobody knows is printed with its number; one that a newer kernel named gets its name."""
    assert parse_kernel(1999, b"audit(1.002:3): a=1").type == "UNKNOWN[1999]"
    assert parse_line("type=UNKNOWN[1334] msg=audit(1.002:3): prog-id=5").type == "BPF"


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ('"(null)"', "(null)"),
        ("(null)", "(null)"),
        ("2F7372762F6120622063", "/srv/a b c"),
        ("2F7372762FC3A4", "/srv/ä"),
        ("2F7372762FFF", "/srv/\\xff"),
        ('"a=b"', "a=b"),
        ('"ABCD"', "ABCD"),
        ("abcd", "abcd"),
        ("ABC", "ABC"),
    ],
)
def test_strings_are_decoded_as_the_kernel_prints_them(printed: str, value: str) -> None:
    """Quoted is data; unquoted is hex in capital letters, or a literal."""
    record = parse_kernel(PATH, f"audit(1.002:3): item=0 name={printed} inode=1".encode())
    assert record.get("name") == value


def test_what_looks_like_fields_inside_a_quoted_string_is_data() -> None:
    """An argument cannot forge a field, whatever shapes were seen before."""
    parse_kernel(EXECVE, b'audit(1.002:1): argc=4 a0="a" a1="b" a2="c" a3="d"')
    record = parse_kernel(EXECVE, b'audit(1.002:3): argc=3 a0="x" a1="y=a2=z" a2="w"')
    assert record.fields() == {"argc": "3", "a0": "x", "a1": "y=a2=z", "a2": "w"}


def test_inner_message_is_flattened_and_loses_nothing() -> None:
    """The fields of msg='...' join the record's, and a name that clashes keeps both values."""
    record = parse_line("type=USER_LOGIN msg=audit(1.002:3): pid=1 uid=0 msg='op=login pid=77 res=failed'")
    assert list(zip(record.keys, record.values, strict=True)) == [
        ("pid", "1"),
        ("uid", "0"),
        ("op", "login"),
        ("pid", "77"),
        ("res", "failed"),
    ]
    assert record.fields() == {"pid": "1", "uid": "0", "op": "login", "pid#2": "77", "res": "failed"}


def test_records_of_one_shape_share_their_keys() -> None:
    """The same names are the same object, so that looking one up costs nothing."""
    bodies = [f'audit(1.002:{serial}): item=0 name="/bin/{serial}" inode=20'.encode() for serial in range(3)]
    assert len({id(parse_kernel(PATH, body).keys) for body in bodies}) == 1


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "type="),
        ("hello", "hello"),
        ("type=SYSCALL msg=audit(x.1:2): a=1", "SYSCALL"),
        ("type=SYSCALL msg=audit(1.100:4294967296): a=1", "SYSCALL"),
        ("type=SYSCALL msg=", "SYSCALL"),
        ("type=sys call msg=audit(1.100:1): a=1", "sys call"),
        ("type= msg=audit(1.100:1): a=1", "type"),
    ],
)
def test_unreadable_lines_say_what_is_wrong(line: str, named: str) -> None:
    """A line without type or header is refused with its beginning in the message."""
    with pytest.raises(InvalidRecord, match=named):
        parse_line(line)


@given(st.binary(max_size=300), st.integers(0, 4000))
def test_any_bytes_are_read_or_refused(payload: bytes, number: int) -> None:
    """Arbitrary bytes never raise anything but InvalidRecord."""
    readers: list[Callable[[], AuditRecord]] = [lambda: parse_line(payload), lambda: parse_kernel(number, payload)]
    for read in readers:
        try:
            record = read()
        except InvalidRecord:
            continue
        assert len(record.keys) == len(record.values)


BODIES = st.text(st.sampled_from("ab0AF \"'=()[],:\x1d\t\\é"), max_size=60)


@given(BODIES, st.sampled_from(["SYSCALL", "PATH", "EXECVE", "AVC", "LOGIN", "PROCTITLE", "USER_CMD", "SOCKADDR"]))
def test_any_body_under_a_good_header_is_read(body: str, kind: str) -> None:
    """With a header, whatever follows is a record; reading it again by position gives the same."""
    line = f"type={kind} msg=audit(1.002:3): a=1 {body}"
    first, again = parse_line(line), parse_line(line)
    assert (first.keys, first.values) == (again.keys, again.values)


FIELD_VALUES = st.one_of(
    st.from_regex(r"[a-z0-9:/._-]{1,12}", fullmatch=True),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"'), max_size=12).map('"{}"'.format),
    st.binary(min_size=1, max_size=12).map(lambda raw: raw.hex().upper()),
    st.just("(null)"),
)


@given(st.lists(st.tuples(st.sampled_from(["name", "comm", "pid", "mode", "key", "a0"]), FIELD_VALUES), max_size=8))
def test_reading_by_position_equals_reading_with_care(fields: list[tuple[str, str]]) -> None:
    """What the kernel can print gives the same values whether its order of names was known or not."""
    body = " ".join(f"{key}={value}" for key, value in fields)
    parse._learnt.clear()
    careful = parse_kernel(EXECVE, f"audit(1.002:3): {body}".encode())
    by_position = parse_kernel(EXECVE, f"audit(1.002:3): {body}".encode())
    assert careful.keys == by_position.keys == tuple(key for key, _ in fields) or not fields
    assert careful.values == by_position.values
