"""Which rules are active: the built-in rulesets and the folders that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import structlog

from tocsin.config import Settings
from tocsin.detect.sigma import documents, load_rule
from tocsin.model.errors import InvalidRule, InvalidSetting
from tocsin.model.rule import Rule

__all__ = ["active_rules", "ruleset_folder"]

_log = structlog.get_logger(__name__)


def ruleset_folder(name: str) -> Path:
    """Where a built-in ruleset lies.

    Raises:
        InvalidSetting: there is none of that name.
    """
    rulesets = Path(str(resources.files("tocsin").joinpath("content/rules")))
    if not (rulesets / name).is_dir():
        known = ", ".join(sorted(path.name for path in rulesets.iterdir() if path.is_dir()))
        raise InvalidSetting(f"rulesets: there is no built-in ruleset {name!r}; there are {known}")
    return rulesets / name


def active_rules(settings: Settings) -> list[Rule]:
    """All rules that can be used; one that cannot is named in the log, and the others go on."""
    rules: dict[str, Rule] = {}
    refused = 0
    for path in _files([*map(ruleset_folder, settings.rulesets), *settings.rules]):
        try:
            for document in documents(path.read_text(), str(path)):
                rule = load_rule(document)
                rules.setdefault(rule.id, rule)
        except InvalidRule as error:
            refused += 1
            _log.warning("rule not used", reason=str(error))
    _log.info("rules loaded", active=len(rules), refused=refused)
    return list(rules.values())


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.yml"))
        elif path.exists():
            yield path
        else:
            raise InvalidSetting(f"rules: {path}: no such file or folder")
