"""What capture policies would have kept of what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
import numpy as np

from tocsin.agent.policy.document import Policy, merge
from tocsin.agent.policy.gate import EXCLUDED, PATHS, REASONS, Gate
from tocsin.agent.policy.protected import DROPPABLE, is_protected
from tocsin.agent.policy.read import read_policy
from tocsin.columnar.flat import column_at, flat_columns
from tocsin.detect.history.scan import Period, Progress
from tocsin.model.event import Event
from tocsin.model.schema import CLASSES
from tocsin.ports import Piece
from tocsin.state.policies import PolicyVersion, meant_for
from tocsin.wiring.stored.history import History

__all__ = ["Explained", "OfClass", "explain_policies"]

_AGENT = "device.uid"
_EXES = ("process.file.path", "actor.process.file.path")
_TOP = 10


class OfClass(msgspec.Struct):
    """What becomes of the events of a class."""

    class_name: str
    events: int = 0
    kept: int = 0
    protected: int = 0  # of those kept: whatever a policy says
    left_out: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(REASONS[:-1], 0))  # by reason


class Explained(msgspec.Struct, frozen=True):
    """What becomes of all events of a period, and what is excluded most."""

    classes: list[OfClass]
    excluded: list[tuple[str, int]]  # executables

    @property
    def events(self) -> int:
        return sum(each.events for each in self.classes)

    @property
    def kept(self) -> int:
        return sum(each.kept for each in self.classes)


def explain_policies(
    history: History,
    policies: Iterable[PolicyVersion],
    tags: Mapping[str, Mapping[str, str]],
    period: Period,
    progress: Progress,
) -> Explained:
    """Judge every stored event of the period by the policies that its agent, with these tags, would have."""
    judge = _Judge(list(policies), tags)
    pieces = history.pieces(period)
    total, done = sum(map(len, pieces)), 0
    for piece in pieces:
        judge.take(piece, period)
        done += len(piece)
        progress(done, total)
    return judge.result()


class _Judge:
    """A gate for each agent, and what they let pass."""

    def __init__(self, policies: list[PolicyVersion], tags: Mapping[str, Mapping[str, str]]) -> None:
        self._policies, self._tags = policies, tags
        self._read = {each.name: read_policy(each.content, each.name) for each in policies}
        self._gates: dict[str, Gate] = {}
        self._now_s = 0.0
        self._classes: dict[int, OfClass] = {}
        self._excluded: Counter[str] = Counter()

    def take(self, piece: Piece, period: Period) -> None:
        of_class = self._classes.setdefault(piece.class_uid, OfClass(CLASSES[piece.class_uid].name))
        if piece.class_uid not in DROPPABLE:
            time = column_at(piece.read({"time"}), "time").to_numpy(zero_copy_only=False)
            count = int(np.count_nonzero((time >= period.since) & (time < period.until)))
            of_class.events += count
            of_class.kept += count
            of_class.protected += count
            return
        for event in _events(piece, period):
            self._judge(event, of_class)

    def _judge(self, event: Event, of_class: OfClass) -> None:
        of_class.events += 1
        self._now_s = int(event.values["time"]) / 1000
        reason = self._gate(str(event.values.get(_AGENT, ""))).refuses(event)
        if reason is None:
            of_class.kept += 1
            of_class.protected += is_protected(event)
            return
        of_class.left_out[reason] += 1
        if reason == EXCLUDED:
            self._excluded[next((str(event.values[path]) for path in _EXES if path in event.values), "")] += 1

    def _gate(self, agent: str) -> Gate:
        gate = self._gates.get(agent)
        if gate is None:
            meant = meant_for(self._policies, self._tags.get(agent, {}))
            policy: Policy = merge(self._read[each.name] for each in meant)
            gate = self._gates[agent] = Gate(policy, salt=agent, clock=self._clock, uid_of=_nobody)
        return gate

    def _clock(self) -> float:
        return self._now_s

    def result(self) -> Explained:
        classes = sorted((each for each in self._classes.values() if each.events), key=lambda each: -each.events)
        return Explained(classes, self._excluded.most_common(_TOP))


_nobody: Callable[[str], str | None] = lambda _name: None  # noqa: E731 - ids of the server's users mean nothing here


def _events(piece: Piece, period: Period) -> Iterator[Event]:
    paths = [path for path in (*PATHS, _AGENT) if path in CLASSES[piece.class_uid].paths]
    table = flat_columns(piece.read(paths), paths)
    for row in table.sort_by("time").to_pylist():
        if period.since <= row["time"] < period.until:
            yield Event(piece.class_uid, {path: value for path, value in row.items() if value is not None})
