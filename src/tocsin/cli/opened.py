"""What a command that changes the state of a server begins with."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.settings import existing_settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tocsin.config import Settings

__all__ = ["Opened", "WhoOption", "opened"]

WhoOption = Annotated[str, typer.Option("--as", help="Who does this; the login name if nobody is named.")]


@dataclass(frozen=True)
class Opened:
    """The settings, the state, what time it is (ms), and who asks."""

    settings: Settings
    state: sa.Engine
    now_ms: int
    who: str

    @property
    def org(self) -> str:
        """Whose server it is."""
        return self.settings.org


def opened(config: Path | None, data_dir: Path | None, who: str = "") -> Opened:
    """Open the state of a server that has been started before.

    Raises:
        NotFound: there is no data yet; says what to do.
    """
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    settings = existing_settings(config, data_dir)
    now_ms = SystemClock().now_ms()
    return Opened(settings, open_server_state(settings, now_ms), now_ms, who or getpass.getuser())
