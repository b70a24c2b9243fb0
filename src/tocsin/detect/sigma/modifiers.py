"""Sigma's modifiers where pySigma does not do all that the specification says.

pySigma looks modifiers up in one table, to which these are added when this module is imported: `utf16le`, which it
does not know by that name, encodings of more than ASCII, which have a meaning where base64 follows, and long dashes in
what a rule says. Numbers are texts where texts are wanted, and texts of digits are numbers where numbers are.
Its engine for regular expressions is RE2 as we use it, which writes nothing to stderr.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from ipaddress import ip_interface, ip_network
from typing import Any, ClassVar, Final

from sigma.exceptions import SigmaError
from sigma.modifiers import (
    SigmaBase64Modifier,
    SigmaBase64OffsetModifier,
    SigmaCIDRModifier,
    SigmaModifier,
    SigmaUTF16BEModifier,
    SigmaUTF16Modifier,
    SigmaWideModifier,
    SigmaWindowsDashModifier,
    modifier_mapping,
)
from sigma.policy import default_policy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule.detection import SigmaDetectionItem
from sigma.types import (
    Placeholder,
    SigmaCIDRExpression,
    SigmaExpansion,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaType,
    SpecialChars,
)

from tocsin.conditions.literal import compiled
from tocsin.model.condition import NUMBER
from tocsin.model.errors import InvalidRule

__all__ = ["expanded", "is_cased", "plain_reason", "written_key"]

# Bytes that are no UTF-8 travel through the parts of a string as lone surrogates (PEP 383), until base64 takes them.
_ESCAPE: Final = "surrogateescape"
_LONG_DASH: Final = re.compile("\\B[\u2013\u2014\u2015]\\b")
_BOM: Final = "\ufeff"
_MOST_EXPANDED: Final = 10_000
_FLAGS: Final = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
_INCOMPATIBLE: Final = re.compile(r"Modifier (\w+) incompatible to value type of '(.*)'", re.DOTALL)
_NUMBERS: Final = frozenset({"lt", "lte", "gt", "gte", "minute", "hour", "day", "week", "month", "year"})
_TEXTS: Final = frozenset({
    "contains", "startswith", "endswith", "cased", "windash", "base64", "base64offset",
    "wide", "utf16le", "utf16be", "utf16",
})  # fmt: skip
_FLAG_NAMES: Final = ("i", "ignorecase", "m", "multiline", "s", "dotall")
_WANTED: Final = {
    **dict.fromkeys(_NUMBERS, "a number"),
    **dict.fromkeys(_FLAG_NAMES, "a regular expression"),
    "exists": "true or false",
}


def _encoded(value: SigmaString, encoding: str) -> list[str | SpecialChars | Placeholder]:
    return [part.encode(encoding).decode("utf-8", _ESCAPE) if isinstance(part, str) else part for part in value.s]


def _of_parts(parts: list[str | SpecialChars | Placeholder]) -> SigmaString:
    made = SigmaString()
    made.s = parts
    return made


class _Utf16le(SigmaWideModifier):
    def modify(self, val: SigmaString) -> SigmaString:
        return _of_parts(_encoded(val, "utf-16le"))


class _Utf16be(SigmaUTF16BEModifier):
    def modify(self, val: SigmaString) -> SigmaString:
        return _of_parts(_encoded(val, "utf-16be"))


class _Utf16(SigmaUTF16Modifier):
    def modify(self, val: SigmaString) -> SigmaString:
        return _of_parts([_BOM, *_encoded(val, "utf-16le")])


class _Windash(SigmaWindowsDashModifier):
    """All five are the same, also where the rule writes one of the long ones."""

    def modify(self, val: SigmaString) -> SigmaExpansion:
        return super().modify(val.map_str_parts(lambda part: _LONG_DASH.sub("-", part)))


class _Base64(SigmaBase64Modifier):
    def modify(self, val: SigmaString) -> SigmaString:
        return SigmaString(b64encode(_bytes(val, self.applied_modifiers)).decode())


class _Base64Offset(SigmaBase64OffsetModifier):
    """The characters that do not depend on what stands before and after, at each of three offsets."""

    starts: ClassVar = (0, 2, 3)
    ends: ClassVar = (None, -3, -2)

    def modify(self, val: SigmaString) -> SigmaExpansion:
        raw = _bytes(val, self.applied_modifiers)
        ends = [self.ends[(len(raw) + offset) % 3] for offset in range(3)]
        shifted = [b64encode(b" " * offset + raw).decode() for offset in range(3)]
        return SigmaExpansion([SigmaString(shifted[n][self.starts[n] : ends[n]]) for n in range(3)])


def _bytes(value: SigmaString, applied: Iterable[type]) -> bytes:
    if not all(isinstance(part, str) for part in value.s):
        raise InvalidRule("what stands in Base64 has no wildcards or placeholders")
    text = "".join(str(part) for part in value.s)
    raw = text.encode("utf-8", _ESCAPE)
    if any(issubclass(modifier, _Utf16) for modifier in applied):
        return b"\xff\xfe" + raw.removeprefix(_BOM.encode())
    return raw


class _TextOfNumber(SigmaModifier[Any, Any]):
    """`contains: 46` means what `contains: '46'` means."""

    def apply(self, val: Any) -> list[Any]:  # noqa: ANN401 - as in pySigma
        return super().apply(SigmaString(str(val)) if isinstance(val, SigmaNumber) else val)


class _NumberOfText(SigmaModifier[Any, Any]):
    """`gt: '5'` means what `gt: 5` means."""

    def apply(self, val: Any) -> list[Any]:  # noqa: ANN401 - as in pySigma
        if isinstance(val, SigmaString) and NUMBER.fullmatch(said := val.original):
            return super().apply(SigmaNumber(float(said) if "." in said else int(said)))
        return super().apply(val)


def _also(taking: type, names: Iterable[str]) -> dict[str, type[SigmaModifier[Any, Any]]]:
    """Modifiers of the table that take more than pySigma lets them, by name."""
    return {name: type(f"_{name.capitalize()}", (taking, modifier_mapping[name]), {}) for name in names}


class _Cidr(SigmaCIDRModifier):
    """A network with bits of a host is most likely a mistake; which of the two was meant, nobody can know."""

    def modify(self, val: SigmaString) -> SigmaCIDRExpression:
        said = str(val)
        try:
            network = ip_network(said, strict=False)
        except ValueError as error:
            raise InvalidRule(f"{said} is no network and no address") from error
        if "/" in said and ip_interface(said).ip != network.network_address:
            raise InvalidRule(f"{said} is an address within a network; write {network}")
        return super().modify(val)


class _Engine(RE2RegexEngine):
    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        letters = "".join(letter for flag, letter in _FLAGS.items() if flags & flag)
        source = f"(?{letters}){pattern}" if letters else pattern
        found: RegexPattern = compiled(source, f"regular expression '{pattern}'")
        return found


default_policy.regex_engine = _Engine()
modifier_mapping.update(
    {
        "wide": _Utf16le,
        "utf16le": _Utf16le,
        "utf16be": _Utf16be,
        "utf16": _Utf16,
        "windash": _Windash,
        "base64": _Base64,
        "base64offset": _Base64Offset,
        "cidr": _Cidr,
    }
)
# After the ones above, which they build upon.
modifier_mapping.update(_also(_TextOfNumber, _TEXTS) | _also(_NumberOfText, _NUMBERS))
_NAMES: Final[dict[type[SigmaModifier[Any, Any]], str]] = {kind: name for name, kind in modifier_mapping.items()}


def plain_reason(error: SigmaError) -> str:
    """What pySigma complains of, with modifiers named as rules write them."""
    reason = str(error.args[0]) if error.args else type(error).__name__
    found = _INCOMPATIBLE.fullmatch(reason)
    if found is None:
        return reason
    name = next((name for kind, name in _NAMES.items() if kind.__name__ == found[1]), found[1])
    wanted = _WANTED.get(name, "a text")
    if "SigmaNull" in found[2]:
        return f"{name} needs {wanted}, not null"
    made = found[2].startswith(("<", "Sigma"))  # by a modifier before it
    return f"{name} cannot follow the modifier before it" if made else f"{name} needs {wanted}, not '{found[2]}'"


def written_key(item: SigmaDetectionItem) -> str:
    """Field and modifiers as a rule writes them."""
    return "|".join([item.field or "", *(_NAMES[modifier] for modifier in item.modifiers)])


def is_cased(item: SigmaDetectionItem) -> bool:
    """Does letter case count?"""
    return modifier_mapping["cased"] in item.modifiers


def expanded(value: SigmaType, placeholders: Map[str, tuple[str, ...]]) -> list[SigmaType]:
    """The value with every placeholder replaced by each of its texts, in which wildcards mean what they always mean.

    Raises:
        InvalidRule: a placeholder that has no texts, or too many combinations.
    """
    # Nearly all values are plain texts, and pySigma's types are slow to tell apart.
    if type(value) is SigmaString and not any(type(part) is Placeholder for part in value.s):
        return [value]
    if isinstance(value, SigmaString) and value.contains_placeholder():
        return [_like(value, parts) for parts in _combined(value, placeholders)]
    if isinstance(value, SigmaRegularExpression) and value.contains_placeholder():
        patterns = (_of_parts(parts).to_plain(regex=True) for parts in _combined(value.regexp, placeholders))
        return [SigmaRegularExpression(pattern, value.flags, value.policy) for pattern in patterns]
    return [value]


def _like(value: SigmaString, parts: list[str | SpecialChars | Placeholder]) -> SigmaString:
    made = type(value)()
    made.s = parts
    return made


def _combined(
    value: SigmaString, placeholders: Map[str, tuple[str, ...]]
) -> Iterator[list[str | SpecialChars | Placeholder]]:
    combined: list[list[str | SpecialChars | Placeholder]] = [[]]
    for part in value.s:
        choices = _texts(part, placeholders) if isinstance(part, Placeholder) else [[part]]
        combined = [[*before, *choice] for before in combined for choice in choices]
        if len(combined) > _MOST_EXPANDED:
            raise InvalidRule(f"placeholders stand for more than {_MOST_EXPANDED} combinations")
    yield from combined


def _texts(
    placeholder: Placeholder, placeholders: Map[str, tuple[str, ...]]
) -> list[list[str | SpecialChars | Placeholder]]:
    texts = placeholders.get(placeholder.name)
    if not texts:
        raise InvalidRule(f"placeholder %{placeholder.name}% has no value; a document with `vars` can give it some")
    return [list(SigmaString(text).s) for text in texts]
