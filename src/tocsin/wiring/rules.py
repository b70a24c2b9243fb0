"""Which rules are active: the built-in rulesets and the folders that the settings name."""

from __future__ import annotations

import structlog

from tocsin.config import Settings
from tocsin.detect.sigma.library import load, ruleset_folder
from tocsin.model.rule import Rule

__all__ = ["active_rules"]

_log = structlog.get_logger(__name__)


def active_rules(settings: Settings) -> list[Rule]:
    """All rules that can be used; one that cannot is named in the log, and the others go on.

    Raises:
        NotFound: a ruleset or a path of the settings does not exist.
    """
    library = load([*map(ruleset_folder, settings.rulesets), *settings.rules])
    for error in library.refused:
        _log.warning("rule not used", reason=str(error))
    _log.info("rules loaded", active=len(library.rules), refused=len(library.refused))
    return list(library.rules)
