"""Every modifier and kind of value of the specification, on one JSON event, by all three evaluators."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from judged import judged
from tocsin.detect.sigma.document import documents
from tocsin.detect.sigma.library import load
from tocsin.detect.sigma.logsource import RAW
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.errors import InvalidRule
from tocsin.model.event import Event
from tocsin.model.rule import Rule

_HEAD = "title: Test\nid: test\nlogsource: {product: test}\n"


def _rule(detection: str, **placeholders: tuple[str, ...]) -> Rule:
    (document,) = documents(f"{_HEAD}detection:\n{detection}\n", "test.yml")
    return load_rule(document, RAW, placeholders)


def _fires(detection: str, source: str, **placeholders: tuple[str, ...]) -> bool:
    rule = _rule(detection, **placeholders)
    return judged(rule.condition, Event(0, {"time": 1, "unmapped.source": source}))


def _holds(term: str, source: str, **placeholders: tuple[str, ...]) -> bool:
    return _fires(f"  s:\n    {term}\n  condition: s", source, **placeholders)


def _of(text: str) -> str:
    """An original whose `f` is the text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\u0000")
    return f'{{"f": "{escaped}"}}'


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("term", "fires", "misses"),
    [
        ("f: 'a b'", "A B", "a b "),
        ("f|contains: 'b'", "aBc", "ac"),
        ("f|startswith: 'b'", "Bc", "ab"),
        ("f|endswith: 'b'", "aB", "ba"),
        ("f|contains|all: [a, b]", "xBxA", "xA"),
        ("f|cased: 'aB'", "aB", "ab"),
        ("f|contains|cased: 'aB'", "xaBx", "xabx"),
        ("f|cased|contains: 'aB'", "xaBx", "xabx"),
        ("f|neq: a", "b", "A"),
        ("f|neq: [a, b]", "c", "b"),
        ("f|contains|neq: a", "b", "xAx"),
    ],
)
def test_texts(term: str, fires: str, misses: str) -> None:
    """Whole, parts, all of several, letter case, and not."""
    assert _holds(term, _of(fires))
    assert not _holds(term, _of(misses))


@pytest.mark.parametrize(
    ("term", "fires", "misses"),
    [
        ("f: 'a*c'", "abbc", "abcd"),
        ("f: 'a*c'", "a\\nc", "bac"),
        ("f: 'a?c'", "abc", "ac"),
        (r"f: 'a\*c'", "a*c", "abc"),
        (r"f: 'a\?c'", "a?c", "abc"),
        (r"f: 'a\\*c'", r"a\\bc", r"a\*"),
        (r"f: 'a\bc'", r"a\\bc", "abc"),
        (r"f: 'a\\bc'", r"a\\bc", r"a\\\\bc"),
        (r"f: 'a\\\\bc'", r"a\\\\bc", r"a\\bc"),
        (r"f|endswith: '\\c'", r"a\\c", "ac"),
        ("f: '*'", "", None),
        ("f: '?'", "x", ""),
        ("f: ''", "", " "),
    ],
)
def test_wildcards_and_escapes(term: str, fires: str, misses: str | None) -> None:
    """The specification's escapes: a backslash escapes `*`, `?` and a backslash before one, and is plain elsewhere."""
    assert _holds(term, f'{{"f": "{fires}"}}')
    assert not _holds(term, "{}" if misses is None else f'{{"f": "{misses}"}}')


@pytest.mark.parametrize(
    ("term", "fires", "misses"),
    [
        ("f|re: '^a.c$'", "abc", "ABC"),
        ("f|re: 'b+'", "abbc", "ac"),
        ("f|re|i: '^a.c$'", "ABC", "AB"),
        ("f|re|m: '^b$'", "a\\nb\\nc", "abc"),
        ("f|re: '^b$'", "b", "a\\nb\\nc"),
        ("f|re|s: 'a.c'", "a\\nc", "ac"),
        ("f|re: 'a.c'", "abc", "a\\nc"),
        ("f|re|i|m|s: '^A.C$'", "x\\na\\nc", "xa\\nc"),
        ("f|re|contains: 'a|b'", "xbx", "xcx"),
        ("f|re|expand: '^%names%$'", "eve", "evelyn"),
    ],
)
def test_regular_expressions(term: str, fires: str, misses: str) -> None:
    """Found anywhere, minding case unless told; flags i, m and s."""
    assert _holds(term, f'{{"f": "{fires}"}}', names=("bob", "eve"))
    assert not _holds(term, f'{{"f": "{misses}"}}', names=("bob", "eve"))


