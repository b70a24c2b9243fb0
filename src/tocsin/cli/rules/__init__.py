"""`tocsin rules`: the life of detection rules; always with the very engine that the server runs."""

from __future__ import annotations

from tocsin.cli.rules import (
    applying,
    assigning,
    backtest,
    checking,
    convert,
    coverage,
    explain,
    lint,
    listing,
    reloading,
    running,
    scorecard,
    states,
    tune,
    versions,
)
from tocsin.cli.rules.app import app

__all__ = ["app"]

for _command in (
    listing,
    checking,
    running,
    explain,
    backtest,
    convert,
    lint,
    coverage,
    tune,
    scorecard,
    applying,
    versions,
    states,
    reloading,
    assigning,
):
    _command.add_to(app)
