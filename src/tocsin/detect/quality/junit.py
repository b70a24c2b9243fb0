"""Reports in JUnit's form, which every CI system shows."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

import msgspec

__all__ = ["Case", "junit_xml"]


class Case(msgspec.Struct, frozen=True):
    """One thing that went well, or did not."""

    name: str
    group: str = ""  # what several cases belong to, shown above them
    file: str = ""
    failure: str = ""  # one sentence; empty: it went well
    kind: str = "failure"  # of failure
    details: str = ""
    out: str = ""


def junit_xml(suite: str, cases: Iterable[Case]) -> str:
    """The cases as one test suite."""
    found = list(cases)
    failures = sum(bool(case.failure) for case in found)
    root = ET.Element("testsuite", name=suite, tests=str(len(found)), failures=str(failures), errors="0")
    for case in found:
        root.append(_element(case))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(case: Case) -> ET.Element:
    named = {"classname": case.group, "name": case.name, "file": case.file}
    element = ET.Element("testcase", {key: _plain(value) for key, value in named.items() if value})
    if case.failure:
        failure = ET.SubElement(element, "failure", message=_plain(case.failure), type=case.kind)
        failure.text = _plain(case.details)
    if case.out:
        ET.SubElement(element, "system-out").text = _plain(case.out)
    return element


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
