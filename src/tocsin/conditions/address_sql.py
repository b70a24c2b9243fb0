"""How addresses are written, as far as regular expressions can say it."""

from __future__ import annotations

from typing import Final

from tocsin.conditions.dialect import Network

__all__ = ["IPV4", "IPV6", "ends"]

_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_GROUPS: Final = f"(?:{_GROUP}(?::{_GROUP}){{0,6}})?"
IPV6: Final = f"(?:{_GROUP}:){{7}}{_GROUP}|{_GROUPS}::{_GROUPS}"


def ends(network: Network) -> tuple[str, str]:
    """The first and last address of a network as hexadecimal texts of one length."""
    width = network.max_prefixlen // 4
    first, last = (f"{int(end):0{width}x}" for end in (network[0], network[-1]))
    return first, last
