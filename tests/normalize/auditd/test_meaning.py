"""The mapping file: every entry leads somewhere, and the documentation says it in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.model.schema import CLASSES
from tocsin.normalize.auditd import meaning, tables
from tocsin.normalize.auditd.map import _READERS

ENTRIES = [found for table in meaning._mapping().values() for found in table.values()]
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "mapping-auditd.md"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_entries_lead_to_a_class_an_activity_and_a_reader(entry: meaning.Meaning) -> None:
    """No entry names a class, an activity or a reader that does not exist."""
    assert entry.activity_id in CLASSES[entry.class_uid].activities
    assert entry.reader == "none" or entry.reader in _READERS


def test_names_are_those_of_the_interfaces() -> None:
    """Every system call exists on some architecture, every record type has a number."""
    calls = {name for names in tables.syscall_names().values() for name in names.values()}
    mapping = meaning._mapping()
    assert sorted(mapping["calls"].keys() - calls) == []
    assert [kind for kind in mapping["records"] if not tables.type_number(kind)] == []


def test_documentation_names_every_entry() -> None:
    """docs/mapping-auditd.md says where each system call and record type goes."""
    text = DOCUMENTATION.read_text()
    names = [name for table in ("calls", "records") for name in meaning._mapping()[table]]
    assert [name for name in names if f"`{name}`" not in text] == []
