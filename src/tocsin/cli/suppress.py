"""`tocsin suppress`: what is not to be told, with who answers for it, why, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.opened import WhoOption, opened
from tocsin.cli.period import milliseconds
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from tocsin.alert.trial import Trial
    from tocsin.state.life.suppressions import Suppression

__all__ = ["app"]

app = typer.Typer(help="Suppressions: matches that are kept, but that nobody is told of.", no_args_is_help=True)
ExpressionArgument = Annotated[str, typer.Argument(help="Filter over event attributes, as in `tocsin search`.")]
RuleOption = Annotated[str, typer.Option("--rule", help="Id of the one rule that it is for; all rules if none.")]
_SHOWN = 20


@app.command("add")
def add_suppression(  # noqa: PLR0913, PLR0917 -- a command has as many options as it needs
    expression: ExpressionArgument,
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why this is harmless.")],
    expires: Annotated[str, typer.Option(help="For how long: 7d, 12h, 4w.")],
    rule: RuleOption = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hide what the filter finds, from now on, for events until then."""
    from tocsin.api.suppressions import add_checked
    from tocsin.detect.life.books import RuleBooks
    from tocsin.detect.life.overview import Rules
    from tocsin.state.life.suppressions import NewSuppression

    server = opened(config, data_dir, who)
    new = NewSuppression(expression, owner, reason, server.now_ms + milliseconds(expires), rule)
    rules = Rules(RuleBooks(server.settings.rulesets, server.settings.rules))
    with server.state.begin() as connection:
        made = add_checked(connection, rules, server.org, new, server.who, server.now_ms)
    typer.echo(msgspec.json.encode(made) if as_json else f"suppression {made.id} is in force {_until(made)}")


@app.command("list")
def list_suppressions(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    every: Annotated[bool, typer.Option("--all", help="Those that were removed too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List suppressions, newest first; expired ones hide nothing any more."""
    from tocsin.state.engine import reading
    from tocsin.state.life.suppressions import listed

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        found = [each for each in listed(connection, server.org) if every or each.removed_at is None]
    for each in found:
        state = each.state(server.now_ms)
        if as_json:
            typer.echo(msgspec.json.encode({"state": state, **msgspec.structs.asdict(each)}))
        else:
            rule = f"rule {each.rule_id}" if each.rule_id else "all rules"
            typer.echo(f"{each.id}  {state:<8}  {_until(each)}  {each.hidden} hidden  {each.owner}: {each.reason}")
            typer.echo(f"              {rule}: {each.expression}")
    if not found and not as_json:
        typer.echo("no suppressions")


@app.command("remove")
def remove_suppression(
    key: Annotated[str, typer.Argument(help="The suppression's id.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Stop hiding; what was hidden stays as it is."""
    from tocsin.state.life.suppressions import remove

    server = opened(config, data_dir, who)
    with server.state.begin() as connection:
        removed = remove(connection, server.org, key, server.who, server.now_ms)
    typer.echo(
        msgspec.json.encode(removed) if as_json else f"suppression {key} removed; it has hidden {removed.hidden}"
    )


@app.command("try")
def try_suppression(
    expression: ExpressionArgument,
    rule: RuleOption = "",
    last: Annotated[str, typer.Option(help="Over the alerts of how long.")] = "30d",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a filter would have hidden of the alerts that there are; nothing is changed."""
    from tocsin.alert.trial import try_suppression as trial_of
    from tocsin.detect.evaluate.naive import holds
    from tocsin.state.engine import reading

    server = opened(config, data_dir)
    since_ms = server.now_ms - milliseconds(last)
    with reading(server.state) as connection:
        trial = trial_of(connection, server.org, expression, rule, since_ms, holds)
    if as_json:
        typer.echo(msgspec.json.encode({"alerts": trial.alerts, "whole": trial.whole, "touched": trial.touched}))
    else:
        _say(trial)


def _say(trial: Trial) -> None:
    for each in trial.touched[:_SHOWN]:
        how = "whole" if each.whole else f"{each.hidden} of {each.kept} events"
        typer.echo(f"{each.id[:12]}  {each.status:<12}  {how:<16}  {each.hostname}  {each.title}")
    if len(trial.touched) > _SHOWN:
        typer.echo(f"... and {len(trial.touched) - _SHOWN} more")
    in_part = len(trial.touched) - trial.whole
    typer.echo(f"of {trial.alerts} alerts {trial.whole} would not have been opened, {in_part} would have been smaller")


def _until(each: Suppression) -> str:
    from tocsin.cli.alert_text import date_and_time

    return f"until {date_and_time(each.expires_at)} UTC"
