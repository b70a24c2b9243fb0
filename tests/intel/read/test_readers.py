"""Readers: what each format gives, and what is wrong with what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.intel.indicator import Indicator, Kind, Refused, Withdrawn
from tocsin.intel.options import Options
from tocsin.intel.read.formats import READERS, guess_format
from tocsin.intel.read.misp import event_names
from tocsin.intel.read.stix_pattern import values
from tocsin.intel.read.warning_list import read_warning_list
from tocsin.model.errors import InvalidFeed

NONE = Options()


def _read(name: str, content: str | bytes | object, options: Options = NONE) -> tuple[list[Indicator], list[Refused]]:
    raw = (
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    items = list(READERS[name](raw, options))
    return [i for i in items if isinstance(i, Indicator)], [i for i in items if isinstance(i, Refused)]


def _values(found: list[Indicator]) -> list[str]:
    return [f"{each.kind.value} {each.value}" for each in found]


def test_a_plain_list() -> None:
    """Comments, blanks, counts behind a value and the hosts format are understood; a bad line is named."""
    lines = ["\ufeff# feed", "1.2.3.4\t8", "", "; old", "evil.example # c2", "0.0.0.0 ads.example www.ads.example"]
    text = "\n".join([*lines, "127.0.0.1 localhost", "no!"])
    found, refused = _read("list", text)
    assert _values(found) == ["ip 1.2.3.4", "domain evil.example", "domain ads.example", "domain www.ads.example"]
    assert [(each.where, each.reason.partition(" ")[0]) for each in refused] == [("line 8", "'no!'")]


def test_a_list_of_one_kind() -> None:
    """Where the kind is said, nothing is guessed."""
    found, refused = _read("list", "CBricksDoc\n1.2.3.4\n", Options(kind=Kind.FILENAME))
    assert _values(found) == ["filename CBricksDoc", "filename 1.2.3.4"]
    assert not refused


def test_csv_by_usual_names() -> None:
    """Columns are found by usual names, a header may be a comment, and bad rows are named."""
    text = (
        '# exported daily\n# "first_seen_utc","ioc_id","ioc_value","ioc_type","malware","confidence_level"\n'
        '"2026-01-02 03:04:05","7","1.2.3.4:8080","ip:port","Mirai","75"\n'
        '"2026-01-02 03:04:05","8","evil.example","domain","","101"\n'
        '"2026-01-02 03:04:05","9","evil.example","mutex","",""\n'
    )
    found, refused = _read("csv", text)
    assert found == [Indicator(Kind.IP, "1.2.3.4", 75, 1_767_323_045, 0, ("Mirai",), "7")]
    assert [each.where for each in refused] == ["line 4", "line 5"]


def test_csv_by_named_columns() -> None:
    """The feed's options say which column is what; a column that is not there is an error that names those that are."""
    text = "Thing;x,Until,Bad\n,2030-01-01T00:00:00Z,evil.example\n"
    found, _ = _read("csv", text, Options(columns={"value": "Bad", "until": "until"}))
    assert found == [Indicator(Kind.DOMAIN, "evil.example", valid_until=1_893_456_000)]
    with pytest.raises(InvalidFeed, match=r"no column ioc for value: the file's columns are thing;x, until, bad"):
        _read("csv", text, Options(columns={"value": "ioc"}))


def _stix(**fields: object) -> dict[str, object]:
    return {"type": "indicator", "id": "indicator--1", "pattern_type": "stix", **fields}


