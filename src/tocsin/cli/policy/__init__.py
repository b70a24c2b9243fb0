"""`tocsin agent policy`: what agents leave alone."""

from __future__ import annotations

import typer

from tocsin.cli.policy import applying, explaining, listing

__all__ = ["app"]

app = typer.Typer(help="What agents leave alone: capture policies, by the tags of agents.", no_args_is_help=True)
applying.add_to(app)
listing.add_to(app)
explaining.add_to(app)
