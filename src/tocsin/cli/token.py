"""`tocsin token`: a bearer token for programs that use the API or send lines."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tocsin.cli.settings import ConfigOption, DataDirOption, JsonOption, existing_settings
from tocsin.model.errors import NotFound

__all__ = ["add_to"]

_DAY_MS = 86_400_000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token")(token)


def token(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    person: Annotated[str, typer.Option("--for", help="In whose name; the owner if nobody is named.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Make a bearer token for the API and the line inlet; it is shown once, only its hash is kept."""
    import sqlalchemy as sa

    from tocsin.api.auth import issue_token
    from tocsin.state.tables import user
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    settings = existing_settings(config, data_dir)
    now = SystemClock().now_ms()
    chosen = user.c.name == person if person else user.c.role == "owner"
    with open_server_state(settings, now).begin() as connection:
        wanted = sa.select(user.c.id, user.c.name).where(user.c.org == settings.org, chosen).order_by(user.c.id)
        found = connection.execute(wanted).first()
        if found is None:
            whom = f"called {person}" if person else "yet"
            raise NotFound(
                f"there is nobody {whom}: log in to the console first, with the link that `tocsin up` prints"
            )
        made = issue_token(connection, settings.org, found.id, now, days * _DAY_MS)
    typer.echo(json.dumps({"token": made, "for": found.name, "expires_at": now + days * _DAY_MS}) if as_json else made)
