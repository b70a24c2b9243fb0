"""Coverage counts techniques with rules and names the gaps; the layer is one that Navigator reads."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tocsin.detect.quality.attack import TACTICS, Technique, read_techniques
from tocsin.detect.quality.coverage import coverage, navigator_layer
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.model.condition import TRUE
from tocsin.model.errors import BadInput
from tocsin.model.rule import Rule

_KNOWN = {
    each.id: each
    for each in (
        Technique("T1059", "Command and Scripting Interpreter", ("execution",), ("Linux", "Windows")),
        Technique("T1059.004", "Unix Shell", ("execution",), ("Linux",)),
        Technique("T1059.001", "PowerShell", ("execution",), ("Windows",)),
        Technique("T1014", "Rootkit", ("defense-evasion",), ("Linux",)),
        Technique("T1002", "Data Compressed", ("exfiltration",), ("Linux",), deprecated=True),
    )
}
_SHELL = Rule("shell", "Shell", TRUE, (1007,), tags=("attack.execution", "attack.t1059.004"))
_OLD = Rule("old", "Old", TRUE, (1007,), tags=("attack.t1002",))
_BARE = Rule("bare", "Bare", TRUE, (1007,))


def test_gaps_are_techniques_without_a_rule() -> None:
    """A sub-technique's rule covers it and what is above it; its neighbours stay gaps, what was withdrawn is named."""
    found = coverage([_SHELL, _OLD, _BARE], _KNOWN)
    assert {each.id: each.rules for each in found.techniques} == {
        "T1059": ("shell",),
        "T1059.004": ("shell",),
        "T1059.001": (),
        "T1014": (),
    }
    assert [(each.name, each.covered, each.gaps) for each in found.tactics] == [
        ("execution", 2, ("T1059.001 PowerShell",)),
        ("defense-evasion", 0, ("T1014 Rootkit",)),
    ]
    assert (found.unknown, found.untagged, found.percent) == (("T1002",), ("bare",), 50.0)


def test_platforms_narrow_what_counts() -> None:
    """What Linux does not have is no gap on Linux, whatever its letters' case."""
    found = coverage([_SHELL], _KNOWN, ["linux"])
    assert [each.id for each in found.techniques if not each.rules] == ["T1014"]
    assert coverage([_SHELL], _KNOWN, ["Windows"]).outside == 1


def test_without_attack_there_are_no_gaps() -> None:
    """Without ATT&CK at hand, only what rules name is known, by the tactics that they name."""
    found = coverage([_SHELL], None)
    assert [(each.id, each.tactics) for each in found.techniques] == [("T1059.004", ("execution",))]
    assert not found.complete


def test_what_has_fired_is_told_from_what_never_did() -> None:
    """Matches of a technique are those of its rules."""
    found = coverage([_SHELL, _OLD], _KNOWN, matches={"shell": 7})
    assert {each.id: each.matches for each in found.techniques if each.rules} == {"T1059": 7, "T1059.004": 7}
    assert [each.fired for each in found.tactics] == [2, 0]


def test_the_layer_has_what_navigator_asks_for() -> None:
    """Format 4.5 with a colour per state, gaps scored 0, and the platforms as its filter."""
    layer = navigator_layer(coverage([_SHELL], _KNOWN, ["linux"], {"shell": 1}), "Mine", ["Linux"])
    assert layer["versions"] == {"navigator": "5.1.0", "layer": "4.5"}
    assert (layer["domain"], layer["filters"]) == ("enterprise-attack", {"platforms": ["Linux"]})
    techniques = msgspec.convert(layer["techniques"], list[dict[str, object]])
    states = {str(each["techniqueID"]): (each["score"], each["color"], each["comment"]) for each in techniques}
    assert states == {
        "T1014": (0, "#fc9272", "no rule"),
        "T1059": (1, "#31a354", "Shell"),
        "T1059.004": (1, "#31a354", "Shell"),
    }


def test_a_stix_bundle_is_read(tmp_path: Path) -> None:
    """MITRE's own file is read: attack patterns with their id, tactics, platforms, and whether they are withdrawn."""
    pattern = {
        "type": "attack-pattern",
        "name": "Rootkit",
        "external_references": [{"source_name": "mitre-attack", "external_id": "T1014"}],
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "defense-evasion"}],
        "x_mitre_platforms": ["Linux"],
        "revoked": True,
    }
    file = tmp_path / "enterprise-attack.json"
    file.write_bytes(msgspec.json.encode({"type": "bundle", "objects": [pattern, {"type": "malware"}]}))
    assert read_techniques(file) == {
        "T1014": Technique("T1014", "Rootkit", ("defense-evasion",), ("Linux",), deprecated=True)
    }


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"objects": 1}', b'[{"id": 1}]', b"1"])
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """What is no list of techniques is said with the file's name."""
    file = tmp_path / "attack.json"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"attack\.json"):
        read_techniques(file)


@pytest.mark.data
def test_the_base_names_techniques_that_exist(public_data: Path) -> None:
    """Every technique that the rules we ship name is one of ATT&CK's, and every tactic of ATT&CK's is known to us."""
    known = read_techniques(public_data / "attack" / "techniques.json")
    rules = load([ruleset_folder("base")]).rules
    found = coverage(rules, known)
    assert found.unknown == found.untagged == ()
    assert {tactic for each in known.values() for tactic in each.tactics} <= set(TACTICS)
    assert found.covered > 50