@pytest.mark.parametrize("network", ["10.0.0.0/8", "10.1.2.3/32", "10.1.2.3"])
def test_networks_of_version_4(network: str) -> None:
    """An address in the network, or the one address."""
    assert _holds(f"f|cidr: '{network}'", _of("10.1.2.3"))
    assert not _holds(f"f|cidr: '{network}'", _of("11.1.2.3"))
    assert not _holds(f"f|cidr: '{network}'", _of("10.1.2"))


def test_networks_of_version_6() -> None:
    """However the address is written; several networks are alternatives."""
    for text in ("fe80::1", "FE80:0:0:0:0:0:0:1"):
        assert _holds("f|cidr: ['10.0.0.0/8', 'fe80::/10']", _of(text))
    assert not _holds("f|cidr: 'fe80::/10'", _of("::1"))


@pytest.mark.parametrize(
    ("modifiers", "raw"),
    [
        ("base64", b"hello"),
        ("wide|base64", "hello".encode("utf-16-le")),
        ("utf16le|base64", "hello".encode("utf-16-le")),
        ("utf16be|base64", "hello".encode("utf-16-be")),
        ("utf16|base64", b"\xff\xfe" + "hello".encode("utf-16-le")),
    ],
)
def test_encodings(modifiers: str, raw: bytes) -> None:
    """The text in Base64 of its bytes, as PowerShell and malware write it."""
    encoded = _base64(raw)
    assert _holds(f"f|{modifiers}|contains: hello", _of(f"x {encoded}"))
    assert _holds(f"f|{modifiers}: hello", _of(encoded))
    assert not _holds(f"f|{modifiers}|contains: hellp", _of(f"x {encoded}"))


@pytest.mark.parametrize("modifiers", ["base64offset", "wide|base64offset", "utf16be|base64offset"])
@pytest.mark.parametrize("text", ["hello", "Grüße", "日本語"])
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", range(3))
def test_base64_at_any_offset(modifiers: str, text: str, before: int, after: int) -> None:
    """Whatever stands before and after, and for more than ASCII too."""
    encoding = {"wide": "utf-16-le", "utf16be": "utf-16-be"}.get(modifiers.partition("|")[0], "utf-8")
    encoded = _base64(b"x" * before + text.encode(encoding) + b"y" * after)
    assert _holds(f"f|{modifiers}|contains: {text}", _of(encoded))


def test_wide_text_in_the_open() -> None:
    """Every second character is a NUL."""
    rule = _rule("  s: {f|wide|contains: cmd}\n  condition: s")
    assert rule.condition.test.value == "c\0m\0d\0"  # type: ignore[union-attr]


@pytest.mark.parametrize("dash", ["-", "/", "\u2013", "\u2014", "\u2015"])
def test_windash(dash: str) -> None:
    """A dash or slash before a word stands for all five; one within a word for itself."""
    assert _holds("f|windash|contains: ' -param-name'", _of(f"x {dash}param-name"))
    assert not _holds("f|windash|contains: ' -param-name'", _of(f"x {dash}param/name"))
    assert _holds("f|contains|windash: ' /e'", _of(f"x {dash}e y"))
    assert _holds("f|contains|windash: ' \u2014e'", _of(f"x {dash}e y"))


