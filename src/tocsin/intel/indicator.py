"""One indicator, and what a reader could not make one of."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import msgspec

__all__ = ["HASH_LENGTHS", "Indicator", "Item", "Items", "Kind", "Refused", "Withdrawn"]


class Kind(enum.StrEnum):
    """What an indicator names."""

    IP = "ip"
    CIDR = "cidr"
    DOMAIN = "domain"
    URL = "url"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    FILENAME = "filename"
    EMAIL = "email"


HASH_LENGTHS = {32: Kind.MD5, 40: Kind.SHA1, 64: Kind.SHA256}  # hexadecimal digits


class Indicator(msgspec.Struct, frozen=True, gc=False):
    """Something that a feed lists, its value in normal form. Times are seconds since the epoch, 0 is none."""

    kind: Kind
    value: str
    confidence: int | None = None  # 0 to 100, on STIX's scale
    valid_from: int = 0
    valid_until: int = 0
    tags: tuple[str, ...] = ()
    source: str = ""  # the object or event in the feed that it comes from


class Refused(msgspec.Struct, frozen=True):
    """Something that could not be read as an indicator: where it is in the feed, and why."""

    where: str  # a line, or an object's id
    reason: str


class Withdrawn(msgspec.Struct, frozen=True):
    """An object that the feed has taken back or replaced: what came of it before is gone."""

    source: str


Item = Indicator | Refused | Withdrawn
Items = Iterator[Item]
