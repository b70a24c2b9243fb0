"""The `tocsin` command."""

from tocsin.cli.app import main

__all__ = ["main"]
