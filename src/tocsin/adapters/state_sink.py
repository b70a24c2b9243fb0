"""A sink whose output is rows of the state: output, ledger and position in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import sqlalchemy as sa

from tocsin.columnar.frame import Batch
from tocsin.model.errors import Unreachable
from tocsin.ports import Clock, LakePosition
from tocsin.state.engine import reading
from tocsin.state.ledger import enter
from tocsin.state.position import claim, commit_position, read_position

__all__ = ["StateSink"]

Output = TypeVar("Output")


class StateSink(Generic[Output]):
    """Judges batches outside the transaction, records what came of it inside, together with how far it has come.

    judge: what is to be said about the batches; may take its time, since no transaction is open.
    record: writes that on the given connection.
    """

    def __init__(
        self,
        engine: sa.Engine,
        name: str,
        partitions: int,
        judge: Callable[[Sequence[Batch]], Output],
        record: Callable[[sa.Connection, Output], None],
        clock: Clock,
    ) -> None:
        """Claim the consumer: whoever owned it before is fenced off."""
        self._engine, self._name, self._clock = engine, name, clock
        self._judge, self._record = judge, record
        with engine.begin() as connection:
            self._generation = claim(connection, name, range(partitions), clock.now_ms())

    @property
    def name(self) -> str:
        """The consumer's name."""
        return self._name

    def position(self) -> LakePosition:
        """Up to where the state holds what came of the log."""
        with reading(self._engine) as connection:
            return read_position(connection, self._name)

    def write(self, batches: Sequence[Batch], position: LakePosition) -> None:
        """Judge, then record, enter in the ledger and move the position in one transaction.

        Raises:
            Unreachable: the state did not take it; nothing was recorded.
            Fenced: a newer owner has claimed the consumer.
        """
        if not batches:
            # Offsets of batches that were dropped or put aside move with the next that are not.
            return
        output = self._judge(batches)
        try:
            with self._engine.begin() as connection:
                self._record(connection, output)
                enter(connection, [(entry, header, header.rows > 0 and not body) for entry, header, body in batches])
                commit_position(connection, self._name, position, self._generation, self._clock.now_ms())
        except sa.exc.OperationalError as error:
            raise Unreachable(f"the state cannot be written: {error.orig}") from error

    def close(self) -> None:
        """Nothing is held back."""
