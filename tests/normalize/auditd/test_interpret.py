"""Socket addresses, keys and results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.normalize.auditd.interpret import decode_sockaddr, interpret, is_success, rule_keys
from tocsin.normalize.auditd.parse import parse_line


@pytest.mark.parametrize(
    ("saddr", "expected"),
    [
        ("02000050A9FEA9FE0000000000000000", {"family": "ipv4", "addr": "169.254.169.254", "port": "80"}),
        ("0A0001BB00000000" + "00" * 15 + "0100000000", {"family": "ipv6", "addr": "::1", "port": "443"}),
        (
            "0A0001BB00000000" + "00" * 10 + "FFFF7F00000100000000",
            {"family": "ipv6", "addr": "127.0.0.1", "port": "443"},
        ),
        (
            "0A0001BB00000000" + "00" * 8 + "FFFF0000010203040000",
            {"family": "ipv6", "addr": "::ffff:0:102:304", "port": "443"},
        ),
        ("01002F72756E2F7800DEADBEEF", {"family": "unix", "path": "/run/x"}),
        ("0100006162006364", {"family": "unix", "path": "@ab"}),
        ("0100", {"family": "unix", "path": ""}),
        ("02000050", {"family": "ipv4", "saddr": "02000050"}),
        ("2800", {"family": "vsock", "saddr": "2800"}),
        ("xyz", {"saddr": "xyz"}),
    ],
)
def test_addresses_are_read(saddr: str, expected: dict[str, str]) -> None:
    """Families are named, mapped IPv4 is IPv4, stack garbage behind a Unix path is cut, the rest keeps its hex."""
    assert decode_sockaddr(saddr) == expected


@given(st.one_of(st.text(max_size=80), st.binary(max_size=40).map(bytes.hex)))
def test_any_address_is_read(saddr: str) -> None:
    """Nothing that stands in saddr raises."""
    assert decode_sockaddr(saddr)


def test_several_keys_are_told_apart() -> None:
    """Rules may carry several keys, and old auditctl wrote key=x into the key."""
    line = "type=SYSCALL msg=audit(1.002:3): arch=c000003e syscall=59 key={}"
    assert rule_keys(parse_line(line.format("65786563013634626974"))) == ("exec", "64bit")
    assert rule_keys(parse_line(line.format('"key=net"'))) == ("net",)
    assert rule_keys(parse_line(line.format("(null)"))) == ()


@pytest.mark.parametrize(
    ("printed", "success"), [("yes", True), ("1", True), ("success", True), ("no", False), ("0", False)]
)
def test_results_are_read(printed: str, *, success: bool) -> None:
    """The kernel prints yes and 1, programs success or failed."""
    assert is_success(printed) is success
    result = interpret(parse_line(f"type=USER_AUTH msg=audit(1.002:3): res={printed}"))["result"]
    assert result == ("success" if success else "fail")
