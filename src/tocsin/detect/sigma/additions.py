"""What Tocsin adds to a Sigma document under the key `tocsin`, which other Sigma tools ignore."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tocsin.model.errors import InvalidRule
from tocsin.model.life import Life, State

__all__ = ["Additions", "additions_of"]

_WINDOW: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_STATES: Final = (State.ACTIVE, State.STAGED, State.DISABLED)
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Tags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags of agents, `name=value` or `name` alone."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Additions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands under `tocsin`."""

    title: str = ""
    group_by: tuple[str, ...] = ()
    window: str = ""
    response: str = ""
    threshold: int = 0
    state: str = State.ACTIVE
    noise_budget: str | int | None = None  # alerts a day: 20 or 20/d
    tags: Tags = Tags()
    ruleset: str = ""

    def life(self) -> Life:
        """What it says about the rule's life.

        Raises:
            InvalidRule: a state that a file cannot give, or a budget that is none.
        """
        if self.state not in _STATES:
            raise InvalidRule(f"tocsin: state {self.state!r} must be {', '.join(_STATES)}")
        return Life(State(self.state), self._budget(), self.tags.include, self.tags.exclude, self.ruleset)

    def _budget(self) -> int | None:
        if self.noise_budget is None:
            return None
        said = str(self.noise_budget).removesuffix("/d")
        if not said.isascii() or not said.isdigit():
            raise InvalidRule(f"tocsin: noise_budget {self.noise_budget!r} must be alerts a day, e.g. 20/d")
        return int(said)

    def names(self) -> tuple[str, ...]:
        """What the title's placeholders and the group-by need values of."""
        return tuple(dict.fromkeys([*self.group_by, *_PLACEHOLDER.findall(self.title)]))

    def window_ms(self, default: int) -> int:
        """The window, or the default if there is none.

        Raises:
            InvalidRule: it is no time span.
        """
        if not self.window:
            return default
        found = _WINDOW.fullmatch(self.window)
        if found is None:
            raise InvalidRule(f"tocsin: window {self.window!r} must be a number and s, m, h or d, e.g. 4h")
        return int(found[1]) * _UNITS_MS[found[2]]


def additions_of(content: dict[str, object]) -> Additions:
    """What a document says under `tocsin`.

    Raises:
        InvalidRule: a key or a value that means nothing there.
    """
    try:
        additions = msgspec.convert(content.get("tocsin") or {}, Additions)
    except msgspec.ValidationError as error:
        raise InvalidRule(f"tocsin: {error}") from error
    if additions.threshold < 0:
        raise InvalidRule(f"tocsin: threshold {additions.threshold} must be at least 1")
    return additions
