"""MITRE ATT&CK, as far as tags name it: tactics are known here, techniques are read from a file that the user has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tocsin.model.errors import BadInput

__all__ = ["TACTICS", "Technique", "read_techniques"]

# In the order of the matrix. ATT&CK 19 split defense-evasion into stealth and defense-impairment: all three are used.
TACTICS: Final = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)


class Technique(msgspec.Struct, frozen=True):
    """A technique or sub-technique."""

    id: str
    name: str
    tactics: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    deprecated: bool = False


def read_techniques(path: Path) -> dict[str, Technique]:
    """The techniques in a file, by id: MITRE's STIX bundle (enterprise-attack.json), or a list of Technique.

    Raises:
        BadInput: it cannot be read as either.
    """
    try:
        content: Any = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    try:
        bundle = isinstance(content, dict)
        found = _of_bundle(content) if bundle else msgspec.convert(content, list[Technique])
    except (msgspec.ValidationError, TypeError, LookupError, AttributeError) as error:
        raise BadInput(f"{path}: neither a STIX bundle of ATT&CK nor a list of techniques: {error}") from error
    if not found:
        raise BadInput(f"{path}: there is no technique in it")
    return {technique.id: technique for technique in found}


def _of_bundle(bundle: Mapping[str, Any]) -> list[Technique]:
    patterns = [each for each in bundle["objects"] if each.get("type") == "attack-pattern"]
    return [_technique(each) for each in patterns if _external_id(each)]


def _technique(pattern: Mapping[str, Any]) -> Technique:
    phases: Iterable[Mapping[str, str]] = pattern.get("kill_chain_phases", ())
    return Technique(
        id=_external_id(pattern),
        name=pattern["name"],
        tactics=tuple(each["phase_name"] for each in phases if each["kill_chain_name"] == "mitre-attack"),
        platforms=tuple(pattern.get("x_mitre_platforms", ())),
        deprecated=bool(pattern.get("x_mitre_deprecated") or pattern.get("revoked")),
    )


def _external_id(pattern: Mapping[str, Any]) -> str:
    references = pattern.get("external_references", ())
    return next((str(each["external_id"]) for each in references if each.get("source_name") == "mitre-attack"), "")
