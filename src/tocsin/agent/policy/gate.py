"""Decide of each event whether it is kept, by the policy and by what the agent's share of the processor allows."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from tocsin.agent.policy.bucket import TokenBucket
from tocsin.agent.policy.document import Handling, Policy
from tocsin.agent.policy.exclusion import ExcludedEvents
from tocsin.agent.policy.protected import DROPPABLE, NETWORK, is_protected
from tocsin.agent.policy.sampling import SAMPLE_RATE, ticket
from tocsin.agent.policy.shedding import ADAPTIVE, SAMPLED, Shedder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tocsin.model.event import Event

__all__ = ["ADAPTIVE", "EXCLUDED", "PATHS", "RATE_LIMITED", "REASONS", "SAMPLED", "Gate"]

EXCLUDED, RATE_LIMITED = "excluded", "rate_limited"
REASONS: Final = (EXCLUDED, SAMPLED, RATE_LIMITED, ADAPTIVE)
_TYPES_PER_CLASS: Final = 100
_WHO: Final = ("process", "actor.process")
# All attributes that a decision may ask for.
PATHS: Final = (
    "time",
    "activity_id",
    "metadata.event_code",
    "unmapped.audit.serial",
    "file.path",
    "query.hostname",
    "process.euid",
    "actor.process.pid",
    *(f"{side}_endpoint.{name}" for side in ("dst", "src") for name in ("ip", "port")),
    *(f"{who}.{name}" for who in _WHO for name in ("file.path", "user.uid", "user.name")),
    *(f"{who}.session.{name}" for who in _WHO for name in ("uid", "terminal")),
)


class _Limits:
    """What holds for one activity of a class."""

    __slots__ = ("bucket", "excluded", "lowered", "sample")

    def __init__(
        self, excluded: tuple[ExcludedEvents, ...], sample: int, lowered: int, bucket: TokenBucket | None
    ) -> None:
        self.excluded, self.sample, self.lowered, self.bucket = excluded, sample, lowered, bucket


class Gate:
    """A policy, ready to be asked of every event.

    `lowered` says of which classes only one in how many is kept beyond what the policy says, to need less time.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        salt: str,
        clock: Callable[[], float],
        uid_of: Callable[[str], str | None],
        lowered: Mapping[int, int] | None = None,
    ) -> None:
        self._salt = zlib.crc32(salt.encode())
        self._of_type: dict[int, _Limits] = {}
        self.shedder = _shedder(policy, (lowered or {}).get(NETWORK, 1), self._salt)
        buckets: dict[tuple[int, int | None], TokenBucket] = {}
        everywhere = _excluded(Handling(exclude=policy.exclude), uid_of)
        for class_uid, activities in DROPPABLE.items():
            of_class = policy.events.get((class_uid, None), Handling())
            for activity in activities:
                own = policy.events.get((class_uid, activity), Handling())
                excluded = everywhere + _excluded(of_class, uid_of) + _excluded(own, uid_of)
                sample = own.sample or of_class.sample or 1
                bucket = _bucket(class_uid, activity, of_class, own, clock, buckets)
                fewer = (lowered or {}).get(class_uid, 1)
                if excluded or sample > 1 or fewer > 1 or bucket:
                    number = class_uid * _TYPES_PER_CLASS + activity
                    self._of_type[number] = _Limits(excluded, sample, fewer, bucket)

    @property
    def is_open(self) -> bool:
        """Whether it lets everything pass."""
        return not self._of_type

    def refuses(self, event: Event) -> str | None:
        """Why the event is not kept; None if it is, and then it says of how many it is one."""
        activity = event.values.get("activity_id", 0)
        limits = self._of_type.get(event.class_uid * _TYPES_PER_CLASS + int(activity))
        if limits is None or is_protected(event):
            return None
        for excluded in limits.excluded:
            if excluded.hold(event):
                return EXCLUDED
        rate = limits.sample * limits.lowered
        if rate > 1:
            drawn = ticket(event, self._salt)
            if drawn % limits.sample:
                return SAMPLED
            if drawn // limits.sample % limits.lowered:
                return ADAPTIVE
        if limits.bucket is not None and not limits.bucket.take():
            return RATE_LIMITED
        if rate > 1:
            event.values[SAMPLE_RATE] = rate
        return None


def _shedder(policy: Policy, lowered: int, salt: int) -> Shedder | None:
    """What leaves connections out unread while they are lowered, unless their activities are handled differently."""
    if lowered == 1 or any(class_uid == NETWORK and activity is not None for class_uid, activity in policy.events):
        return None
    return Shedder(policy.events.get((NETWORK, None), Handling()).sample or 1, lowered, salt)


def _excluded(handling: Handling, uid_of: Callable[[str], str | None]) -> tuple[ExcludedEvents, ...]:
    return tuple(ExcludedEvents(each, uid_of) for each in handling.exclude)


def _bucket(
    class_uid: int,
    activity: int,
    of_class: Handling,
    own: Handling,
    clock: Callable[[], float],
    made: dict[tuple[int, int | None], TokenBucket],
) -> TokenBucket | None:
    """The bucket of the activity if that has a limit of its own, else that of the class, which its activities share."""
    limit = own.max_per_second or of_class.max_per_second
    if limit is None:
        return None
    key = (class_uid, activity if own.max_per_second else None)
    return made.setdefault(key, TokenBucket(limit, clock))
