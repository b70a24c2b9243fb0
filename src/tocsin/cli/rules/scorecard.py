"""`tocsin rules scorecard`."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.period import milliseconds
from tocsin.cli.progress import progress
from tocsin.cli.rules.given import PathsArgument
from tocsin.cli.rules.in_force import in_force
from tocsin.cli.rules.seen import has_server, seen_rules
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, load_settings
from tocsin.model.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.config import Settings
    from tocsin.detect.quality.arrival import Arrivals
    from tocsin.detect.quality.experience import Experience
    from tocsin.detect.quality.lint.run import Complaint
    from tocsin.detect.quality.scorecard import Card, Seen
    from tocsin.model.rule import Rule

__all__ = ["add_to"]

_DAY_MS = 86_400_000
_GRADES = "ABCDF"
_PIPE_WIDTH = 200


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(scorecard)


def scorecard(
    paths: PathsArgument = None,
    last: Annotated[str, typer.Option(help="What was seen in how long a time counts: 30d, 24h.")] = "30d",
    fail_under: Annotated[str, typer.Option(help="Exit code 1 if a rule has less: A, B, C, D or points.")] = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grade each rule: silent, noisy, often wrong, stale, untested, or in want of fields that never arrive."""
    from tocsin.detect.quality.lint.run import lint_files
    from tocsin.detect.quality.scorecard import cards

    least = _least(fail_under)
    settings = load_settings(config, data_dir=data_dir)
    chosen = in_force(settings, paths)
    chosen.say_refused()
    seen = _seen(settings, chosen.library.rules, last)
    complaints = [*lint_files(chosen.paths), *_of_applied(chosen.texts)]
    found = cards(chosen.library.rules, dt.datetime.now(dt.UTC).date(), seen, complaints, chosen.texts)
    if as_json:
        for card in found:
            typer.echo(msgspec.json.encode(card))
    else:
        _print(found, last if seen is not None else "")
    if any(card.score < least for card in found):
        raise typer.Exit(1)


def _of_applied(texts: dict[str, str]) -> list[Complaint]:
    from tocsin.detect.quality.lint.run import lint_text

    return [complaint for path, text in texts.items() for complaint in lint_text(Path(path), text)]


def _least(said: str) -> int:
    points = {"A": 90, "B": 80, "C": 65, "D": 50, "": 0}
    if said.upper() in points:
        return points[said.upper()]
    if not said.isdigit():
        raise BadInput(f"--fail-under {said!r} must be A, B, C, D or a number of points")
    return int(said)


def _seen(settings: Settings, rules: Sequence[Rule], last: str) -> dict[str, Seen] | None:
    """What the server knows of each rule; None if none was ever started here."""
    from tocsin.detect.history.scan import Period
    from tocsin.detect.quality.arrival import Arrivals
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.lake.storage import open_storage
    from tocsin.wiring.processes.first_start import open_server_state
    from tocsin.wiring.stored.history import History

    period = milliseconds(last)
    if not has_server(settings):
        return None
    now = SystemClock().now_ms()
    known = seen_rules(settings, last) or {}
    with closing(open_storage(settings, open_server_state(settings, now))) as storage, progress("event classes") as bar:
        looked_at = Period(now - period, now + 60_000)
        classes = {class_uid for rule in rules for class_uid in rule.class_uids}
        pieces = History(storage.query, settings.org).pieces(looked_at, classes)
        arrivals = Arrivals(rules, pieces, looked_at, bar)
        return {rule.id: _of_rule(rule, known, arrivals, period / _DAY_MS) for rule in rules}


def _of_rule(rule: Rule, known: dict[str, Experience], arrivals: Arrivals, days: float) -> Seen:
    from tocsin.detect.quality.experience import Experience
    from tocsin.detect.quality.scorecard import Seen, middling_cost

    experience = known.get(rule.id) or Experience()
    missing = tuple(arrivals.missing(rule))
    return Seen(days, experience, arrivals.fed(rule), missing, middling_cost(known.values()))


def _print(found: list[Card], last: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Grade", "Rule", box=None)
    for heading in ("Matches", "Alerts", "False", "ns/event") if last else ():
        table.add_column(heading, justify="right")
    table.add_column("What speaks against it")
    for card in found:
        why = "; ".join(f"{reason.kind}: {reason.text}" for reason in card.reasons)
        rate = card.false_positive_rate
        numbers = (
            card.matches,
            card.alerts,
            None if rate is None else f"{rate:.0%}",
            card.cost_ns and round(card.cost_ns),
        )
        columns = ["" if number is None else f"{number}" for number in numbers] if last else []
        table.add_row(f"{card.grade} {card.score:3}", Text(card.title), *columns, Text(why))
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)
    counts = ", ".join(f"{sum(card.grade == grade for card in found)} {grade}" for grade in _GRADES)
    basis = f"by their files and what was seen in {last}" if last else "by their files alone: no server has run here"
    typer.echo(f"{len(found)} rules, {basis}: {counts}")
