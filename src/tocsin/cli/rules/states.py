"""`tocsin rules enable`, `stage` and `disable`: what becomes of a rule's matches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.opened import WhoOption, opened
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption
from tocsin.model.life import State

__all__ = ["add_to"]

_COMMANDS = {
    "enable": (State.ACTIVE, "Have rules open alerts, whatever their files say; their noise budgets start afresh."),
    "stage": (State.STAGED, "Have rules match in silence: `tocsin alerts list --status staged` shows what they found."),
    "disable": (State.DISABLED, "Have rules not match at all."),
}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for name, (state, says) in _COMMANDS.items():
        app.command(name, help=says)(_command(state))


def _command(state: State) -> Callable[..., None]:
    def command(
        rule_ids: Annotated[list[str], typer.Argument(help="Ids of rules.")],
        reason: Annotated[str, typer.Option(help="Why; the next person reads it.")] = "",
        config: ConfigOption = None,
        data_dir: DataDirOption = None,
        who: WhoOption = "",
        as_json: JsonOption = False,
    ) -> None:
        for rule_id, title in _give(rule_ids, state, reason, config, data_dir, who).items():
            said = {"rule": rule_id, "title": title, "state": state.value}
            typer.echo(json.dumps(said) if as_json else f"{state.value}: {title} ({rule_id})")

    return command


def _give(
    rule_ids: list[str], state: State, reason: str, config: Path | None, data_dir: Path | None, who: str
) -> dict[str, str]:
    """Give the rules a state, all or none; gives their titles."""
    from tocsin.detect.life.books import RuleBooks
    from tocsin.detect.life.overview import Rules
    from tocsin.state.life.states import Given, give_state

    server = opened(config, data_dir, who)
    rules = Rules(RuleBooks(server.settings.rulesets, server.settings.rules))
    with server.state.begin() as connection:
        titles = {key: rules.one(connection, server.org, key, server.now_ms).title for key in rule_ids}
        for rule_id in titles:
            give_state(connection, server.org, rule_id, Given(state, reason, server.who, server.now_ms))
    return titles
