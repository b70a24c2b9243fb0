"""For each lint of one document, a text on which it speaks up and one, hardly different, on which it is silent."""

from __future__ import annotations

import re

__all__ = ["CASES", "FILE_NAME", "GOOD_RULE"]

FILE_NAME = "proc_creation_lnx_example_rule.yml"
_RULE = """\
title: Example Of A Rule
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11
status: test
description: Detects something that is an example
references:
    - https://example.org/report
author: Somebody
date: 2025-01-02
modified: 2025-03-04
tags:
    - attack.execution
    - attack.t1059.004
logsource:
    product: linux
    category: process_creation
detection:
    selection:
        Image|endswith: '/example'
    condition: selection
falsepositives:
    - Unknown
level: medium
"""
_CORRELATION = """\
title: Example Of A Correlation
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a12
status: test
description: Detects something often
author: Somebody
date: 2025-01-02
correlation:
    type: event_count
    rules:
        - example_rule
    group-by:
        - User
    timespan: 10m
    condition:
        gte: 10
level: high
"""
_FILTER = """\
title: Example Of A Filter
id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a13
description: Leaves out the backup
logsource:
    product: linux
    category: process_creation
filter:
    rules:
        - 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11
    selection:
        User: backup
    condition: not selection
"""
GOOD_RULE = _RULE


def _blocks(text: str) -> dict[str, str]:
    """Top-level key -> its lines."""
    return {
        block.partition(":")[0].strip("'\""): block for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if block
    }


def _with(base: str, changes: str, without: str = "") -> str:
    """The base with some top-level keys replaced or added, and some taken away."""
    blocks = _blocks(base) | _blocks(changes if changes.endswith("\n") else f"{changes}\n")
    return "".join(block for key, block in blocks.items() if key not in without.split())


def r(changes: str = "", without: str = "") -> str:
    """The rule with changes."""
    return _with(_RULE, changes, without)


def d(selection: str, condition: str = "selection", more: str = "") -> str:
    """The rule with another selection, other conditions or further selections."""
    indented = "\n".join(f"        {line}" for line in selection.splitlines())
    others = "".join(f"    {line}\n" for line in more.splitlines())
    return r(f"detection:\n    selection:\n{indented}\n{others}    condition: {condition}\n")


def win(selection: str) -> str:
    """The same for Windows."""
    return d(selection).replace("product: linux", "product: windows")


def c(changes: str = "", without: str = "") -> str:
    """The correlation with changes."""
    return _with(_CORRELATION, changes, without)


