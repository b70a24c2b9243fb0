"""The rules that a server uses, for commands that run beside it."""

from __future__ import annotations

from tocsin.config import Settings
from tocsin.detect.life.books import RuleBooks, read_said
from tocsin.detect.sigma.library import Library, load, ruleset_folder
from tocsin.state.engine import open_state, reading

__all__ = ["active_library"]


def active_library(settings: Settings) -> Library:
    """The rules of the settings, and what their org has applied if a server was ever started with them.

    Raises:
        NotFound: a ruleset or a path of the settings does not exist.
    """
    library = None
    if settings.state_url or (settings.data_dir / "state.db").exists():
        engine = open_state(settings.state)
        with reading(engine) as connection:
            said = read_said(connection)
        engine.dispose()
        library = RuleBooks(settings.rulesets, settings.rules).read(said).get(settings.org)
    return library or load([*map(ruleset_folder, settings.rulesets), *settings.rules])
