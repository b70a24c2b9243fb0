"""Put queries and their responses together: one lookup, however often it passes an interface or is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tocsin.agent.names.message import Message
    from tocsin.agent.names.packet import Flow
    from tocsin.model.event import Value

__all__ = ["ANSWER_WITHIN_MS", "MAX_LOOKUPS", "Lookup", "Lookups"]

ANSWER_WITHIN_MS: Final = 5_000  # then it counts as not answered
MAX_LOOKUPS: Final = 4096


class Lookup:
    """One question and what became of it. `actor` says who asked, as far as that is known."""

    __slots__ = ("actor", "asked", "done_ms", "flow", "is_local", "question", "response", "time_ms")

    def __init__(self, flow: Flow, question: Message, time_ms: int, *, asked: bool, is_local: bool) -> None:
        self.flow, self.question, self.time_ms = flow, question, time_ms
        self.asked, self.is_local = asked, is_local
        self.response: Message | None = None
        self.actor: dict[str, Value] = {}
        self.done_ms = 0


_Key = tuple[int, int, int, str, str]


class Lookups:
    """Follows the lookups under way; bounded, the oldest are given up first. What is over lies in `done`."""

    def __init__(self) -> None:
        self._known: dict[_Key, Lookup] = {}
        self.done: list[Lookup] = []

    def see(self, flow: Flow, message: Message, now_ms: int, *, is_local: bool) -> Lookup | None:
        """Take a message; gives the lookup that begins with it.

        A message is known by what a translation of addresses leaves as it is, since a container's packets pass several
        interfaces: those after the first add nothing.
        """
        key = (flow.protocol, flow.client_port, message.id, message.name, message.type)
        known = self._known.get(key)
        if message.is_response:
            self._answer(key, known, flow, message, now_ms)
            return None
        if known is not None:
            return None
        begun = self._known[key] = Lookup(flow, message, now_ms, asked=True, is_local=is_local)
        self._bound(now_ms)
        return begun

    def expire(self, now_ms: int) -> None:
        """Give up what has waited too long for its answer."""
        while self._known:
            key, oldest = next(iter(self._known.items()))
            if 0 <= now_ms - oldest.time_ms <= ANSWER_WITHIN_MS:
                return
            self._forget(key, now_ms)

    def flush(self, now_ms: int) -> None:
        """Give up everything that waits."""
        for key in list(self._known):
            self._forget(key, now_ms)

    def _answer(self, key: _Key, known: Lookup | None, flow: Flow, message: Message, now_ms: int) -> None:
        if known is None:
            known = self._known[key] = Lookup(flow, message, now_ms, asked=False, is_local=False)
            self._bound(now_ms)
        elif known.response is not None or known.flow != flow:
            return
        known.response, known.done_ms = message, now_ms
        self.done.append(known)

    def _bound(self, now_ms: int) -> None:
        if len(self._known) > MAX_LOOKUPS:
            self._forget(next(iter(self._known)), now_ms)

    def _forget(self, key: _Key, now_ms: int) -> None:
        lookup = self._known.pop(key)
        if lookup.response is None:
            lookup.done_ms = now_ms
            self.done.append(lookup)
