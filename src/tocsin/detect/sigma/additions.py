"""What Tocsin adds to a Sigma document under the key `tocsin`, which other Sigma tools ignore."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from tocsin.model.errors import InvalidRule
from tocsin.model.life import Life, State

__all__ = ["Additions", "additions_of"]

_WINDOW: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_STATES: Final = (State.ACTIVE, State.STAGED, State.DISABLED)
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_UNKNOWN_KEY: Final = re.compile("Object contains unknown field `(.*?)`")
_WRONG_TYPE: Final = re.compile(r"Expected `(.*?)`, got `(.*?)`(?: - at `\$(.*)`)?")
_TYPES: Final = {"array": "a list", "object": "keys with values", "str": "text", "int": "a number", "null": "nothing"}
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
        """What it says about the rule's life."""
        return Life(State(self.state), self._budget(), self.tags.include, self.tags.exclude, self.ruleset)

    def _budget(self) -> int | None:
        return None if self.noise_budget is None else int(_a_day(self.noise_budget))

    def names(self) -> tuple[str, ...]:
        """What the title's placeholders and the group-by need values of."""
        return tuple(dict.fromkeys([*self.group_by, *_PLACEHOLDER.findall(self.title)]))

    def window_ms(self, default: int) -> int:
        """The window, or the default if there is none."""
        found = _WINDOW.fullmatch(self.window)
        return int(found[1]) * _UNITS_MS[found[2]] if found else default


def _a_day(budget: str | int) -> str:
    return str(budget).removesuffix("/d")


_FIELDS: Final = Additions.__struct_fields__


def additions_of(content: dict[str, object]) -> Additions:
    """What a document says under `tocsin`.

    Raises:
        InvalidRule: keys and values that mean nothing there; it names all of them.
    """
    said = content.get("tocsin") or {}
    if not isinstance(said, dict):
        raise InvalidRule(f"tocsin: it must have keys such as window: 4h, not {said!r}")
    wrong = [problem for key, value in said.items() for problem in _problems(str(key), value)]
    if wrong:
        raise InvalidRule(f"tocsin: {'; '.join(wrong)}")
    return msgspec.convert(said, Additions)


def _problems(key: str, value: object) -> Iterator[str]:
    """What is wrong with one key and its value."""
    if key not in _FIELDS:
        near = difflib.get_close_matches(key, _FIELDS, 1)
        yield f"{key} is no key of it (did you mean {near[0]}?)" if near else f"{key} is none of {', '.join(_FIELDS)}"
        return
    try:
        valid = msgspec.convert({key: value}, Additions)
    except msgspec.ValidationError as error:
        yield f"{key}{_plain(str(error), key)}"
        return
    if reason := _meaningless(key, valid):
        yield f"{key} {value!r} must be {reason}"


def _plain(reason: str, key: str) -> str:
    """What msgspec says, in the words of YAML: `.include must be a list, not text`."""
    unknown, wrong = _UNKNOWN_KEY.match(reason), _WRONG_TYPE.match(reason)
    if unknown:
        return f": {unknown[1]} is no key of it"
    if wrong is None:
        return f": {reason}"
    place = (wrong[3] or "").removeprefix(f".{key}")
    wanted = " or ".join(_TYPES.get(name, name) for name in wrong[1].split(" | ") if name != "null")
    return f"{place} must be {wanted}, not {_TYPES.get(wrong[2], wrong[2])}"


def _meaningless(key: str, valid: Additions) -> str:
    """What a value of the right type would have to be; nothing if it is."""
    match key:
        case "window" if valid.window and not _WINDOW.fullmatch(valid.window):
            return "a number and s, m, h or d, e.g. 4h"
        case "state" if valid.state not in _STATES:
            return f"one of {', '.join(_STATES)}"
        case "threshold" if valid.threshold < 1:
            return "at least 1"
        case "noise_budget" if valid.noise_budget is not None and not re.fullmatch(
            "[0-9]+", _a_day(valid.noise_budget)
        ):
            return "alerts a day, e.g. 20/d"
        case _:
            return ""
