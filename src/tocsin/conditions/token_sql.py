"""JSON cut into tokens by a regular expression, for engines that cannot walk through it to any depth."""

from __future__ import annotations

from typing import Final

__all__ = ["KEY", "TOKEN"]

# Strings first, so that nothing within one is taken for a token; a key takes its colon with it. Null is no text.
TOKEN: Final = r'"(?:[^"\\]|\\.)*"\s*:?|[-+.0-9eE]+|true|false'  # noqa: S105 - of JSON
KEY: Final = ":$"