@pytest.mark.parametrize(
    ("term", "source", "fires"),
    [
        ("f: null", "{}", True),
        ("f: null", '{"f": null}', True),
        ("f: null", '{"f": []}', True),
        ("f: null", '{"f": ""}', False),
        ("f: ''", "{}", False),
        ("f: [null, a]", '{"f": "a"}', True),
        ("f: [null, a]", "{}", True),
        ("f|neq: a", "{}", True),
        ("f|exists: true", '{"f": ""}', True),
        ("f|exists: true", "{}", False),
        ("f|exists: false", "{}", True),
        ("f|exists: false", '{"f": 0}', False),
    ],
)
def test_missing_null_and_empty(term: str, source: str, fires: bool) -> None:  # noqa: FBT001 - a column of the table
    """Missing and null are the same; an empty text is a text."""
    assert _holds(term, source) is fires


@pytest.mark.parametrize(
    ("term", "value", "fires"),
    [
        ("f: 4625", '"4625"', True),
        ("f: '4625'", "4625", True),
        ("f: 4625", "4625.0", True),
        ("f: '4625'", "4625.0", False),
        ("f: 1.5", '"1.50"', True),
        ("f: -1", "-1", True),
        ("f: 1", "true", False),
        ("f: true", '"TRUE"', True),
        ("f: 'true'", "true", True),
        ("f|contains: '62'", "4625", True),
        ("f|lt: 10", "9", True),
        ("f|lt: 10", "10", False),
        ("f|lte: 10", '"10"', True),
        ("f|gt: 10", "9.5", False),
        ("f|gte: 10", "10.0", True),
        ("f|gt: 9", '"x10"', False),
        ("f|neq: 4625", "4624", True),
        ("f|neq: 4625", '"4625"', False),
        ("f: 4625", '{"a": 4625}', False),
        ("f|gt: 5", "18446744073709551615", True),
        ("f: 18446744073709551615", "18446744073709551615", True),
        ("f|gt: 5", "184467440737095516150", False),
    ],
)
def test_numbers_and_texts(term: str, value: str, fires: bool) -> None:  # noqa: FBT001 - a column of the table
    """A number in a rule is compared as a number, in quotes as a text; in an event both are looked at both ways."""
    assert _holds(term, f'{{"f": {value}}}') is fires


@pytest.mark.parametrize(
    ("term", "source", "fires"),
    [
        ("f|fieldref: g", '{"f": "Abc", "g": "aBC"}', True),
        ("f|fieldref: g", '{"f": "abc", "g": "ab"}', False),
        ("f|fieldref: g", '{"f": "abc"}', False),
        ("f|fieldref: g", "{}", False),
        ("f|fieldref|neq: g", '{"f": "abc", "g": "abd"}', True),
        ("f|fieldref|neq: g", '{"f": "abc", "g": "abc"}', False),
        ("f|fieldref|startswith: g", '{"f": "abc", "g": "AB"}', True),
        ("f|fieldref|startswith: g", '{"f": "abc", "g": "bc"}', False),
        ("f|fieldref|endswith: g", '{"f": "abc", "g": "BC"}', True),
        ("f|fieldref|contains: g", '{"f": "abc", "g": "b"}', True),
        ("f|cased|fieldref: g", '{"f": "abc", "g": "aBc"}', False),
        ("f|fieldref: [g, h]", '{"f": "x", "g": "y", "h": "x"}', True),
        ("f|fieldref: g.h", '{"f": 7, "g": {"h": "7"}}', True),
        ("f|fieldref: g", '{"f": ["a", "b"], "g": ["c", "B"]}', True),
    ],
)
def test_references_to_fields(term: str, source: str, fires: bool) -> None:  # noqa: FBT001 - a column of the table
    """The two fields' texts are compared, whole or in part; a missing one is equal to nothing."""
    assert _holds(term, source) is fires


