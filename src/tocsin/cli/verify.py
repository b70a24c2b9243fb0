"""`tocsin verify`: coverage and integrity per agent and hour, from rows of the lake to the signatures of agents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.period import milliseconds
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from rich.table import Table

    from tocsin.ingest.coverage import Coverage
    from tocsin.ingest.provenance.alteration import Alteration
    from tocsin.wiring.verify import Verdict

__all__ = ["add_to"]

_NO_HOUR = 0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    last: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d.")] = "24h",
    agent: Annotated[str, typer.Option(help="Only of this agent, by its id or host name.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check everything that came in that time: every row of the lake, its batch, and its agent's signature.

    Shows per agent and hour what came, what is missing, what was not kept and why; and names every alteration. Exit
    code 1 if a batch is missing, or anything is not as it was signed.
    """
    from rich.console import Console

    verdict = _examine(config, data_dir, last, agent)
    if as_json:
        _print_lines(verdict)
    elif verdict.hours or verdict.alterations:
        console = Console()
        console.print(_table(verdict.hours))
        for alteration in verdict.alterations:
            console.print(_sentence(alteration), style="bold red", highlight=False, soft_wrap=True)
        console.print(_summary(verdict), highlight=False)
    else:
        typer.echo(f"no batch arrived in the last {last}")
    if not verdict.intact:
        raise typer.Exit(1)


def _examine(config: Path | None, data_dir: Path | None, last: str, agent: str) -> Verdict:
    from tocsin.cli.opened import opened
    from tocsin.cli.progress import progress
    from tocsin.state.engine import reading
    from tocsin.state.life.tags import find_agent
    from tocsin.wiring.lake.event_log import open_log
    from tocsin.wiring.verify import Period, open_evidence, verify

    server = opened(config, data_dir)
    if agent:
        with reading(server.state) as connection:
            agent = find_agent(connection, server.org, agent)
    log = open_log(server.settings)
    period = Period(server.now_ms - milliseconds(last), server.now_ms + 1, agent)
    try:
        with progress("verify") as show:
            return verify(open_evidence(server.settings, server.state, log, period), show)
    finally:
        log.close()
        server.state.dispose()


def _print_lines(verdict: Verdict) -> None:
    """One line per hour, one per alteration, one that sums up."""
    altered = {(one.agent, one.hour) for one in verdict.alterations}
    for hour in verdict.hours:
        intact = hour.intact and (hour.agent, hour.hour) not in altered
        shares = {"percent": hour.percent, "kept_percent": hour.kept_percent}
        said = {"kind": "hour", **msgspec.to_builtins(hour), **shares, "intact": intact}
        typer.echo(json.dumps(said))
    for alteration in verdict.alterations:
        typer.echo(json.dumps({"kind": "alteration", **msgspec.to_builtins(alteration)}))
    counts = {name: getattr(verdict, name) for name in ("batches", "rows", "files", "rederived")}
    found = len(verdict.alterations)
    typer.echo(json.dumps({"kind": "summary", **counts, "alterations": found, "intact": verdict.intact}))


def _summary(verdict: Verdict) -> str:
    checked = f"checked {verdict.batches} batches, {verdict.rows} rows, {verdict.files} files"
    if verdict.rederived:
        checked += (
            f" ({verdict.rederived} rows were written by another version, which derived some attributes otherwise)"
        )
    if verdict.intact:
        return f"{checked}: everything is as its agent signed it"
    return f"{checked}: {len(verdict.alterations)} alterations"


def _sentence(alteration: Alteration) -> str:
    where = [alteration.hostname or alteration.agent]
    if alteration.hour != _NO_HOUR:
        where.append(_hour(alteration.hour))
    if alteration.sequence >= 0:
        where.append(f"batch {alteration.epoch}/{alteration.sequence}")
    where.append(alteration.file)
    return f"{alteration.what}: {', '.join(filter(None, where))}: {alteration.detail}"


def _hour(start: int) -> str:
    return datetime.fromtimestamp(start / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _table(hours: list[Coverage]) -> Table:
    from rich.table import Table

    table = Table("Host", "Agent", "Hour (UTC)", "Batches", "Events", "Coverage", "Chain", "Not kept", box=None)
    for hour in hours:
        chain = "intact" if hour.intact else f"{hour.missing_batches} missing, {hour.broken_links} broken"
        not_kept = ", ".join(f"{count} {reason}" for reason, count in sorted(hour.not_kept.items()) if count)
        kept = f", {hour.kept_percent:.1f} % of all" if hour.left_out else ""
        counts = (str(hour.batches), str(hour.events), f"{hour.percent:.3f} %{kept}")
        table.add_row(hour.hostname, hour.agent[:8], _hour(hour.hour), *counts, chain, not_kept)
    return table