def test_stix_indicators() -> None:
    """Validity, confidence, labels, phases and what is indicated come with each value; what is revoked does not."""
    objects = [
        _stix(
            pattern="[ipv4-addr:value = '1.2.3.4' OR domain-name:value = 'Evil.example']",
            confidence=40,
            valid_from="2026-01-01T00:00:00Z",
            valid_until="2026-01-02T00:00:00.000Z",
            indicator_types=["malicious-activity"],
            kill_chain_phases=[{"kill_chain_name": "attack", "phase_name": "c2"}],
        ),
        _stix(id="indicator--2", pattern="[url:value = 'http://evil.example/x']", revoked=True),
        {"type": "malware", "id": "malware--1", "name": "Mirai"},
        {
            "type": "relationship",
            "id": "relationship--1",
            "relationship_type": "indicates",
            "source_ref": "indicator--1",
            "target_ref": "malware--1",
        },
        {"type": "file", "id": "file--1", "hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e", "SSDEEP": "3::"}},
    ]
    found, refused = _read("stix", {"type": "bundle", "id": "bundle--1", "objects": objects})
    assert _values(found) == ["ip 1.2.3.4", "domain evil.example", "md5 d41d8cd98f00b204e9800998ecf8427e"]
    first = found[0]
    assert (first.confidence, first.valid_from, first.valid_until) == (40, 1_767_225_600, 1_767_312_000)
    assert first.tags == ("malicious-activity", "attack:c2", "Mirai")
    assert (found[2].tags, found[2].confidence) == (("observable",), 15)
    assert not refused


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[file:name = 'a' AND file:hashes.MD5 = 'b']", "several things at once"),
        ("[ipv4-addr:value = '1.2.3.4'] FOLLOWEDBY [url:value = 'x']", "several observations"),
        ("[ipv4-addr:value = '1.2.3.4'] AND [url:value = 'x']", "several observations"),
        ("[ipv4-addr:value = '1.2.3.4'] REPEATS 5 TIMES", "several observations"),
        ("[ipv4-addr:value = '1.2.3.4'] WITHIN 5 SECONDS", "several observations"),
        ("[ipv4-addr:value != '1.2.3.4']", "what is not so"),
        ("[NOT ipv4-addr:value = '1.2.3.4']", "no STIX pattern"),
        ("[ipv4-addr:value NOT IN ('1.2.3.4')]", "what is not so"),
        ("[file:name LIKE 'a%']", "a rule can say that"),
        ("[file:name MATCHES 'a.']", "a rule can say that"),
        ("[file:size > 5]", "compares by order"),
        ("[file:name = ", "no STIX pattern"),
        ("[" * 3_000, "no STIX pattern"),
    ],
)
def test_patterns_that_no_single_value_makes_true(pattern: str, reason: str) -> None:
    """A pattern that says more than one value can is refused with what it says, never read as less."""
    with pytest.raises(ValueError, match=reason):
        values(pattern)
    _, refused = _read("stix", [_stix(pattern=pattern)])
    assert [each.where for each in refused] == ["indicator--1"]


@pytest.mark.parametrize(
    "pattern",
    [
        "[ipv4-addr:value = '1.2.3.4']",
        "[ file:hashes.'SHA-256' = 'ab' ]",
        "[domain-name:value='x']",
        "[file:hashes.md5 = 'it\\'s']",
        "[ipv4-addr:value = '1.2.3.4'] OR [ipv4-addr:value IN ('1.2.3.5', '1.2.3.6')]",
        "[(ipv4-addr:value ISSUBSET '1.2.3.0/24')]",
    ],
)
def test_the_quick_way_reads_as_the_grammar_does(pattern: str) -> None:
    """A plain equality is read without the grammar; with blanks that only the grammar knows it reads the same."""
    commented = pattern.replace("[", "[/* */ ", 1)
    assert values(pattern) == values(commented)
    assert values(pattern)


def test_misp_attributes() -> None:
    """Attributes for detection count, in objects too; the hash of a file counts, not its name."""
    event = {
        "Event": {
            "Tag": [{"name": "tlp:clear"}],
            "Attribute": [
                {"uuid": "a", "type": "ip-dst|port", "value": "1.2.3.4|443", "to_ids": True, "Tag": [{"name": "c2"}]},
                {"uuid": "b", "type": "domain|ip", "value": "evil.example|1.2.3.5", "to_ids": True},
                {"uuid": "c", "type": "ip-src", "value": "1.2.3.6", "to_ids": False},
                {"uuid": "d", "type": "mutex", "value": "x", "to_ids": True},
            ],
            "Object": [
                {"Attribute": [{"uuid": "e", "type": "filename|md5", "value": f"a|{'0' * 32}", "to_ids": True}]},
            ],
        }
    }
    found, refused = _read("misp", {"response": [event]})
    assert _values(found) == ["ip 1.2.3.4", "domain evil.example", f"md5 {'0' * 32}"]
    assert found[0].tags == ("tlp:clear", "c2")
    assert [each.where for each in refused] == ["d"]
    assert event_names(b'{"5d0-1": {"info": "x"}, "../x": {}}') == ["5d0-1"]


