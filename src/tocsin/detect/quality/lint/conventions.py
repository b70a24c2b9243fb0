"""Lints of SigmaHQ's conventions: how rules are written that others shall read; info, all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from tocsin.detect.quality.lint.registry import EVERYTHING, RULES, Issue, Level, at, lint
from tocsin.detect.quality.lint.text import RuleText, entries, replaced

__all__: list[str] = []

_INFO: Final = Level.INFO
# Small words that titles may have in small letters.
_SMALL: Final = frozenset({
    "an", "and", "as", "at", "but", "by", "for", "from", "in", "into", "nor", "of", "off", "on", "onto", "or", "over",
    "per", "the", "to", "up", "via", "vs", "with", "within", "without",
})  # fmt: skip
_LONGEST_TITLE: Final = 110
_FILE_NAME: Final = re.compile(r"[a-z0-9_]{10,90}\.yml")
_PREFIXES: Final = {
    ("linux", "", "auditd"): "lnx_auditd_",
    ("linux", "process_creation", ""): "proc_creation_lnx_",
    ("linux", "file_event", ""): "file_event_lnx_",
    ("linux", "network_connection", ""): "net_connection_lnx_",
    ("windows", "process_creation", ""): "proc_creation_win_",
    ("windows", "image_load", ""): "image_load_",
    ("windows", "registry_set", ""): "registry_set_",
    ("windows", "ps_script", ""): "posh_ps_",
    ("windows", "ps_module", ""): "posh_pm_",
    ("windows", "", "security"): "win_security_",
    ("macos", "process_creation", ""): "proc_creation_macos_",
    ("aws", "", "cloudtrail"): "aws_",
    ("", "webserver", ""): "web_",
}
_VAGUE: Final = frozenset(
    {"none", "pentest", "penetration test", "penetration testing", "red team", "no", "n/a", "na", "-"}
)
_FORGES: Final = re.compile(
    r"https?://(?:www\.)?(?:github\.com|gitlab\.com)/[^/]+/[^/]+/(?:-/)?(?:blob|tree|raw)/(?:main|master|develop|dev)/"
)
_SHORTEST_DESCRIPTION: Final = 16


def _title(rule: RuleText) -> yaml.ScalarNode | None:
    node = rule.get("title")
    return node if isinstance(node, yaml.ScalarNode) and node.value else None


@lint("title-length", _INFO, "The title is longer than 110 characters.")
def title_length(rule: RuleText) -> Iterator[Issue]:
    if (title := _title(rule)) and len(title.value) > _LONGEST_TITLE:
        yield at(title, f"the title has {len(title.value)} characters; SigmaHQ takes {_LONGEST_TITLE}")


@lint(
    "title-case", _INFO, "A word of the title begins with a small letter: SigmaHQ writes titles in title case.", RULES
)
def title_case(rule: RuleText) -> Iterator[Issue]:
    title = _title(rule)
    words = [] if title is None else title.value.split()
    small = [word for word in words if re.fullmatch(r"[a-z]{2,}", word) and word not in _SMALL]
    if title is not None and small:
        yield at(title, f"in title case, {', '.join(small[:5])} would begin with a capital")


@lint("title-detects", _INFO, "The title begins with `Detects` or `Detection`, which every rule could.", RULES)
def title_detects(rule: RuleText) -> Iterator[Issue]:
    if (title := _title(rule)) and re.match(r"Detect(s|ion of|ing)?\b", title.value, re.IGNORECASE):
        yield at(title, "the title need not say that the rule detects")


@lint("title-period", _INFO, "The title ends in a full stop.", fixes=True)
def title_period(rule: RuleText) -> Iterator[Issue]:
    if (title := _title(rule)) and title.value.endswith("."):
        yield at(title, "a title has no full stop", replaced(title, title.value.rstrip(".")))


@lint("title-level", _INFO, "The title of an informational rule calls what it finds suspicious or malicious.", RULES)
def title_level(rule: RuleText) -> Iterator[Issue]:
    title = _title(rule)
    found = re.search(r"\b(?:Suspicious|Malicious|Malware|Exploit)\b", title.value) if title else None
    if title is not None and found and rule.said("level") == "informational":
        yield at(title, f"an informational rule is no alarm, but its title says {found[0]}")


@lint("description-start", _INFO, "The description does not begin with `Detects`.", RULES)
def description_start(rule: RuleText) -> Iterator[Issue]:
    node = rule.get("description")
    if (
        isinstance(node, yaml.ScalarNode)
        and node.value.strip()
        and not re.match(r"\W*(?:Detect|Identif)", node.value.strip())
    ):
        yield at(node, "SigmaHQ's descriptions begin with Detects")


@lint("description-short", _INFO, "The description has fewer than 16 characters.", RULES)
def description_short(rule: RuleText) -> Iterator[Issue]:
    node = rule.get("description")
    if isinstance(node, yaml.ScalarNode) and 0 < len(node.value.strip()) < _SHORTEST_DESCRIPTION:
        yield at(node, f"{node.value.strip()!r} explains little")


@lint("description-is-title", _INFO, "The description only repeats the title.")
def description_is_title(rule: RuleText) -> Iterator[Issue]:
    said = rule.said("description").strip().casefold().rstrip(".")
    if said and said == rule.said("title").strip().casefold():
        yield at(rule.keys["description"][0], "the description only repeats the title")


@lint("attack-reference", _INFO, "A reference leads to MITRE ATT&CK; a tag says it.")
def attack_reference(rule: RuleText) -> Iterator[Issue]:
    for node in rule.list_of("references"):
        if isinstance(node, yaml.ScalarNode) and "attack.mitre.org" in node.value:
            yield at(node, "name ATT&CK in tags, such as attack.t1059, not in references")


@lint("moving-reference", _INFO, "A reference leads to a branch, whose content will change; a commit stays.")
def moving_reference(rule: RuleText) -> Iterator[Issue]:
    for node in rule.list_of("references"):
        if isinstance(node, yaml.ScalarNode) and _FORGES.match(node.value):
            yield at(node, "the reference leads to a branch; a link to a commit stays as it is")


@lint("vague-falsepositive", _INFO, "`falsepositives` says `None` or the like, instead of `Unknown` or `Unlikely`.")
def vague_falsepositive(rule: RuleText) -> Iterator[Issue]:
    for node in rule.list_of("falsepositives"):
        if isinstance(node, yaml.ScalarNode) and node.value.strip().casefold() in _VAGUE:
            yield at(node, f"{node.value!r} tells nobody anything; write Unknown or Unlikely")


@lint(
    "file-name", _INFO, "The file's name is not 10 to 90 small letters, digits and `_`, ending in `.yml`.", EVERYTHING
)
def file_name(rule: RuleText) -> Iterator[Issue]:
    if rule.root.start_mark.line <= _FIRST_LINES and not _FILE_NAME.fullmatch(rule.path.name):
        yield Issue(1, f"the file name {rule.path.name} is not of 10 to 90 small letters, digits and _, with .yml")


_FIRST_LINES: Final = 5  # a file is named once, by its first document


@lint("file-prefix", _INFO, "The file's name does not begin as SigmaHQ's do for this log source.", RULES)
def file_prefix(rule: RuleText) -> Iterator[Issue]:
    said = {str(key.value): str(value.value) for key, value in entries(rule.get("logsource"))}
    prefix = _PREFIXES.get((said.get("product", ""), said.get("category", ""), said.get("service", "")))
    if prefix and rule.root.start_mark.line <= _FIRST_LINES and not rule.path.name.startswith(prefix):
        yield Issue(1, f"SigmaHQ's files for this log source begin with {prefix}")


@lint("indentation", _INFO, "Selections are not indented by four spaces.")
def indentation(rule: RuleText) -> Iterator[Issue]:
    keys = [key for key, _ in entries(rule.body)]
    flow = rule.body is not None and getattr(rule.body, "flow_style", False)
    if keys and not flow and keys[0].start_mark.column != len("    "):
        yield at(keys[0], f"the indentation is {keys[0].start_mark.column} spaces; the specification has 4")
