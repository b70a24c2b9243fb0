"""Every error that Tocsin raises on purpose.

    TocsinError
    ├── BadInput              somebody sent something wrong: dead letter with a reason, never a retry
    │   ├── InvalidRecord     an audit record that cannot be read
    │   ├── InvalidEvent      an event that does not fit the schema
    │   ├── InvalidBatch      a batch that is truncated, oversized, or not what its header says
    │   │   └── BadSignature  a batch whose signature or sender is not valid
    │   ├── ChainBroken       a batch that does not follow the sender's last one
    │   ├── InvalidRule       a detection rule that cannot be compiled; names file and line
    │   ├── InvalidFeed       a feed of threat intelligence that is not in the format that it is said to be in
    │   ├── InvalidQuery      a filter expression that cannot be understood
    │   └── InvalidSetting    a configuration value that cannot be used
    ├── NotFound              the thing asked for does not exist
    ├── WrongState            what is asked does not fit the state that the thing is in
    ├── NotAllowed            the caller may not do this
    ├── NotAvailable          this machine lacks what it takes; says what, so that something else can be used
    └── TryLater              nothing is wrong with the input: retry with backoff
        ├── Unreachable       the other side did not answer
        ├── OutOfSpace        no room on the disk
        └── Fenced            a newer owner holds the partition; this one must stop

Anything else is our bug, and crashes.
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "BadSignature",
    "ChainBroken",
    "Fenced",
    "InvalidBatch",
    "InvalidEvent",
    "InvalidFeed",
    "InvalidQuery",
    "InvalidRecord",
    "InvalidRule",
    "InvalidSetting",
    "NotAllowed",
    "NotAvailable",
    "NotFound",
    "OutOfSpace",
    "TocsinError",
    "TryLater",
    "Unreachable",
    "WrongState",
]


class TocsinError(Exception):
    """Base of all; its text is one sentence that a person can act on."""


class BadInput(TocsinError):
    """The input is wrong and would be wrong again: dead letter, no retry."""


class InvalidRecord(BadInput):
    """An audit record that cannot be read."""


class InvalidEvent(BadInput):
    """An event that does not fit the schema."""


class InvalidBatch(BadInput):
    """A batch that is truncated, oversized, or not what its header says."""


class BadSignature(InvalidBatch):
    """A batch whose signature or sender is not valid."""


class ChainBroken(BadInput):
    """A batch that does not follow the sender's last one."""


class InvalidRule(BadInput):
    """A detection rule that cannot be compiled."""

    def __init__(self, reason: str, path: str = "", line: int = 0) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(f"{where}{reason}")
        self.reason, self.path, self.line = reason, path, line


class InvalidFeed(BadInput):
    """A feed of threat intelligence that is not in the format that it is said to be in."""


class InvalidQuery(BadInput):
    """A filter expression that cannot be understood."""


class InvalidSetting(BadInput):
    """A configuration value that cannot be used."""


class NotFound(TocsinError):
    """The thing asked for does not exist."""


class WrongState(TocsinError):
    """What is asked does not fit the state that the thing is in."""


class NotAllowed(TocsinError):
    """The caller may not do this."""


class NotAvailable(TocsinError):
    """This machine lacks what it takes."""


class TryLater(TocsinError):
    """Nothing is wrong with the input: retry with backoff."""


class Unreachable(TryLater):
    """The other side did not answer."""


class OutOfSpace(TryLater):
    """No room on the disk."""


class Fenced(TryLater):
    """A newer owner holds the partition; this one must stop."""
