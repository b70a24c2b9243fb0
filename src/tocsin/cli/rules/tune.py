"""`tocsin rules tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.log_files import AUTO
from tocsin.cli.rules.chosen import SourceOption, chosen_rule, events_in_files, mapping_of
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings, load_settings
from tocsin.model.errors import BadInput, NotFound
from tocsin.model.event import Event, RefusedLine

if TYPE_CHECKING:
    from tocsin.config import Settings
    from tocsin.detect.quality.experience import Judgement
    from tocsin.detect.quality.tune import Tuning

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)


def tune(  # noqa: PLR0913, PLR0917 -- the parameters are the options
    rule: Annotated[str, typer.Argument(help="A rule's file, id, title or file name.")],
    false: Annotated[list[Path] | None, typer.Option(help="Files of events that it should not have found.")] = None,
    true: Annotated[list[Path] | None, typer.Option(help="Files of events that it must still find.")] = None,
    source: SourceOption = AUTO,
    rules: Annotated[
        list[Path] | None, typer.Option(help="Where to look for the rule; the active ones if none.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write the proposed filters into this folder.")] = None,
    most: Annotated[int, typer.Option(min=1, max=50, help="At most so many proposals.")] = 5,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose filters from a rule's false positives: by default alerts that were closed as such, else from files."""
    from tocsin.detect.quality.tune import tune

    mapping = mapping_of(source)
    meant, text = chosen_rule(rule, load_settings(config, data_dir=data_dir), rules, mapping)
    if true and not false:
        raise BadInput("--true says what must stay, but there is nothing to leave out: name files with --false")
    if false:
        unwanted, wanted = _read(false, source), _read(true or [], source)
    else:
        unwanted, wanted = _judged(existing_settings(config, data_dir), meant.id)
    found = tune(meant, unwanted, wanted, mapping, text, most=most)
    if write:
        _write(found, write, Path(meant.path).stem)
    if as_json:
        typer.echo(msgspec.json.encode(found))
    else:
        _print(found)


def _read(paths: list[Path], source: str) -> list[Event]:
    events = []
    for item in events_in_files(paths, source):
        if isinstance(item, RefusedLine):
            raise BadInput(f"line {item.line} cannot be read as {source}: {item.reason}")
        events.append(item)
    return events


def _judged(settings: Settings, rule_id: str) -> tuple[list[Event], list[Event]]:
    """The evidence of alerts that people have closed as false positives, and of those that they have not."""
    from tocsin.detect.quality.experience import Judgement

    false, true = (_evidence(settings, rule_id, judged) for judged in (Judgement.FALSE, Judgement.TRUE))
    if not false:
        raise NotFound(
            "no alert of the rule was closed as a false positive; close them with a reason that says so "
            "(`tocsin alerts close ID --reason 'false positive: backup'`), or name files with --false and --true"
        )
    return false, true


def _evidence(settings: Settings, rule_id: str, wanted: Judgement) -> list[Event]:
    from tocsin.detect.quality.experience import judged_alerts
    from tocsin.model.event import flatten
    from tocsin.state.engine import reading
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    with reading(open_server_state(settings, SystemClock().now_ms())) as connection:
        return [flatten(event) for event in judged_alerts(connection, settings.org, rule_id, wanted)]


def _write(found: Tuning, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, trial in enumerate(found.trials, 1):
        (folder / f"filter_{name.replace('-', '_')}_{number}.yml").write_text(trial.filter, "utf-8")


def _print(found: Tuning) -> None:
    false, true = found.false_positives, found.true_positives
    typer.echo(f"the rule matches {false} false positives and {true} true ones")
    for trial in found.trials:
        typer.echo(f"\n# removes {trial.removes} of {false} false positives, keeps {trial.keeps} of {true} true ones")
        typer.echo(f"# or: tocsin suppress add {_shell(trial.expression)} --rule {found.rule_id} --owner YOU ...")
        typer.echo(trial.filter.rstrip())
    for trial in found.refused:
        lost = true - trial.keeps
        typer.echo(f"\nas a suppression only (a filter, minding no capitals, would lose {lost}): {trial.expression}")
    if not found.trials and not found.refused:
        typer.echo("no attribute sets the false positives apart" if false else "there is nothing to leave out")


def _shell(text: str) -> str:
    import shlex

    return shlex.quote(text)
