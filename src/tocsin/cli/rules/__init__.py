"""`tocsin rules`: the life of detection rules; always with the very engine that the server runs."""

from __future__ import annotations

from tocsin.cli.rules import backtest, checking, explain, lint, listing, running
from tocsin.cli.rules.app import app

__all__ = ["app"]

for _command in (listing, checking, running, explain, backtest, lint):
    _command.add_to(app)
