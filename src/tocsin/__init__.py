"""Tocsin: cloud and host security that a team runs itself."""

__version__ = "0.1.0"
