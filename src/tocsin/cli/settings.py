"""The options that every command about a server shares: which settings file, which data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.model.errors import NotFound

if TYPE_CHECKING:
    from tocsin.config import Settings

__all__ = ["ConfigOption", "DataDirOption", "JsonOption", "existing_settings", "load_settings"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file; tocsin.toml in this folder if none is named.")
]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the server's data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def load_settings(config: Path | None = None, **overrides: object) -> Settings:
    """As `config.load_settings`, which takes a fifth of a second to import, and not all commands have settings.

    Raises:
        InvalidSetting: see there.
    """
    from tocsin import config as settings

    return settings.load_settings(config, **overrides)


def existing_settings(config: Path | None, data_dir: Path | None) -> Settings:
    """Settings of a server that has been started before, with the address that it was last told to listen on.

    Raises:
        NotFound: there is no data yet; says what to do.
    """
    from tocsin.wiring.processes.claim import as_served

    settings = load_settings(config, data_dir=data_dir)
    if not settings.state_url and not (settings.data_dir / "state.db").exists():
        raise NotFound(f"no Tocsin data in {settings.data_dir}: start it with `tocsin up`, or name it with --data-dir")
    return as_served(settings)
