"""STIX patterns: which single values one asks for.

A pattern is parsed by the OASIS grammar (stix2-patterns). It can be matched value by value if it is made of equalities
joined by OR; a pattern that wants several things at once, in order, or within a time says more than one value can.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from stix2patterns.exceptions import ParseException
from stix2patterns.v21.grammars.STIXPatternListener import STIXPatternListener
from stix2patterns.v21.pattern import Pattern

from tocsin.intel.indicator import Kind

__all__ = ["kind_of", "values"]

# Nearly every pattern of a feed looks like this, and the grammar takes 0.2 ms for it.
_PLAIN: Final = re.compile(
    r"\[\s*([a-z0-9-]+:[A-Za-z_]+(?:\.(?:[A-Za-z0-9_]+|'[A-Za-z0-9_-]+'))*)\s*=\s*'([^'\\]*)'\s*\]"
)
_KINDS: Final = {
    "ipv4-addr:value": Kind.IP,
    "ipv6-addr:value": Kind.IP,
    "domain-name:value": Kind.DOMAIN,
    "url:value": Kind.URL,
    "email-addr:value": Kind.EMAIL,
    "file:name": Kind.FILENAME,
    "file:hashes.md5": Kind.MD5,
    "file:hashes.sha1": Kind.SHA1,
    "file:hashes.sha-1": Kind.SHA1,
    "file:hashes.sha256": Kind.SHA256,
    "file:hashes.sha-256": Kind.SHA256,
    "network-traffic:dst_ref.value": Kind.IP,
    "network-traffic:src_ref.value": Kind.IP,
    "email-message:from_ref.value": Kind.EMAIL,
    "email-message:sender_ref.value": Kind.EMAIL,
}
_MANY: Final = "it asks for several things at once"
_LATER: Final = "it asks for several observations, in order or within a time"


def values(pattern: str) -> list[tuple[str, str]]:
    """Each value that alone makes the pattern true, and the STIX object path that it is compared with.

    Raises:
        ValueError: no STIX pattern, or one that no single value makes true.
    """
    plain = _PLAIN.fullmatch(pattern.strip())
    if plain:
        return [(plain[1], plain[2])]
    listener = _Listener()
    try:
        Pattern(pattern).walk(listener)
    except ParseException as error:
        raise ValueError(f"no STIX pattern: {error}") from error
    except RecursionError as error:
        raise ValueError("no STIX pattern: nested too deeply") from error
    if listener.refusal:
        raise ValueError(listener.refusal)
    return listener.found


def kind_of(path: str) -> Kind:
    """The kind of what a STIX object path names.

    Raises:
        ValueError: nothing that is matched.
    """
    kind = _KINDS.get(path.replace("'", "").lower())
    if kind is None:
        raise ValueError(f"{path} is nothing that events are matched with")
    return kind


class _Listener(STIXPatternListener):  # type: ignore[misc]  # the library has no types
    """Collects equalities, and what makes single values not enough."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.refusal = ""

    def enterObservationExpressions(self, context: Any) -> None:  # noqa: ANN401, N802 -- the library's names
        self._refuse_if(context.FOLLOWEDBY(), _LATER)

    def enterObservationExpressionAnd(self, context: Any) -> None:  # noqa: ANN401, N802
        self._refuse_if(context.AND(), _LATER)

    def enterObservationExpressionRepeated(self, _context: object) -> None:  # noqa: N802
        self.refusal = _LATER

    def enterObservationExpressionWithin(self, _context: object) -> None:  # noqa: N802
        self.refusal = _LATER

    def enterObservationExpressionStartStop(self, _context: object) -> None:  # noqa: N802
        self.refusal = _LATER

    def enterComparisonExpressionAnd(self, context: Any) -> None:  # noqa: ANN401, N802
        self._refuse_if(context.AND(), _MANY)

    def enterPropTestEqual(self, context: Any) -> None:  # noqa: ANN401, N802
        self._refuse_if(context.NOT() or context.NEQ(), "it says what is not so")
        self._add(context, [context.primitiveLiteral().getText()])

    def enterPropTestSet(self, context: Any) -> None:  # noqa: ANN401, N802
        self._refuse_if(context.NOT(), "it says what is not so")
        self._add(context, [each.getText() for each in context.setLiteral().primitiveLiteral()])

    def enterPropTestIsSubset(self, context: Any) -> None:  # noqa: ANN401, N802
        self._refuse_if(context.NOT(), "it says what is not so")
        self._add(context, [context.StringLiteral().getText()])

    def enterPropTestOrder(self, _context: object) -> None:  # noqa: N802
        self.refusal = self.refusal or "it compares by order"

    def enterPropTestLike(self, _context: object) -> None:  # noqa: N802
        self.refusal = self.refusal or "LIKE is no single value: a rule can say that"

    def enterPropTestRegex(self, _context: object) -> None:  # noqa: N802
        self.refusal = self.refusal or "MATCHES is no single value: a rule can say that"

    def enterPropTestIsSuperset(self, _context: object) -> None:  # noqa: N802
        self.refusal = self.refusal or "ISSUPERSET is no single value"

    def enterPropTestExists(self, _context: object) -> None:  # noqa: N802
        self.refusal = self.refusal or "EXISTS is no single value"

    def _refuse_if(self, found: object, reason: str) -> None:
        if found:
            self.refusal = self.refusal or reason

    def _add(self, context: Any, literals: Sequence[str]) -> None:  # noqa: ANN401
        path = context.objectPath().getText()
        self.found += [(path, _text(literal)) for literal in literals]


def _text(literal: str) -> str:
    """What a quoted literal says; only backslash and quote are escaped in it."""
    return re.sub(r"\\([\\'])", r"\1", literal[1:-1]) if literal.startswith("'") else literal
