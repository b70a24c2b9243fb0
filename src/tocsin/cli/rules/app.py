"""The group of commands."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="Detection rules.", no_args_is_help=True)
