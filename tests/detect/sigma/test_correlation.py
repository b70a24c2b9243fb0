"""Sigma's correlation documents: what they say, what they name, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.detect.sigma.library import Library, load
from tocsin.detect.sigma.logsource import RAW
from tocsin.model.condition import Field, Scope
from tocsin.model.correlation import (
    Bound,
    Comparison,
    Correlation,
    CorrelationType,
    Every,
    Member,
    Never,
    Seen,
    Some,
)

Load = Callable[..., Library]

_RULES = """title: Failed
id: id-failed
name: failed
level: low
logsource: {product: linux, category: process_creation}
detection: {s: {Image: /bin/false}, condition: s}
---
title: Worked
id: id-worked
name: worked
logsource: {product: aws, service: cloudtrail}
detection: {s: {eventName: ConsoleLogin}, condition: s}
---
"""


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load rule files from their texts."""

    def load_text(*texts: str, **options: object) -> Library:
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.yml").write_text(text)
        return load([tmp_path], RAW if options.get("raw") else None)

    return load_text


def _correlation(body: str, head: str = "title: Both\nid: both\n") -> str:
    return f"{_RULES}{head}correlation: {{{body}}}\n"


def _one(library: Library) -> Correlation:
    assert not library.refused
    (made,) = library.correlations
    return made


def test_a_count_of_events(load_text: Load) -> None:
    """Type, time span, bound, group-by, and what it takes from its rules: the level, the fields of the log source."""
    made = _one(
        load_text(
            _correlation("type: event_count, rules: failed, group-by: [User], timespan: 10m, condition: {gte: 10}")
        )
    )
    assert (made.type, made.timespan_ms, made.window_ms) == (CorrelationType.EVENT_COUNT, 600_000, 600_000)
    assert made.bounds == (Bound(Comparison.AT_LEAST, 10),)
    assert made.members == (Member("id-failed", group_by=((Field("process.user.name"),),)),)
    assert (made.level, made.group_by, made.alert_by) == ("low", ("User",), ("User",))


@pytest.mark.parametrize("reference", ["failed", "id-failed"])
def test_rules_are_named_by_id_or_name_in_any_file(load_text: Load, reference: str) -> None:
    """Also where the correlation stands in another file than its rule."""
    text = (
        f"title: C\nid: c\ncorrelation: {{type: event_count, rules: [{reference}], timespan: 1h, condition: {{gt: 1}}}}"
    )
    assert _one(load_text(text, _RULES)).members[0].rule == "id-failed"


