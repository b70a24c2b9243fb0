"""Normal forms."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.intel.address import network, network_text, packed, reserved
from tocsin.intel.indicator import Kind
from tocsin.intel.value import guess, normal, parents, refang


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("hxxps://Evil[.]com:443/A?b=1#c", Kind.URL, "https://evil.com/A?b=1"),
        ("hXXp[:]//evil(dot)com", Kind.URL, "http://evil.com/"),
        ("http://user:secret@evil.com:8080", Kind.URL, "http://evil.com:8080/"),
        ("evil.com/path", Kind.URL, "http://evil.com/path"),
        ("http://[2001:DB8::1]/x", Kind.URL, "http://[2001:db8::1]/x"),
        ("198.51[.]100[.]7", Kind.IP, "198.51.100.7"),
        ("::ffff:198.51.100.7", Kind.IP, "198.51.100.7"),
        ("2001:DB8:0:0:0:0:0:1", Kind.IP, "2001:db8::1"),
        ("198.51.100.7/24", Kind.CIDR, "198.51.100.0/24"),
        ("198.51.100.7/32", Kind.IP, "198.51.100.7"),
        ("2001:db8::5/64", Kind.CIDR, "2001:db8::/64"),
        ("Evil.Example.", Kind.DOMAIN, "evil.example"),
        ("*.evil.example", Kind.DOMAIN, "evil.example"),
        ("bücher.example", Kind.DOMAIN, "xn--bcher-kva.example"),
        ("D41D8CD98F00B204E9800998ECF8427E", Kind.MD5, "d41d8cd98f00b204e9800998ecf8427e"),
        ("Bad[@]Evil[.]example", Kind.EMAIL, "bad@evil.example"),
    ],
)
def test_a_value_has_one_normal_form(text: str, kind: Kind, value: str) -> None:
    """What feeds write in many ways is one value of one kind, and its normal form is its own."""
    assert guess(text) == (kind, value)
    assert normal(kind, value) == (kind, value)


@pytest.mark.parametrize(
    "text", ["", "com", "localhost", "a b.com", "1.2.3", "0.0.0.0/0", "10.0.0.0/7", "x" * 300, "-"]
)
def test_what_says_nothing_is_refused(text: str) -> None:
    """Single labels, half addresses and networks of half the internet are no indicators."""
    with pytest.raises(ValueError, match=r".+"):
        guess(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes reading a value fail in any other way, and what is read is read the same again."""
    try:
        kind, value = guess(text)
    except ValueError:
        return
    assert normal(kind, value) == (kind, value)


@given(st.ip_addresses(), st.integers(0, 128))
def test_networks_are_those_of_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    """First address, prefix and text of a network agree with `ipaddress`."""
    length = min(length, address.max_prefixlen)
    if address.version == 6 and int(address) >> 32 in (0, 0xFFFF):
        return  # written by some with an IPv4 tail
    expected = ipaddress.ip_network((address, length), strict=False)
    found = network(f"{address}/{length}")
    assert found is not None
    whole = length == address.max_prefixlen
    assert network_text(*found) == (str(expected.network_address) if whole else str(expected))


def test_addresses_of_zones_are_none() -> None:
    """A zone is a matter of one host: such an address names nothing elsewhere."""
    assert packed("fe80::1%eth0") is None


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_addresses_that_are_nobody_elses(address: str) -> None:
    """Private, loopback, link-local and multicast addresses are known as such."""
    assert reserved(address)
    assert not reserved("8.8.8.8")


def test_parents_end_before_the_last_label() -> None:
    """A name lies in all that follow a dot of it, but no feed lists a whole top-level domain."""
    assert parents("a.b.evil.example") == ["a.b.evil.example", "b.evil.example", "evil.example"]


def test_refang_leaves_plain_text_alone() -> None:
    """What was never defanged stays as it is."""
    assert refang("http://evil.example/a%5B.%5D") == "http://evil.example/a%5B.%5D"