def cb(body: str) -> str:
    """The correlation with another body."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return c(f"correlation:\n{indented}")


def f(changes: str = "", without: str = "") -> str:
    """The filter with changes."""
    return _with(_FILTER, changes, without)


_BODY = "rules: [a]\ngroup-by: [User]\ntimespan: 5m\n"
_GOOD_BODY = f"type: event_count\n{_BODY}condition:\n    gte: 5"

_SYSMON = d("EventID: 1").replace(
    "product: linux\n    category: process_creation", "product: windows\n    service: sysmon"
)

CASES: dict[str, tuple[str, str]] = {
    "not-yaml": ("title: b: c", "title: a"),
    "not-a-map": ("- title: a", "title: a"),
    # what a rule says about itself
    "missing-title": (r("title: ''"), r()),
    "missing-logsource": (r(without="logsource"), r()),
    "missing-detection": (r(without="detection"), r()),
    "missing-id": (r(without="id"), r()),
    "missing-level": (c(without="level"), f()),
    "missing-status": (r(without="status"), f()),
    "missing-description": (f(without="description"), r()),
    "missing-author": (r(without="author"), f()),
    "missing-date": (r(without="date"), f()),
    "missing-references": (r(without="references"), c()),
    "missing-falsepositives": (r(without="falsepositives"), c()),
    "missing-tags": (r(without="tags"), c()),
    "empty-key": (r("description: ''"), r("own_key: ''")),
    "wrong-type": (r("references: https://example.org"), r("references: [https://example.org]")),
    "duplicate-key": (d("Image: a\nImage: b"), d("Image: a\nimage: b")),
    "key-case": (r("Level: high", without="level"), r("level: high")),
    "misspelt-key": (r("falsepositive:\n    - Unknown", without="falsepositives"), r("my_notes: x")),
    "unknown-key": (r("my_notes: x"), r("scope: [server]")),
    "too-long": (r(f"title: {'A' * 257}"), r(f"title: {'A' * 256}")),
    "invalid-id": (r("id: rule-1"), r()),
    "id-version": (r("id: 5d4c5a3e-6b1d-1b0f-9a7e-2c8f3e1d0a11"), r()),
    "invalid-status": (r("status: experimantal"), r("status: experimental")),
    "invalid-level": (r("level: HIGH"), r("level: high")),
    "invalid-date": (r("date: 2025/1/2"), r("date: 2025-01-02")),
    "invalid-modified": (r("modified: 2025/2/28"), r("modified: 2025-02-28")),
    "modified-before-date": (r("modified: 2024-12-31"), r("modified: 2025-01-02")),
    "invalid-related": (
        r("related:\n    - id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a19\n      type: obsoletes"),
        r("related:\n    - id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a19\n      type: obsolete"),
    ),
    "related-to-itself": (
        r("related:\n    - id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a11\n      type: similar"),
        r("related:\n    - id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a19\n      type: similar"),
    ),
    "deprecated-alone": (
        r("status: deprecated"),
        r("status: deprecated\nrelated:\n    - id: 5d4c5a3e-6b1d-4b0f-9a7e-2c8f3e1d0a19\n      type: obsolete"),
    ),
    "duplicate-item": (r("tags:\n    - attack.execution\n    - attack.execution"), r()),
    "too-short": (r("falsepositives:\n    - '?'"), r("falsepositives:\n    - Na")),
    "generate-not-boolean": (cb(f"{_GOOD_BODY}\ngenerate: often"), cb(f"{_GOOD_BODY}\ngenerate: true")),
    "yaml-line-ends": (r().replace("\n", "\r\n"), r()),
    # tags
    "invalid-tag": (r("tags: [Attack.Execution]"), r("tags: [attack.execution]")),
    "unknown-tag-namespace": (r("tags: [atack.execution]"), r("tags: [attack.execution]")),
    "malformed-tag": (r("tags: [cve.2021.44228]"), r("tags: [cve.2021-44228, d3fend.d3f-WindowsNtOpenFile, stp.3k]")),
    "technique-twice": (r("tags: [attack.t1059, attack.t1059.004]"), r("tags: [attack.t1053, attack.t1059.004]")),
    # log sources
    "empty-logsource": (r("logsource:\n    definition: something"), r("logsource:\n    category: proxy")),
    "unknown-logsource-key": (r("logsource:\n    produkt: linux\n    service: sshd"), r()),
    "logsource-case": (r("logsource:\n    product: Linux\n    service: sshd"), r()),
    "unknown-logsource": (
        r("logsource:\n    product: linux\n    service: ssh"),
        r("logsource:\n    product: aws\n    service: cloudtrail"),
    ),
    "specific-logsource": (_SYSMON, _SYSMON.replace("EventID: 1", "EventID: 99")),
    # selections and conditions
    "missing-condition": (r("detection:\n    selection:\n        Image: a"), d("Image: a")),
    "no-selection": (r("detection:\n    condition: selection"), d("Image: a")),
    "empty-selection": (d("{}"), d("Image: a")),
    "scalar-selection": (r("detection:\n    selection: 'a word'\n    condition: selection"), d("- a word")),
    "mixed-list": (d("- a word\n- Image: a"), d("- a word\n- another")),
    "identical-selections": (
        d("Image: a", "1 of them", "other:\n    Image: a"),
        d("Image: a", "1 of them", "other:\n    Image: b"),
    ),
    "timeframe": (d("Image: a", more="timeframe: 5m"), d("Image: a")),
    "aggregation": (d("Image: a", "selection | count() > 5"), d("Image: a")),
    "condition-syntax": (d("Image: a", "(selection"), d("Image: a", "(selection)")),
    "condition-case": (
        d("Image: a", "selection AND NOT other", "other:\n    Image: b"),
        d("Image: a", "selection and not other", "other:\n    Image: b"),
    ),
    "undefined-selection": (d("Image: a", "selection and 1 of filter_*"), d("Image: a", "1 of select*")),
    "unused-selection": (
        d("Image: a", more="other:\n    Image: b"),
        d("Image: a", "selection or other", "other:\n    Image: b"),
    ),
    "them-of-one": (d("Image: a", "1 of them"), d("Image: a", "1 of them", "other:\n    Image: b")),
    "all-of-them": (
        d("Image: a", "all of them", "other:\n    Image: b"),
        d("Image: a", "1 of them", "other:\n    Image: b"),
    ),
    "only-negation": (d("Image: a", "not selection"), d("Image: a", "selection and not other", "other:\n    Image: b")),
    "several-conditions": (d("Image: a", "[selection, other]", "other:\n    Image: b"), d("Image: a")),
    # fields and modifiers
    "unknown-modifier": (d("Image|endwith: /a"), d("Image|endswith: /a")),
    "modifier-twice": (d("Image|contains|contains: /a"), d("Image|contains: /a")),
    "conflicting-modifiers": (d("Image|re|contains: /a"), d("Image|re|i: /a")),
    "regex-flag-alone": (d("Image|i: /a"), d("Image|re|i: /a")),
    "all-of-one": (d("Image|contains|all: /a"), d("Image|contains|all:\n    - /a\n    - /b")),
    "all-equal": (d("Image|all:\n    - /a\n    - /b"), d("Image|contains|all:\n    - /a\n    - /b")),
    "windash-with-all": (
        d("CommandLine|windash|contains|all:\n    - -a\n    - -b"),
        d("CommandLine|windash|contains:\n    - -a\n    - -b"),
    ),
    "base64offset-alone": (d("CommandLine|base64offset: curl"), d("CommandLine|base64offset|contains: curl")),
    "encoding-order": (d("CommandLine|contains|base64offset: curl"), d("CommandLine|base64offset|contains: curl")),
    "utf16-alone": (d("CommandLine|wide: curl"), d("CommandLine|wide|base64offset|contains: curl")),
    "exists-value": (d("Image|exists: maybe"), d("Image|exists: false")),
    "number-value": (d("Size|gt: 'ten'"), d("Size|gt: 10")),
    "quoted-number": (d("Size|gt: '10'"), d("Size|gt: 10")),
    "text-value": (d("Image|windash|contains: 10"), d("Image|contains: 10")),
    "cidr-value": (d("DestinationIp|cidr: 10.0.0.1/8"), d("DestinationIp|cidr: 10.0.0.0/8")),
    "regex-invalid": (d("Image|re: 'a(b'"), d("Image|re: 'a(b)'")),
    "regex-unsupported": (d("Image|re: 'a(?!b)'"), d("Image|re: 'a(?:b)'")),
    "regex-outer-wildcard": (d("Image|re: '.*a[bc].*'"), d("Image|re: 'a.*b'")),
    "regex-simple": (d("Image|re: '^/bin/sh$'"), d("Image|re: '^/s?bin/sh$'")),
    "fieldref-to-itself": (d("Image|fieldref: Image"), d("Image|fieldref: ParentImage")),
    "expand-without-placeholder": (d("User|expand: admin"), d("User|expand: '%admins%'")),
    "field-space": (d("User Name: a"), d("UserName: a")),
    "field-case": (win("Commandline|contains: a"), win("CommandLine|contains: a")),
    "empty-list": (d("Image: []"), d("Image: ['']")),
    "nested-value": (d("Image:\n    is: a"), d("Image:\n    - a\n    - b")),
    "null-in-list": (d("Image:\n    - a\n    - null"), d("Image: null")),
    "null-with-modifier": (d("Image|contains: null"), d("Image: null")),
    "single-item-list": (d("Image|endswith:\n    - '/a'"), d("Image|endswith:\n    - '/a'\n    - '/b'")),
    "duplicate-value": (d("Image:\n    - /a\n    - /b\n    - /a"), d("Image:\n    - 1\n    - '1'")),
    "case-duplicate": (d("Image:\n    - /a\n    - /A"), d("Image|cased:\n    - /a\n    - /A")),
    # values
    "wildcard-only": (d("Image: '*'"), d("Image: '\\*'")),
    "matches-everything": (d("Image|contains: ''"), d("Image: ''")),
    "double-wildcard": (d("Image: 'a**b'"), d("Image: 'a\\**b'")),
    "wildcard-for-modifier": (d("Image: '*/a'"), d("Image:\n    - '*/a'\n    - 'b*'")),
    "wildcard-beside-modifier": (d("Image|endswith: '*/a'"), d("Image|endswith: '/*/a'")),
    "escaped-wildcard": (d(r"Image: 'C:\Users\x\*\a.exe'").replace(r"\x\*", r"x\*"), d(r"Image: 'C:\Users\\*\a.exe'")),
    "single-backslash-at-start": (d(r"Image: '\\server\share'"), d(r"Image: '\\\\server\share'")),
    "double-backslash": (d(r"Image: 'C:\\a'"), d(r"Image: 'C:\a'")),
    "control-character": (d(r'Image: "C:\bin"'), d(r"Image: 'C:\bin'")),
    "outer-space": (d("Image|endswith: '/a '"), d("Image|contains: '/a '")),
    "number-as-text": (d("EventID: '4625'"), d("EventID: 4625")),
    "yaml-truth": (d("Signed: no"), d("Signed: false")),
    "yaml-number": (d("Access: 0x1410"), d("Access: '0x1410'")),
    "yaml-date": (d("Day: 2025-01-02"), d("Day: '2025-01-02'")),
    "covered-value": (d("Image|contains:\n    - curl\n    - /bin/curl"), d("Image:\n    - curl\n    - /bin/curl")),
    # correlations
    "correlation-not-a-map": (c("correlation: event_count"), c()),
    "missing-correlation-type": (cb(_BODY), cb(_GOOD_BODY)),
    "missing-correlation-rules": (cb("type: temporal\ngroup-by: [User]\ntimespan: 5m"), cb(_GOOD_BODY)),
    "missing-correlation-timespan": (cb("type: temporal\nrules: [a, b]\ngroup-by: [User]"), cb(_GOOD_BODY)),
    "invalid-correlation-type": (cb(_GOOD_BODY.replace("event_count", "events_count")), cb(_GOOD_BODY)),
    "invalid-timespan": (cb(_GOOD_BODY.replace("5m", "5min")), cb(_GOOD_BODY)),
    "missing-group-by": (cb(_GOOD_BODY.replace("group-by: [User]\n", "")), cb(_GOOD_BODY)),
    "missing-correlation-condition": (cb(f"type: event_count\n{_BODY}"), cb(f"type: temporal\n{_BODY}")),
    "missing-condition-field": (
        cb(_GOOD_BODY.replace("event_", "value_")),
        cb(_GOOD_BODY.replace("event_", "value_") + "\n    field: User"),
    ),
    "invalid-correlation-condition": (cb(_GOOD_BODY.replace("gte", "ge")), cb(_GOOD_BODY)),
    "impossible-range": (cb(_GOOD_BODY + "\n    lt: 5"), cb(_GOOD_BODY + "\n    lte: 5")),
    "unknown-correlation-key": (cb(_GOOD_BODY.replace("group-by", "group_by")), cb(_GOOD_BODY)),
    "correlation-level": (cb(f"{_GOOD_BODY}\nlevel: high"), cb(_GOOD_BODY)),
    "duplicate-correlated-rule": (cb(_GOOD_BODY.replace("[a]", "[a, a]")), cb(_GOOD_BODY.replace("[a]", "[a, b]"))),
    "temporal-of-one": (cb(f"type: temporal\n{_BODY}"), cb(f"type: temporal\n{_BODY}".replace("[a]", "[a, b]"))),
    "invalid-aliases": (
        cb(f"{_GOOD_BODY}\naliases:\n    User: name"),
        cb(f"{_GOOD_BODY}\naliases:\n    User:\n        a: name"),
    ),
    "unused-alias": (
        cb(f"{_GOOD_BODY}\naliases:\n    other:\n        a: name"),
        cb(f"{_GOOD_BODY}\naliases:\n    User:\n        a: name"),
    ),
    "alias-of-other-rule": (
        cb(f"{_GOOD_BODY}\naliases:\n    User:\n        b: name"),
        cb(f"{_GOOD_BODY}\naliases:\n    User:\n        a: name"),
    ),
    "rules-not-a-list": (cb(_GOOD_BODY.replace("[a]", "a")), cb(_GOOD_BODY)),
    # filters
    "filter-not-a-map": (f("filter: selection"), f()),
    "missing-filter-rules": (
        f("filter:\n    selection:\n        User: a\n    condition: not selection"),
        f("filter:\n    rules: any\n    selection:\n        User: a\n    condition: not selection"),
    ),
    "duplicate-filtered-rule": (
        f("filter:\n    rules: [a, a]\n    selection:\n        User: a\n    condition: not selection"),
        f("filter:\n    rules: [a, b]\n    selection:\n        User: a\n    condition: not selection"),
    ),
    "filter-has-level": (f("level: high"), f()),
    "filter-has-status": (f("status: test"), f()),
    "filter-has-detection": (f("detection:\n    condition: x"), f()),
    # conventions
    "title-length": (r(f"title: {'Word ' * 23}"), r("title: Short")),
    "title-case": (r("title: Example of a strange Rule"), r("title: Example of a Rule With Intent")),
    "title-detects": (r("title: Detects Examples"), r("title: Detected Examples")),
    "title-period": (r("title: Example."), r("title: Example 1.0 Rule")),
    "title-level": (r("title: Suspicious Example\nlevel: informational"), r("title: Suspicious Example\nlevel: low")),
    "description-start": (r("description: This rule looks for something"), r("description: Detects something odd")),
    "description-short": (r("description: Detects it"), r("description: Detects something odd")),
    "description-is-title": (r("title: Detects It All\ndescription: Detects it all."), r()),
    "attack-reference": (r("references: [https://attack.mitre.org/techniques/T1059]"), r()),
    "moving-reference": (
        r("references: [https://github.com/a/b/blob/master/c.md]"),
        r("references: [https://github.com/a/b/blob/0123abc/c.md]"),
    ),
    "vague-falsepositive": (r("falsepositives: [None]"), r("falsepositives: [Unlikely]")),
    "indentation": (r("detection:\n  selection:\n    Image: a\n  condition: selection"), d("Image: a")),
}