def test_a_range_is_two_bounds_that_both_hold(load_text: Load) -> None:
    """The specification's "101 to 200"."""
    made = _one(
        load_text(_correlation("type: event_count, rules: [failed], timespan: 1h, condition: {gt: 100, lte: 200}"))
    )
    assert made.bounds == (Bound(Comparison.GREATER, 100), Bound(Comparison.AT_MOST, 200))
    assert [all(bound.holds(count) for bound in made.bounds) for count in (100, 101, 200, 201)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("kind", ["value_count", "value_sum", "value_avg", "value_median", "value_percentile"])
def test_values_are_fields_of_the_log_source(load_text: Load, kind: str) -> None:
    """The condition's field is found like a rule's own."""
    body = f"type: {kind}, rules: [failed], group-by: [User], timespan: 1h, condition: {{field: ProcessId, gt: 3.5}}"
    made = _one(load_text(_correlation(body)))
    assert (made.type, made.value, made.bounds) == (kind, ("ProcessId",), (Bound(Comparison.GREATER, 3.5),))
    assert made.members[0].value == ((Field("process.pid"),),)


def test_several_counted_fields_are_one_tuple(load_text: Load) -> None:
    """Linked by AND."""
    body = "type: value_count, rules: [failed], timespan: 1h, condition: {field: [User, Image], gte: 2}"
    assert _one(load_text(_correlation(body))).value == ("User", "Image")


def test_a_percentile_is_given_or_meant_as_a_share(load_text: Load) -> None:
    """With `percentile` that percentile is compared; without, the specification's example compares a share."""
    body = "type: value_percentile, rules: [failed], timespan: 1h, condition: {{field: Image, lte: 1{}}}"
    assert _one(load_text(_correlation(body.format(", percentile: 95")))).percentile == 95
    assert _one(load_text(_correlation(body.format("")))).percentile is None


def test_temporal_needs_all_its_rules_unless_it_says_how_many(load_text: Load) -> None:
    """In their order for temporal_ordered."""
    body = "type: temporal_ordered, rules: [worked, failed], group-by: [], timespan: 1h"
    made = _one(load_text(_correlation(body)))
    assert made.type is CorrelationType.TEMPORAL_ORDERED
    assert [member.rule for member in made.members] == ["id-worked", "id-failed"]
    assert made.bounds == (Bound(Comparison.AT_LEAST, 2),)
    assert _one(load_text(_correlation(f"{body}, condition: {{eq: 1}}"))).bounds == (Bound(Comparison.EQUAL, 1),)


def test_an_extended_condition_is_an_expression_over_members(load_text: Load) -> None:
    """The rules may be left to it."""
    made = _one(load_text(_correlation("type: temporal, timespan: 1h, condition: 'failed and not (worked or failed)'")))
    assert made.bounds == ()
    either = Some((Seen("id-worked"), Seen("id-failed")))
    assert made.expression == Every((Seen("id-failed"), Never(either)))
    assert [member.rule for member in made.members] == ["id-failed", "id-worked"]


def test_aliases_name_a_field_for_each_rule(load_text: Load) -> None:
    """And each rule's field is found in its own log source."""
    body = (
        "type: temporal, rules: [failed, worked], group-by: [who], timespan: 1h,"
        " aliases: {who: {failed: User, worked: userIdentity.userName}}"
    )
    failed, worked = _one(load_text(_correlation(body))).members
    assert failed.group_by == ((Field("process.user.name"),),)
    assert worked.group_by == ((Field("userIdentity.userName", Scope.SOURCE),),)


_CHAINED = f"""{_RULES}title: Many
id: many
correlation: {{type: event_count, rules: [failed], group-by: [User], timespan: 10m, condition: {{gte: 10}}}}
---
title: Then
id: then
tocsin: {{title: "{{{{Image}}}}"}}
correlation:
  type: temporal_ordered
  rules: [many, worked]
  group-by: [who, ProcessId]
  timespan: 1h
  aliases: {{who: {{many: User, worked: userName}}}}
"""


def test_a_correlation_of_correlations(load_text: Load) -> None:
    """The outer one looks up the inner one's own names, and the inner one carries whatever else is asked of it."""
    library = load_text(_CHAINED)
    assert not library.refused
    outer, inner = library.correlations
    assert (outer.id, inner.id) == ("then", "many")
    assert outer.members[0] == Member("many", group_by=("User", "ProcessId"), carried=("Image",))
    assert inner.carried == ("ProcessId", "Image")
    assert inner.members[0].carried == ((Field("process.pid"),), (Field("process.file.path"),))
    assert outer.level == "medium"


def test_only_outer_correlations_raise_alerts(load_text: Load) -> None:
    """Unless one says `generate`, in the correlation or beside it."""
    assert load_text(_CHAINED).silent == {"many", "id-failed", "id-worked"}
    body = "type: event_count, rules: [failed], timespan: 1h, condition: {gte: 10}"
    assert load_text(_correlation(f"{body}, generate: true")).silent == frozenset()
    assert load_text(_correlation(body, "title: C\nid: c\ngenerate: true\n")).silent == frozenset()


def test_a_threshold_is_a_count_of_a_rule_s_own(load_text: Load) -> None:
    """Over its group-by and window."""
    rule = _RULES.partition("---")[0]
    library = load_text(f"{rule}tocsin: {{threshold: 5, window: 10m, group_by: [device.uid]}}\n")
    made = _one(library)
    assert (made.id, made.type, made.timespan_ms) == ("id-failed:threshold", CorrelationType.EVENT_COUNT, 600_000)
    assert made.bounds == (Bound(Comparison.AT_LEAST, 5),)
    assert made.members == (Member("id-failed", group_by=((Field("device.uid"),),)),)
    assert library.silent == {"id-failed"}


def test_what_tocsin_adds_works_on_correlations_too(load_text: Load) -> None:
    """Title, window, response, and what makes one alert of many firings."""
    own = "tocsin: {title: '{{User}}', group_by: [User], window: 1d, response: Look}\n"
    body = "type: event_count, rules: [failed], group-by: [User, Image], timespan: 1h, condition: {gte: 10}"
    made = _one(load_text(_correlation(body, f"title: C\nid: c\n{own}")))
    assert (made.title_template, made.alert_by, made.response) == ("{{User}}", ("User",), "Look")
    assert (made.timespan_ms, made.window_ms) == (3_600_000, 86_400_000)


_COUNT = "type: event_count, rules: [failed], timespan: 1h"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("type: event_count, rules: [nosuch], timespan: 1h, condition: {gte: 1}", "'nosuch' is not among the rules"),
        ("type: event_count, rules: [failed, failed], timespan: 1h, condition: {gte: 1}", "named twice"),
        ("type: event_count, rules: [], timespan: 1h, condition: {gte: 1}", "needs rules"),
        ("type: temporal, rules: [both, failed], timespan: 1h", "'both' leads back"),
        ("type: nosuch, rules: [failed], timespan: 1h, condition: {gte: 1}", "no valid Sigma correlation type"),
        ("type: event_count, rules: [failed], timespan: 1x, condition: {gte: 1}", "'1x' is invalid"),
        (f"{_COUNT}", "without condition"),
        (f"{_COUNT}, condition: {{gte: many}}", "'many' is no valid"),
        (f"{_COUNT}, condition: {{field: User}}", "exactly one condition"),
        (f"{_COUNT}, condition: {{field: User, gte: 1}}", "'field' means nothing in a correlation of type event_count"),
        (f"{_COUNT}, condition: {{gte: 1, percentile: 3}}", "'percentile' means nothing"),
        (f"{_COUNT}, condition: {{gte: 1}}, timeframe: 1h", "'timeframe' means nothing"),
        (f"{_COUNT}, condition: 'failed'", "only be used with temporal"),
        ("type: value_count, rules: [failed], timespan: 1h, condition: {gte: 1}", "without field"),
        ("type: value_sum, rules: [failed], timespan: 1h, condition: {field: [a, b], gte: 1}", "must be one field"),
        (
            "type: value_percentile, rules: [failed], timespan: 1h, condition: {field: a, gte: 1, percentile: 101}",
            "from 0 to 100",
        ),
        ("type: temporal, rules: [failed], timespan: 1h, condition: 'failed and worked'", "not defined in rules"),
    ],
)
def test_a_correlation_that_means_nothing_is_refused_with_its_place(load_text: Load, body: str, words: str) -> None:
    """And the rules beside it load."""
    library = load_text(_correlation(body))
    (refused,) = library.refused
    assert words in refused.reason
    assert refused.path.endswith("0.yml")
    assert refused.line == 16
    assert (len(library.rules), library.correlations) == (2, ())


