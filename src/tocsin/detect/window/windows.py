"""All groups of all correlations: matches in, firings out.

What has been told in the end depends on the set of matches alone: not on how they were split into steps, nor on their
order as far as the watermark allows. A correlation that more matches can only confirm fires at once; any other when the
watermark has passed the anchor, so that nothing can come between any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.detect.window.group import Span
from tocsin.detect.window.groups import Evicted, Groups, Limits
from tocsin.detect.window.match import Firing, GroupKey, Match, Slot
from tocsin.detect.window.turn import Turn
from tocsin.model.correlation import Correlation

__all__ = ["Step", "Told", "Windows"]

_NEVER: Final = -1

Told = Mapping[tuple[GroupKey, Slot], Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step; what the state must keep or let go of together with it."""

    firings: list[Firing]
    chained: list[Match]  # firings that are matches of outer correlations
    told: Told
    late: list[Match]  # came after the watermark had passed, and were not taken
    evicted: list[Evicted]

    @property
    def empty(self) -> bool:
        """Is there nothing to be kept?"""
        return not (self.firings or self.chained or self.told or self.late or self.evicted)


class Windows:
    """The groups of some correlations, and the watermark of each org."""

    def __init__(self, correlations: Sequence[Correlation], limits: Limits | None = None) -> None:
        self._groups = Groups(correlations, limits or Limits())
        self.watermarks: dict[str, int] = {}

    @property
    def correlations(self) -> tuple[Correlation, ...]:
        """Which these are, inner ones before outer ones."""
        return self._groups.chaining.inner_first

    @property
    def held(self) -> tuple[int, int]:
        """How many groups and matches there are."""
        return self._groups.held

    def restore(self, matches: Iterable[Match], told: Told, watermarks: Mapping[str, int]) -> None:
        """Be as before: these matches were taken, this was told, and the watermarks stood so."""
        self.watermarks = dict(watermarks)
        for (key, slot), spans in told.items():
            if key[1] in self._groups.kinds:
                self._groups.restore_told(key, slot, spans)
        for match in matches:
            if match.correlation in self._groups.kinds:
                self._groups.insert(match)
        self._groups.restored(self.watermarks)

    def step(self, matches: Iterable[Match], watermarks: Mapping[str, int] | None = None) -> Step:
        """Take matches, then let the watermarks move on; they never go back."""
        taken: list[Match] = []
        late: list[Match] = []
        for match in matches:
            if match.correlation in self._groups.kinds:
                (late if self._is_late(match) else taken).append(match)
        for org, watermark in (watermarks or {}).items():
            self.watermarks[org] = max(watermark, self.watermarks.get(org, _NEVER))
        turn = Turn(self._groups, taken)
        for kind in self._groups.kinds.values():
            turn.run(kind, self.watermarks)
        return Step(turn.firings, turn.chained, turn.told, late, self._groups.make_room(turn.grown))

    def _is_late(self, match: Match) -> bool:
        return not self._groups.kind(match.key).grows and match.time < self.watermarks.get(match.org, _NEVER)

    def forget(self, before: Mapping[str, int]) -> dict[tuple[str, str], int]:
        """Let go of what no anchor can need any more, when there will be none before these times of each org.

        Gives of each org and correlation the time before which it let go.
        """
        return self._groups.forget(before)
