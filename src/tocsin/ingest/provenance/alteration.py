"""What is not as its sender signed it, or as the server stored it."""

from __future__ import annotations

import enum

import msgspec

__all__ = ["Alteration", "What"]


class What(enum.StrEnum):
    """The kinds of alteration."""

    FORGED = "forged"  # not signed by the agent in whose name it is
    BATCH_ALTERED = "batch altered"
    BATCH_REMOVED = "batch removed"
    BATCH_REPLAYED = "batch replayed"
    REVOKED = "taken after revocation"
    LEDGER = "ledger altered"
    KEY = "key altered"
    FILE_ALTERED = "file altered"
    FILE_REMOVED = "file removed"
    ROW_ALTERED = "row altered"
    ROW_REMOVED = "row removed"
    ROW_ADDED = "row added"


class Alteration(msgspec.Struct, frozen=True):
    """One alteration, and where: the agent, hour, epoch and sequence are those of the batch, if it is known."""

    what: What
    detail: str  # a sentence
    agent: str = ""
    hostname: str = ""
    hour: int = 0  # ms, start of the hour of receipt
    epoch: int = -1
    sequence: int = -1
    file: str = ""
