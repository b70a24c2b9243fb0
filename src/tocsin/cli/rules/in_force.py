"""The rules that a command is about if none is named: those of the settings, and those applied to the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tocsin.cli.rules.given import active_paths
from tocsin.cli.rules.seen import has_server

if TYPE_CHECKING:
    from tocsin.config import Settings
    from tocsin.detect.sigma.library import Library
    from tocsin.detect.sigma.logsource import Mapping

__all__ = ["InForce", "in_force"]


@dataclass(frozen=True)
class InForce:
    """Rules, and what the files say that lie in no folder."""

    library: Library
    paths: list[Path]
    texts: dict[str, str]  # by the path that their rules have

    def say_refused(self) -> None:
        """Say on standard error which rules cannot be used, and why."""
        for error in self.library.refused:
            typer.echo(f"not used: {error}", err=True)


def in_force(settings: Settings, paths: list[Path] | None, mapping: Mapping | None = None) -> InForce:
    """The rules of these files and folders; if none is named, those of the settings and what was applied."""
    from tocsin.detect.sigma.library import Loader

    chosen = paths or active_paths(settings)
    texts = {} if paths else dict(_applied(settings))
    return InForce(Loader(mapping).load(chosen, texts=texts.items()), chosen, texts)


def _applied(settings: Settings) -> Iterator[tuple[str, str]]:
    from tocsin.state.engine import reading
    from tocsin.state.life.versions import current, texts_of
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    if not has_server(settings):
        return
    with reading(open_server_state(settings, SystemClock().now_ms())) as connection:
        yield from texts_of(current(connection, settings.org).values())