@pytest.mark.parametrize("name", ["stix", "misp"])
@pytest.mark.parametrize("content", ["", "{", "7", '{"a": 1}', "\x80"])
def test_what_is_no_such_document_is_refused_whole(name: str, content: str) -> None:
    """Not JSON, or JSON of something else, is one error for the feed."""
    with pytest.raises(InvalidFeed):
        _read(name, content.encode("latin-1"))


@given(st.binary(max_size=300))
def test_readers_survive_any_bytes(content: bytes) -> None:
    """Garbage is refused, never a crash."""
    for reader in READERS.values():
        try:
            items = list(reader(content, NONE))
        except InvalidFeed:
            continue
        assert all(isinstance(item, Indicator | Refused | Withdrawn) for item in items)


_STIX_KEYS = ["type", "id", "objects", "pattern", "hashes", "labels", "confidence", "valid_from", "kill_chain_phases"]
_MISP_KEYS = ["Event", "Attribute", "Object", "Tag", "value", "to_ids", "response", "uuid", "name"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "id",
                    "objects",
                    "pattern",
                    "hashes",
                    "labels",
                    "confidence",
                    "valid_from",
                    "Event",
                    "Attribute",
                    "Object",
                    "Tag",
                    "value",
                    "to_ids",
                    "response",
                    "uuid",
                    "name",
                    "kill_chain_phases",
                ]
            ),
            inner | st.sampled_from(["indicator", "file", "ipv4-addr", "ip-dst", "[a:b = 'c']", "1.2.3.4"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
@example({"Event": {"Attribute": True, "Object": 1, "Tag": "x"}})
def test_readers_survive_any_json(document: object) -> None:
    """Objects of any shape are read or refused, whatever stands where something else should."""
    for name in ("stix", "misp"):
        try:
            _read(name, document)
        except InvalidFeed:
            continue


def test_warning_lists_say_what_they_are() -> None:
    """Type, entries and kinds are read; an unknown type is an error."""
    found = read_warning_list(
        b'{"name": "x", "type": "cidr", "matching_attributes": ["ip-src|port"], "list": ["10.0.0.0/8"]}'
    )
    assert (found.type, found.entries) == ("cidr", ("10.0.0.0/8",))
    assert set(found.kinds) == {Kind.IP, Kind.CIDR}
    with pytest.raises(InvalidFeed, match="a warning list of type 'magic' is not known"):
        read_warning_list(b'{"type": "magic", "list": []}')


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("ips.txt", "1.2.3.4", "list"),
        ("feed.csv", "a,b", "csv"),
        ("bundle.json", '{"type": "bundle"}', "stix"),
        ("event.json", '{"Event": {}}', "misp"),
        ("list.json", '{"list": [], "type": "cidr"}', "warninglist"),
    ],
)
def test_formats_are_guessed(tmp_path: Path, name: str, content: str, expected: str) -> None:
    """A file's name and beginning tell its format."""
    (tmp_path / name).write_text(content)
    assert guess_format(str(tmp_path / name)) == expected
    assert guess_format("https://example.com/taxii2/root/") == "taxii"


@pytest.mark.data
def test_public_feeds_load(public_data: Path) -> None:
    """All of ipsum is read; of the STIX examples all that single values can say, and the rest is named."""
    found, refused = _read("list", (public_data / "intel/ipsum/3.txt").read_bytes())
    assert (len(found), len(refused)) == (14_217, 0)
    counted = {}
    for path in sorted((public_data / "intel/stix2-examples").rglob("*.json")):
        found, refused = _read("stix", path.read_bytes())
        counted[path.stem] = (len(found), len(refused))
    assert counted["apt1"] == (10, 2)
    assert counted["poisonivy"] == (66, 1)
    assert counted["malicious-email-indicator-with-attachment"] == (0, 2)
