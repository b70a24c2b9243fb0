"""`tocsin agent policy explain`: what policies would have kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tocsin.cli.opened import opened
from tocsin.cli.period import milliseconds
from tocsin.cli.progress import progress
from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from tocsin.state.policies import PolicyVersion
    from tocsin.wiring.policy.explain import Explained

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    file: Annotated[
        Path | None, typer.Argument(help="A policy file, in the place of the applied one of its name.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    last: Annotated[str, typer.Option(help="How far back: 30m, 1h, 24h.")] = "1h",
    as_json: JsonOption = False,
) -> None:
    """Tell what policies would have kept of what is stored, by class and reason; what is left out is not stored."""
    from tocsin.detect.history.scan import Period
    from tocsin.state.engine import reading
    from tocsin.state.life.tags import agent_tags
    from tocsin.state.policies import current_policies
    from tocsin.wiring.lake.storage import open_storage
    from tocsin.wiring.policy.explain import explain_policies
    from tocsin.wiring.stored.history import History

    server = opened(config, data_dir)
    with reading(server.state) as connection:
        policies, tags = current_policies(connection, server.org), agent_tags(connection, server.org)
    if file is not None:
        proposed = _proposed(file, server.now_ms)
        policies = [*(each for each in policies if each.name != proposed.name), proposed]
    period = Period(server.now_ms - milliseconds(last), server.now_ms + 60_000)
    with closing(open_storage(server.settings, server.state)) as storage, progress("events") as bar:
        found = explain_policies(History(storage.query, server.org), policies, tags, period, bar)
    if as_json:
        typer.echo(msgspec.json.encode(msgspec.to_builtins(found) | {"events": found.events, "kept": found.kept}))
    else:
        _print(found, last)


def _proposed(file: Path, now_ms: int) -> PolicyVersion:
    """The policy in the file, as it would be applied.

    Raises:
        NotFound: there is no such file.
        InvalidSetting: it is no policy.
    """
    from tocsin.api.policies import checked_policy
    from tocsin.model.errors import NotFound
    from tocsin.state.policies import PolicyVersion
    from tocsin.wiring.policy.folder import read_files

    if not file.is_file():
        raise NotFound(f"{file}: no such file")
    policy = checked_policy(file.stem, read_files(file)[file])
    return PolicyVersion(policy.name, policy.content, policy.agents, version=0, author="", created_at=now_ms)


def _print(found: Explained, last: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not found.events:
        console.print(f"no events in the last {last}")
        return
    share = 100 * found.kept / found.events
    console.print(f"{found.kept:,} of {found.events:,} events of the last {last} would be kept ({share:.1f} %)\n")
    table = Table("Class", "Events", "Kept", "Protected", "Excluded", "Sampled", "Rate limited", box=None)
    for each in found.classes:
        left_out = (f"{number:,}" for number in each.left_out.values())
        table.add_row(each.class_name, f"{each.events:,}", f"{each.kept:,}", f"{each.protected:,}", *left_out)
    console.print(table)
    for exe, number in found.excluded:
        console.print(f"excluded: {number:>8,}  {exe or 'without an executable'}", markup=False)
