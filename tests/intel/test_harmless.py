"""Warning lists: what they hide, by type."""

from __future__ import annotations

from pathlib import Path

import pytest

from intel.feeds import indicator
from tocsin.intel.harmless import hidden_by
from tocsin.intel.indicator import Kind
from tocsin.intel.options import Options
from tocsin.intel.read import plain
from tocsin.intel.read.warning_list import WarningList, read_warning_list
from tocsin.intel.table import gather

EVERY = frozenset(Kind)


@pytest.mark.parametrize(
    ("kind", "entries", "hidden", "shown"),
    [
        (
            "cidr",
            ["198.51.0.0/16", "2a00::/32"],
            ["198.51.1.7", "198.51.1.0/24", "2a00::1"],
            ["198.0.0.0/8", "2a01::1"],
        ),
        ("cidr", ["198.51.1.7"], ["198.51.1.7"], ["198.51.1.0/24", "198.51.1.8"]),
        ("string", ["Example.com", "198.51.1.7"], ["example.com", "198.51.1.7"], ["www.example.com", "198.51.1.8"]),
        ("string", ["D41D8CD98F00B204E9800998ECF8427E"], ["d41d8cd98f00b204e9800998ecf8427e"], ["0" * 32]),
        ("hostname", ["example.com", ".co.example"], ["www.example.com", "x.co.example"], ["badexample.com"]),
        ("hostname", ["example.com"], ["http://www.example.com/x"], ["http://evil.example/?example.com"]),
        (
            "substring",
            ["update.", "a+b"],
            ["http://update.example.com/", "http://x.example/a+b"],
            ["http://x.example/aab"],
        ),
        (
            "regex",
            ["/^WWW\\./i", "^cdn[0-9]\\.", "(?=look)"],
            ["www.example.com", "cdn1.example.com"],
            ["ww.example.com"],
        ),
    ],
)
def test_each_type_hides_what_it_says(kind: str, entries: list[str], hidden: list[str], shown: list[str]) -> None:
    """Exact texts, networks with all that lies in them, hosts with their names below, parts and patterns."""
    rows = gather([indicator(text) for text in [*hidden, *shown]], 1).rows
    found = hidden_by(rows, [("list", WarningList("", kind, tuple(entries), EVERY))])
    assert found == ["list"] * len(hidden) + [None] * len(shown)


def test_the_first_list_is_named() -> None:
    """Where two lists hide an indicator, the first is named; a list hides only the kinds that it is for."""
    rows = gather([indicator("198.51.1.7"), indicator("evil.example")], 1).rows
    only_names = WarningList("", "regex", (".",), frozenset({Kind.DOMAIN}))
    everything = WarningList("", "regex", (".",), EVERY)
    assert hidden_by(rows, [("names", only_names), ("all", everything)]) == ["all", "names"]


@pytest.mark.data
def test_public_lists_hide_what_public_feeds_list(public_data: Path) -> None:
    """Of ipsum's addresses some are resolvers, clouds' or a CDN's; nothing of it is private."""
    rows = gather(plain.read((public_data / "intel/ipsum/3.txt").read_bytes(), Options()), 1).rows
    lists = {path.parent.name: path for path in (public_data / "intel/misp-warninglists").rglob("list.json")}
    counted = {}
    for name, path in lists.items():
        found = hidden_by(rows, [(name, read_warning_list(path.read_bytes()))])
        counted[name] = sum(each is not None for each in found)
    assert counted["amazon-aws"] == 321
    assert counted["rfc1918"] == counted["multicast"] == counted["crl-hostname"] == 0
