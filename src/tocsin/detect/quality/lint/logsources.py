"""Lints of log sources."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
import yaml

from tocsin.detect.quality.lint.registry import DETECTIONS, RULES, Issue, Level, at, lint, near
from tocsin.detect.quality.lint.text import RuleText, entries, replaced

__all__: list[str] = []

_PARTS: Final = ("product", "category", "service")
_SYSMON: Final = {
    "1": "process_creation", "2": "file_change", "3": "network_connection", "4": "sysmon_status",
    "5": "process_termination", "6": "driver_load", "7": "image_load", "8": "create_remote_thread",
    "9": "raw_access_thread", "10": "process_access", "11": "file_event", "12": "registry_event",
    "13": "registry_set", "14": "registry_rename", "15": "create_stream_hash", "16": "sysmon_status",
    "17": "pipe_created", "18": "pipe_created", "19": "wmi_event", "20": "wmi_event", "21": "wmi_event",
    "22": "dns_query", "23": "file_delete", "24": "clipboard_capture", "25": "process_tampering",
    "26": "file_delete_detected", "27": "file_block_executable", "28": "file_block_shredding",
    "29": "file_executable_detected", "255": "sysmon_error",
}  # fmt: skip


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    categories: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


@cache
def _known() -> dict[str, _Known]:
    text = (files("tocsin") / "content" / "lint" / "logsources.yml").read_bytes()
    return msgspec.yaml.decode(text, type=dict[str, _Known])


def _parts(rule: RuleText) -> dict[str, yaml.ScalarNode]:
    found = {str(key.value): value for key, value in entries(rule.get("logsource"))}
    return {key: value for key, value in found.items() if key in _PARTS and isinstance(value, yaml.ScalarNode)}


@lint("empty-logsource", Level.ERROR, "`logsource` has neither product, category nor service.", DETECTIONS)
def empty_logsource(rule: RuleText) -> Iterator[Issue]:
    if isinstance(rule.get("logsource"), yaml.MappingNode) and not _parts(rule):
        yield at(rule.keys["logsource"][0], "logsource has neither product, category nor service")


@lint("unknown-logsource-key", Level.WARNING, "`logsource` has a key that means nothing.", DETECTIONS, fixes=True)
def unknown_logsource_key(rule: RuleText) -> Iterator[Issue]:
    for key, _ in entries(rule.get("logsource")):
        if str(key.value) not in {*_PARTS, "definition"}:
            meant = near(str(key.value), (*_PARTS, "definition"))
            edits = (replaced(key, meant),) if meant else ()
            yield at(key, f"logsource has no key {key.value!r}: {', '.join(_PARTS)}, definition", *edits)


@lint("logsource-case", Level.WARNING, "A log source is not written in small letters.", DETECTIONS, fixes=True)
def logsource_case(rule: RuleText) -> Iterator[Issue]:
    for key, node in _parts(rule).items():
        if node.value != node.value.lower():
            yield at(node, f"{key} {node.value!r} must be in small letters", replaced(node, node.value.lower()))


@lint("unknown-logsource", Level.INFO, "Neither taxonomy nor public rules know this log source.", DETECTIONS)
def unknown_logsource(rule: RuleText) -> Iterator[Issue]:
    parts = _parts(rule)
    product = parts["product"].value.lower() if "product" in parts else ""
    if product not in _known():
        yield at(parts["product"], f"the product {product!r} is not known{_hint(product, _known())}")
        return
    known = _known()[product]
    for key, names in (("category", known.categories), ("service", known.services)):
        if key in parts and parts[key].value.lower() not in names:
            node = parts[key]
            of = f" of {product}" if product else " without a product"
            yield at(node, f"the {key} {node.value!r}{of} is not known{_hint(node.value, names)}")


def _hint(name: str, known: dict[str, _Known] | tuple[str, ...]) -> str:
    meant = near(name, known)
    return f"; did you mean {meant}?" if meant else ""


@lint(
    "specific-logsource", Level.WARNING, "A Sysmon event number says what a category would say for every sensor.", RULES
)
def specific_logsource(rule: RuleText) -> Iterator[Issue]:
    parts = _parts(rule)
    if "service" not in parts or parts["service"].value != "sysmon" or "category" in parts:
        return
    for item in rule.items:
        for value in item.values:
            if item.field == "EventID" and str(value.value) in _SYSMON:
                yield at(value, f"Sysmon's event {value.value} is category {_SYSMON[str(value.value)]} of the taxonomy")
