"""All commands in one place, and what a person sees when one fails.

Exit codes: 0 done; 1 done, and the answer is bad (problems found, a check failed); 2 the input or the call is wrong;
3 try again later.
"""

from __future__ import annotations

import errno
import sys

import typer

from tocsin import __version__
from tocsin.cli import agent, alerts, demo, events, hunt, intel, rules, search, serve, suppress, token, verify
from tocsin.model.errors import TocsinError, TryLater

__all__ = ["main"]

_BAD_INPUT, _TRY_LATER = 2, 3

app = typer.Typer(
    name="tocsin",
    help="Cloud and host security that a team runs itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
serve.add_to(app)
demo.add_to(app)
app.add_typer(agent.app, name="agent")
events.add_to(app)
app.add_typer(rules.app, name="rules")
search.add_to(app)
hunt.add_to(app)
app.add_typer(alerts.app, name="alerts")
app.add_typer(suppress.app, name="suppress")
app.add_typer(intel.app, name="intel")
verify.add_to(app)
token.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tocsin {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version.",
    ),
) -> None:
    """Options before any command."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors are one sentence on standard error, never a traceback."""
    try:
        app(arguments)
    except TocsinError as error:
        typer.echo(f"tocsin: {error}", err=True)
        return _TRY_LATER if isinstance(error, TryLater) else _BAD_INPUT
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception as error:
        if (reason := _storage_reason(error)) is None:
            raise
        typer.echo(f"tocsin: {reason}", err=True)
        return _TRY_LATER
    return 0


def _storage_reason(error: Exception) -> str | None:
    """What the state's database or the disk cannot do at the moment; None if the error is another."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}: make room, then try again"
    # Not imported for commands that open no database; who has raised one of its errors has loaded it.
    alchemy = sys.modules.get("sqlalchemy.exc")
    if alchemy is None or not isinstance(error, alchemy.OperationalError):
        return None
    return f"the database cannot be used now: {error.orig}"
