"""What a capture policy says, and the merging of several into one.

The same sections stand in a policy that the server delivers and in the agent's own settings, and are read by
`policy.read` in both cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CPU_PERCENT", "Exclusion", "Handling", "Policy", "merge"]

CPU_PERCENT = 5


class Exclusion(msgspec.Struct, frozen=True):
    """Events to leave out: those that fit one value of each list that is not empty."""

    exe: tuple[str, ...] = ()  # executables: whole paths, a last * stands for the rest
    path: tuple[str, ...] = ()  # files that are read or looked at; likewise
    user: tuple[str, ...] = ()  # names or ids of the acting process's real user
    cidr: tuple[str, ...] = ()  # networks of the other side

    @property
    def says_something(self) -> bool:
        return bool(self.exe or self.path or self.user or self.cidr)


class Handling(msgspec.Struct, frozen=True):
    """What is done with the events of a class, or of one activity of it; None: what is said elsewhere."""

    sample: int | None = None  # keep one in so many
    max_per_second: int | None = None
    exclude: tuple[Exclusion, ...] = ()


class Policy(msgspec.Struct, frozen=True):
    """What one document says."""

    agents: tuple[dict[str, str], ...] = ()  # those that have all tags of one entry; all if there is no entry
    exclude: tuple[Exclusion, ...] = ()  # of every class
    events: dict[tuple[int, int | None], Handling] = {}  # by class and activity; None: of every activity
    redact: tuple[str, ...] = ()  # regular expressions
    tags: dict[str, str] = {}  # added to every event of the host
    cpu_percent: int | None = None  # of one core; 0: no limit


def merge(policies: Iterable[Policy]) -> Policy:
    """One policy out of several: lists add up, of a single value the last one counts."""
    merged = Policy()
    for policy in policies:
        events = dict(merged.events)
        for key, handling in policy.events.items():
            events[key] = _merged(events.get(key, Handling()), handling)
        merged = Policy(
            (),
            merged.exclude + policy.exclude,
            events,
            tuple(dict.fromkeys(merged.redact + policy.redact)),
            merged.tags | policy.tags,
            merged.cpu_percent if policy.cpu_percent is None else policy.cpu_percent,
        )
    return merged


def _merged(old: Handling, new: Handling) -> Handling:
    return Handling(
        old.sample if new.sample is None else new.sample,
        old.max_per_second if new.max_per_second is None else new.max_per_second,
        old.exclude + new.exclude,
    )
