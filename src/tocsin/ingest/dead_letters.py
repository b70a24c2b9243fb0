"""What could not be taken, kept with the reason, within bounds that a stranger cannot exceed."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from tocsin import metrics
from tocsin.ports import Clock
from tocsin.state.tables import dead_letter

__all__ = ["DeadLetters"]


class DeadLetters:
    """Writes refused input to the state: the first `max_payload` bytes of each, the newest `max_letters` of all."""

    def __init__(self, engine: sa.Engine, clock: Clock, max_payload: int = 65_536, max_letters: int = 10_000) -> None:
        self._engine, self._clock = engine, clock
        self._max_payload, self._max_letters = max_payload, max_letters
        self._lock = threading.Lock()
        self._since_prune = 0

    def put(self, source: str, reason: str, payload: bytes, org: str = "") -> None:
        """Keep one refused input; org is empty where the sender is not known."""
        self.put_all(source, [(reason, payload)], org)

    def put_all(self, source: str, letters: list[tuple[str, bytes]], org: str = "") -> None:
        """Keep several refused inputs of one source in one transaction."""
        now = self._clock.now_ms()
        rows = [
            {
                "org": org,
                "source": source,
                "reason": reason,
                "partition": None,
                "offset": None,
                "received_at": now,
                "payload": payload[: self._max_payload],
            }
            for reason, payload in letters
        ]
        with self._lock, self._engine.begin() as connection:
            connection.execute(sa.insert(dead_letter), rows)
            self._prune(connection, len(rows))
        metrics.DEAD_LETTERS.labels(source).inc(len(rows))

    def _prune(self, connection: sa.Connection, added: int) -> None:
        self._since_prune += added
        if self._since_prune < self._max_letters // 10:
            return
        self._since_prune = 0
        newest = sa.select(sa.func.max(dead_letter.c.id)).scalar_subquery()
        connection.execute(sa.delete(dead_letter).where(dead_letter.c.id <= newest - self._max_letters))
