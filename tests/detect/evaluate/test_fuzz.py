"""Rule files are untrusted: whatever stands in them is a rule or an InvalidRule."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.detect.sigma.document import documents
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.errors import InvalidRule
from tocsin.model.rule import Rule

_KEYS = "Image CommandLine|contains s condition detection logsource product tocsin title |all a|re b|cidr c|gt d|expand"
_WORDS = st.sampled_from(_KEYS.split(" ")) | st.text("ab*?\\|%'{}[]:-1 ", max_size=6)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _WORDS | st.dates()
_DETECTION = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.integers(), inner, max_size=3),
    max_leaves=6,
)
_LOGSOURCES: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"product": "linux", "category": "process_creation"},
        {"product": "linux", "service": "auditd"},
        {"product": "aws", "service": "cloudtrail"},
        {"product": 7},
        "linux",
        None,
    ]
)
_RULES = st.fixed_dictionaries(
    {
        "title": st.just("x") | _SCALARS,
        "logsource": _LOGSOURCES,
        "detection": st.fixed_dictionaries({"s": _DETECTION, "condition": st.sampled_from(["s", "not s", "1 of s*"])})
        | _DETECTION,
    },
    optional={"id": _SCALARS, "level": _SCALARS, "tags": _DETECTION, "tocsin": _DETECTION, "correlation": _DETECTION},
)


def _load(text: str) -> list[Rule | InvalidRule]:
    found: list[Rule | InvalidRule] = []
    try:
        for document in documents(text, "fuzz.yml"):
            try:
                found.append(load_rule(document))
            except InvalidRule as error:
                found.append(error)
    except InvalidRule as error:
        found.append(error)
    return found


@settings(max_examples=400, deadline=None)
@given(content=_RULES)
def test_any_map_is_a_rule_or_refused(content: dict[str, object]) -> None:
    """Values of the wrong kind anywhere in a rule."""
    (outcome,) = _load(yaml.safe_dump(content))
    assert isinstance(outcome, Rule) or outcome.reason


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.text("-:{}[]&*!|>'\"%@` \nab", max_size=30))
@example("&a [*a]")
@example("- " * 3000)
@example("{" * 3000)
@example("? [a]: b\n: c")
@example("x: 2020-99-99")
@example("x: !!python/object:os.system {}")
def test_any_text_is_rules_or_refused(text: str) -> None:
    """Text that is no YAML, no map, or nested without end."""
    assert all(isinstance(outcome, Rule) or outcome.reason for outcome in _load(text))