def test_correlations_that_lead_in_a_circle_are_refused(load_text: Load) -> None:
    """And so is one that names one of them; the line is that of the reference."""
    text = "---\n".join(
        f"title: C\nid: {own}\ncorrelation:\n  type: temporal\n  timespan: 1h\n  rules:\n    - {other}\n"
        for own, other in (("a", "b"), ("b", "a"), ("c", "a"))
    )
    reasons = {(error.line, error.reason) for error in load_text(text).refused}
    assert reasons == {
        (7, "rule 'b' leads back to this one"),
        (15, "rule 'a' leads back to this one"),
        (23, "rule 'a' cannot be used itself"),
    }


def test_a_correlation_of_a_refused_rule_says_where_that_is(load_text: Load) -> None:
    """So that one looks there."""
    text = _correlation("type: event_count, rules: [broken], timespan: 1h, condition: {gte: 1}")
    broken = "title: Broken\nname: broken\nid: id-broken\nlogsource: {product: linux}\ndetection: {condition: s}\n"
    reasons = [error.reason for error in load_text(text, broken).refused]
    assert any("'broken' cannot be used itself: see" in reason and "1.yml:1" in reason for reason in reasons)


def test_a_name_that_two_rules_have_names_neither(load_text: Load) -> None:
    """The specification wants names that only one has."""
    twin = (
        "---\ntitle: Twin\nid: twin\nname: failed\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n"
    )
    text = _correlation("type: event_count, rules: [failed], timespan: 1h, condition: {gte: 1}") + twin
    (refused,) = load_text(text).refused
    assert "'failed' is the name of more than one: id-failed, twin" in refused.reason


@pytest.mark.data
def test_the_specification_s_own_examples_load(load_text: Load, public_data: Path) -> None:
    """All types, in the specification's words; only the rules that they name are missing there."""
    folder = public_data / "sigma-spec" / "tests" / "schema" / "correlation"
    paths = sorted(folder.glob("*.yml"))
    assert len(paths) == 8
    for path in paths:
        (refused,) = load_text(path.read_text()).refused
        assert refused.reason.endswith("is not among the rules")