@pytest.mark.parametrize(
    ("term", "value", "fires"),
    [
        ("f|minute: 1", '"2026-01-07T07:01:59Z"', True),
        ("f|hour: 7", '"2026-01-07T07:01:59+02:00"', True),
        ("f|hour: 5", '"2026-01-07T07:01:59+02:00"', False),
        ("f|hour: [6, 7]", '"2026-01-07 07:01:59.123"', True),
        ("f|day: 7", '"2026-01-07"', True),
        ("f|hour: 0", '"2026-01-07"', False),
        ("f|week: 2", '"2026-01-07T07:01:59Z"', True),
        ("f|week: 53", '"2027-01-03"', True),
        ("f|month: 1", "1767769267", True),
        ("f|year: 2026", "1767769267000", True),
        ("f|hour: 7", '"1767769267000000"', True),
        ("f|minute: 1", "1767769267000000000", True),
        ("f|hour|gte: 22", '"2026-01-07T23:00:00Z"', True),
        ("f|hour|gte: 22", '"2026-01-07T21:59:00Z"', False),
        ("f|hour|lt: 6", '"2026-02-30T05:00:00Z"', False),
        ("f|hour: 7", '"7"', False),
        ("f|day: 7", '"yesterday"', False),
        ("f|day|neq: 7", '"2026-01-08"', True),
    ],
)
def test_parts_of_times(term: str, value: str, fires: bool) -> None:  # noqa: FBT001 - a column of the table
    """As written, without conversion; of a number since 1970 in UTC; weeks as ISO 8601 numbers them."""
    assert _holds(term, f'{{"f": {value}}}') is fires


@pytest.mark.parametrize(
    ("term", "source", "fires"),
    [
        ("f: b", '{"f": ["a", "B"]}', True),
        ("f|contains|all: [a, b]", '{"f": ["xa", "xb"]}', True),
        ("f|neq: b", '{"f": ["a", "b"]}', False),
        ("f.g: b", '{"f": [{"g": "a"}, {"g": ["c", "b"]}]}', True),
        ("f.g: b", '{"f": {"g": {"b": 1}}}', False),
        ("f: '{\"g\":1}'", '{"f": {"g": 1}}', True),
        ("f: '[1]'", '{"f": [[1]]}', True),
    ],
)
def test_lists_and_objects_in_events(term: str, source: str, fires: bool) -> None:  # noqa: FBT001 - a column
    """Any element of a list may pass, for each value by itself; paths go through; an object's text is its JSON."""
    assert _holds(term, source) is fires


@pytest.mark.parametrize(
    ("detection", "source", "fires"),
    [
        ("  k: [foo, bar]\n  condition: k", '{"a": {"b": "xBARx"}}', True),
        ("  k: [foo, bar]\n  condition: k", '{"bar": "baz"}', False),
        ("  k: {'|all': [foo, bar]}\n  condition: k", '{"a": "foo", "b": ["bar"]}', True),
        ("  k: {'|all': [foo, bar]}\n  condition: k", '{"a": "foo"}', False),
        ("  k: foo*bar\n  condition: k", '{"a": "a foo and bar b"}', True),
        ("  k: 462\n  condition: k", '{"a": 4625}', True),
        ("  k: {'|re': '^f.o$'}\n  condition: k", '{"a": "foo"}', True),
        ("  k: {'|re': '^f.o$'}\n  condition: k", '{"a": "a foo"}', False),
        ("  k: {'|cased': Foo}\n  condition: k", '{"a": "foo"}', False),
        ("  k: [foo]\n  condition: not k", "{}", True),
    ],
)
def test_keywords(detection: str, source: str, fires: bool) -> None:  # noqa: FBT001 - a column of the table
    """Anywhere in any value, but not in keys."""
    assert _fires(detection, source) is fires


_SELECTIONS = "  s_a: {f: a}\n  s_b: {g: b}\n  other: {h: c}\n  _hidden: {i: d}\n"


