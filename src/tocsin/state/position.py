"""Where a consumer stands in the log, and who may move it.

A consumer's output, its offsets and the batches it has taken are written in one transaction, by `commit_position` on
the same connection. Whoever claims a consumer gets a generation; a commit of an older generation is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from tocsin.model.errors import Fenced
from tocsin.ports import LakePosition
from tocsin.state.insert import insert
from tocsin.state.tables import consumer_offset, consumer_taken

__all__ = ["claim", "commit_position", "generation", "read_offsets", "read_position"]


def claim(connection: sa.Connection, consumer: str, partitions: Iterable[int], now_ms: int) -> int:
    """Become the owner of the consumer's partitions; from now on older owners are fenced off.

    Gives the generation that `commit_position` wants.
    """
    claimed = generation(connection, consumer) + 1
    wanted = consumer_offset.c.consumer == consumer
    connection.execute(sa.update(consumer_offset).where(wanted).values(generation=claimed, updated_at=now_ms))
    known = set(connection.scalars(sa.select(consumer_offset.c.partition).where(wanted)))
    fresh = [
        {"consumer": consumer, "partition": p, "offset": 0, "generation": claimed, "updated_at": now_ms}
        for p in partitions
        if p not in known
    ]
    if fresh:
        connection.execute(sa.insert(consumer_offset), fresh)
    return claimed


def generation(connection: sa.Connection, consumer: str) -> int:
    """The generation of the consumer's present owner; 0 if it never had one."""
    newest = sa.select(sa.func.max(consumer_offset.c.generation)).where(consumer_offset.c.consumer == consumer)
    return connection.scalar(newest) or 0


def read_position(connection: sa.Connection, consumer: str) -> LakePosition:
    """Up to where the consumer's output holds the log; partitions that it never claimed are absent."""
    taken = connection.execute(sa.select(consumer_taken).where(consumer_taken.c.consumer == consumer))
    return LakePosition(
        read_offsets(connection, consumer),
        {f"{row.org}/{row.origin}": (row.epoch, row.sequence) for row in taken},
    )


def read_offsets(connection: sa.Connection, consumer: str) -> dict[int, int]:
    """The offsets of `read_position` alone, which cost nothing however many origins there are."""
    offsets = sa.select(consumer_offset.c.partition, consumer_offset.c.offset)
    rows = connection.execute(offsets.where(consumer_offset.c.consumer == consumer))
    return {row.partition: row.offset for row in rows}


def commit_position(
    connection: sa.Connection, consumer: str, position: LakePosition, generation: int, now_ms: int
) -> None:
    """Write the position inside the caller's transaction, beside the output that it stands for.

    Partitions and origins that the position does not name stay as they are.

    Raises:
        Fenced: somebody else has claimed the consumer since; the transaction must not be committed.
    """
    for partition, offset in position.offsets.items():
        moved = connection.execute(
            sa.update(consumer_offset)
            .where(
                consumer_offset.c.consumer == consumer,
                consumer_offset.c.partition == partition,
                consumer_offset.c.generation == generation,
            )
            .values(offset=offset, updated_at=now_ms)
        )
        if moved.rowcount != 1:
            raise Fenced(f"consumer {consumer} has a newer owner than generation {generation}; this one must stop")
    if position.taken:
        _write_taken(connection, consumer, position.taken)


def _write_taken(connection: sa.Connection, consumer: str, taken: dict[str, tuple[int, int]]) -> None:
    rows = []
    for key, (epoch, sequence) in taken.items():
        org, _, origin = key.partition("/")
        rows.append({"consumer": consumer, "org": org, "origin": origin, "epoch": epoch, "sequence": sequence})
    upsert = insert(connection, consumer_taken)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["consumer", "org", "origin"],
            set_={"epoch": upsert.excluded.epoch, "sequence": upsert.excluded.sequence},
        ),
        rows,
    )
