"""Lints of tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.attack import TACTICS
from tocsin.detect.quality.lint.registry import Issue, Level, at, lint, near
from tocsin.detect.quality.lint.text import RuleText, replaced

__all__: list[str] = []

_TAG: Final = re.compile(r"[a-z0-9_-]+\.[a-z0-9._-]+")
# The appendix's own example of an artifact has capitals.
_ARTIFACT: Final = re.compile(r"d3fend\.d3f-[A-Za-z0-9-]+")
_FORMS: Final = {
    "attack": re.compile(r"t\d{4}(?:\.\d{3})?|[gsma]\d{4}|ds\d{4}|ta\d{4}"),
    "car": re.compile(r"\d{4}-\d{2}-\d{3}"),
    "cve": re.compile(r"\d{4}-\d{4,}"),
    "d3fend": re.compile(r"d3-[a-z0-9-]+|d3f-[A-Za-z0-9-]+|model|harden|detect|isolate|deceive|evict|restore"),
    "detection": re.compile(r"dfir|emerging-threats|threat-hunting"),
    "stp": re.compile(r"[1-5][auk]?"),
    "tlp": re.compile(r"red|amber|amber-strict|green|clear"),
}
_EXAMPLES: Final = {
    "attack": "attack.t1059.004, attack.execution",
    "car": "car.2016-04-005",
    "cve": "cve.2021-44228",
    "d3fend": "d3fend.d3-am",
    "detection": "detection.threat-hunting",
    "stp": "stp.3k",
    "tlp": "tlp.amber",
}


def _tags(rule: RuleText) -> Iterator[yaml.ScalarNode]:
    return (tag for tag in rule.list_of("tags") if isinstance(tag, yaml.ScalarNode))


@lint("invalid-tag", Level.ERROR, "A tag is not of the form `namespace.name` in small letters.", fixes=True)
def invalid_tag(rule: RuleText) -> Iterator[Issue]:
    for tag in _tags(rule):
        if not _TAG.fullmatch(tag.value) and not _ARTIFACT.fullmatch(tag.value):
            meant = tag.value.strip().lower().replace(" ", "-")
            edits = (replaced(tag, meant),) if _TAG.fullmatch(meant) else ()
            yield at(tag, f"the tag {tag.value!r} is not of the form namespace.name in small letters", *edits)


@lint("unknown-tag-namespace", Level.WARNING, "A tag's namespace is none of the specification's.", fixes=True)
def unknown_tag_namespace(rule: RuleText) -> Iterator[Issue]:
    for tag in _tags(rule):
        namespace, _, name = tag.value.partition(".")
        if _TAG.fullmatch(tag.value) and namespace not in _FORMS:
            meant = near(namespace, _FORMS)
            edits = (replaced(tag, f"{meant}.{name}"),) if meant else ()
            yield at(tag, f"the tag namespace {namespace!r} is none of {', '.join(_FORMS)}", *edits)


@lint("malformed-tag", Level.WARNING, "A tag is not of its namespace's form, such as `cve.2021-44228`.", fixes=True)
def malformed_tag(rule: RuleText) -> Iterator[Issue]:
    for tag in _tags(rule):
        namespace, _, name = tag.value.partition(".")
        form = _FORMS.get(namespace)
        if form and not form.fullmatch(name) and not (namespace == "attack" and name in TACTICS):
            meant = _mended(namespace, name)
            edits = (replaced(tag, f"{namespace}.{meant}"),) if meant else ()
            yield at(tag, f"the tag {tag.value!r} is none of {namespace}; it would be {_EXAMPLES[namespace]}", *edits)


def _mended(namespace: str, name: str) -> str:
    if namespace == "attack":
        dashed = name.replace("_", "-")
        return dashed if dashed in TACTICS else near(name, TACTICS)
    dashed = name.replace(".", "-", 1).replace("_", "-")
    return dashed if _FORMS[namespace].fullmatch(dashed) else ""


@lint("technique-twice", Level.INFO, "A technique is tagged beside one of its own sub-techniques.")
def technique_twice(rule: RuleText) -> Iterator[Issue]:
    tags = {tag.value: tag for tag in _tags(rule)}
    for name, tag in tags.items():
        below = [each for each in tags if each.startswith(f"{name}.") and name.startswith("attack.t")]
        if below:
            yield at(tag, f"{below[0]} says it already")