@pytest.mark.parametrize(
    ("condition", "source", "fires"),
    [
        ("1 of s_*", '{"g": "b"}', True),
        ("all of s_*", '{"g": "b"}', False),
        ("all of s_*", '{"f": "a", "g": "b"}', True),
        ("any of s_*", '{"h": "c"}', False),
        ("1 of them", '{"h": "c"}', True),
        ("1 of them", '{"i": "d"}', False),
        ("_hidden", '{"i": "d"}', True),
        ("all of them", '{"f": "a", "g": "b"}', False),
        ("all of them", '{"f": "a", "g": "b", "h": "c"}', True),
        ("s_a or s_b and other", '{"f": "a"}', True),
        ("(s_a or s_b) and other", '{"f": "a"}', False),
        ("not s_a and not s_b", "{}", True),
        ("not 1 of s_*", '{"g": "b"}', False),
        ("s_a AND NOT other", '{"f": "a"}', None),
        ("[s_a, other]", '{"h": "c"}', True),
        ("[s_a, other]", '{"g": "b"}', False),
    ],
)
def test_conditions(condition: str, source: str, fires: bool | None) -> None:  # noqa: FBT001 - a column of the table
    """`not` binds before `and`, `and` before `or`; a list of conditions is any of them; operators are lower case."""
    if fires is None:
        with pytest.raises(InvalidRule):
            _fires(f"{_SELECTIONS}  condition: {condition}", source)
    else:
        assert _fires(f"{_SELECTIONS}  condition: {condition}", source) is fires


@pytest.mark.parametrize(
    ("selection", "source", "fires"),
    [
        ("{f: a, g: b}", '{"f": "a"}', False),
        ("[{f: a, g: b}, {h: c}]", '{"h": "c"}', True),
        ("[{f: a, g: b}, {h: c}]", '{"g": "b"}', False),
        ("[[{f: a}, {g: b}], {h: c}]", '{"g": "b"}', True),
        ("[foo, {f: a}]", '{"x": "foo"}', True),
    ],
)
def test_maps_and_lists_in_selections(selection: str, source: str, fires: bool) -> None:  # noqa: FBT001 - a column
    """The keys of a map must all hold, of a list one item."""
    assert _fires(f"  s: {selection}\n  condition: s", source) is fires


def test_placeholders_stand_for_texts(tmp_path: Path) -> None:
    """From a document with `vars` anywhere among the rules; wildcards in them are wildcards."""
    rule = f"{_HEAD}detection: {{s: {{f|expand: 'CN=%names%,*'}}, condition: s}}\n"
    (tmp_path / "rule.yml").write_text(rule)
    (tmp_path / "vars.yml").write_text("vars:\n  names: [bob, 'e*']\n")
    (loaded,) = load([tmp_path], RAW).rules
    for text, fires in (("CN=Bob,x", True), ("CN=eve,x", True), ("CN=ada,x", False)):
        assert judged(loaded.condition, Event(0, {"time": 1, "unmapped.source": _of(text)})) is fires
    (tmp_path / "vars.yml").unlink()
    (refused,) = load([tmp_path], RAW).refused
    assert "placeholder %names% has no value" in refused.reason


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("f|nosuch: a", "Unknown modifier"),
        ("f|re: '(?=a)'", "invalid perl operator"),
        ("f|re: '(a)\\1'", "invalid escape"),
        ("f|re: 'a.{900}b.{900}c.{900}'", "too large"),
        ("f|cidr: 10.0.0.0/33", "10.0.0.0/33"),
        ("f|lt: abc", "needs a number"),
        ("f|hour: 24", "there is no hour 24"),
        ("f|base64: 'a*'", "no wildcards"),
        ("f|wide|contains: 'ä'", "in Base64 only"),
        ("f|exists: maybe", "needs true or false"),
        ("f|expand: '%nosuch%'", "%nosuch% has no value"),
        ("f|fieldref: 'a*'", "wildcards"),
        ("f|windash: '-a -b -c -d'", "at most three"),
        ("f|all|re|base64: a", "cannot follow|only applicable"),
        (f"f: '{'a' * 20_000}?b'", "too large"),
    ],
)
def test_what_means_nothing_is_refused(term: str, words: str) -> None:
    """With the line of the rule; never taken for something else."""
    with pytest.raises(InvalidRule, match=words) as refused:
        _holds(term, "{}")
    assert refused.value.line >= 4


