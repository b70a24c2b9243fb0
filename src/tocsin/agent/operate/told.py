"""What the running agent says on standard error: how it began, and every change of health."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin.agent.operate.health import Module

__all__ = ["Told", "tell"]


def tell(text: str) -> None:
    """One line for whoever started the agent."""
    sys.stderr.write(f"tocsin-agent: {text}\n")
    sys.stderr.flush()


class Told:
    """Which modules are known to be ill, so that only a change is said."""

    def __init__(self) -> None:
        self._ill: set[str] = set()

    def changes(self, modules: Mapping[str, Module]) -> None:
        """Say which modules have become ill, with the reason, and which are well again."""
        for name, module in sorted(modules.items()):
            if module.healthy and name in self._ill:
                self._ill.remove(name)
                tell(f"{name} is well again")
            elif not module.healthy and name not in self._ill:
                self._ill.add(name)
                tell(f"{name} is ILL: {module.reason}")