@pytest.mark.parametrize(
    ("term", "fires", "misses"),
    [
        ("f|contains: 46", "x46x", "x4x6"),
        ("f|contains|all: [46, b]", "b46", "46"),
        ("f|startswith: 4.5", "4.56", "4"),
        ("f|endswith: -7", "x-7", "-7x"),
        ("f|gt: '5'", "6", "5"),
        ("f|gte: '-4.5'", "-4.5", "-4.6"),
        ("f|lt: '5'", "4", "5"),
        ("f|lte: '5'", "5", "6"),
        ("f|cased: 46", "46", "47"),
        ("f|cased|contains: 46", "x46", "47"),
        ("f|windash|contains: -4", "x /4", "4"),
        ("f|base64: 4625", "NDYyNQ==", "4625"),
        ("f|base64offset|contains: 4625", "xxQ2MjVx", "4625"),
        ("f|utf16|base64: 46", "//40ADYA", "46"),
        ("f|hour: '22'", "2026-01-07T22:01:59Z", "2026-01-07T21:01:59Z"),
        ("f|hour|gte: '22'", "2026-01-07T23:01:59Z", "2026-01-07T21:01:59Z"),
        ("f|year|lt: '2026'", "2025-01-07T23:01:59Z", "2026-01-07T21:01:59Z"),
    ],
)
def test_numbers_and_texts_where_the_other_is_wanted(term: str, fires: str, misses: str) -> None:
    """A number is looked for as its text; a number in quotes is compared as the number."""
    assert _holds(term, _of(fires))
    assert not _holds(term, _of(misses))


_SCALAR = "  s:\n    {}\n  condition: s"


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        (_SCALAR.format("f|gt: x"), "gt needs a number, not 'x'"),
        (_SCALAR.format("f|gt: '5*'"), "gt needs a number, not '5*'"),
        (_SCALAR.format("f|gt: null"), "gt needs a number, not null"),
        (_SCALAR.format("f|contains: null"), "contains needs a text, not null"),
        (_SCALAR.format("f|exists: 5"), "exists needs true or false, not '5'"),
        (_SCALAR.format("f|i: x"), "ignorecase needs a regular expression, not 'x'"),
        (_SCALAR.format("f|gte|lt: 5"), "lt cannot follow the modifier before it"),
        (_SCALAR.format("f|re: 5"), "f|re needs a regular expression in quotes, not 5"),
        (_SCALAR.format("f|re|all: [a, null]"), "f|re|all needs a regular expression in quotes, not null"),
        (_SCALAR.format("f|hour: 'x'"), "hour needs a number, not 'x'"),
        (_SCALAR.format("f|windash: null"), "windash needs a text, not null"),
        (_SCALAR.format("f|cidr: 10.1.2.3/8"), "10.1.2.3/8 is an address within a network; write 10.0.0.0/8"),
        (_SCALAR.format("f|cidr: fe80::1/10"), "fe80::1/10 is an address within a network; write fe80::/10"),
        (_SCALAR.format("f|cidr: 10.1.2.3/99"), "10.1.2.3/99 is no network and no address"),
        (_SCALAR.format(r"f|re: '(a)\1'"), r"regular expression '(a)\1': invalid escape sequence: \1"),
        (_SCALAR.format("f|re|i: '(?=a)'"), "regular expression '(?=a)': invalid perl operator: (?="),
        ("  s: {f: x}\n  condition: 5", "the condition must be a text, not 5"),
        ("  s: {f: x}\n  condition: null", "the condition must be a text, not null"),
        ("  s: {f: x}\n  condition: [s, 5]", "the condition must be a text, not 5"),
        (f"  s: {{f: x}}\n  condition: {'not ' * 3000}s", "the condition is nested too deeply"),
    ],
)
def test_refusals_are_plain_sentences(detection: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    """No names of classes, no bytes, nothing that Python says of itself, and no log of RE2's on stderr."""
    with pytest.raises(InvalidRule) as refused:
        _rule(detection)
    assert refused.value.reason == reason
    assert capfd.readouterr().err == ""
