"""What every sender's last batch is, restored when a gateway starts: from the ledger, then from the log's tail."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.ingest.chain import Chains, Link
from tocsin.model import wire
from tocsin.ports import EventLog
from tocsin.state.engine import reading
from tocsin.state.position import read_position
from tocsin.state.tables import ledger
from tocsin.wiring.names import DETECTOR

__all__ = ["restore_chains"]

_BYTES_AT_A_TIME = 8 * 1024 * 1024


def restore_chains(engine: sa.Engine, log: EventLog) -> Chains:
    """The chains as of the last batch in the log, whether the detector has entered it in the ledger yet or not."""
    with reading(engine) as connection:
        newest = sa.select(ledger.c.org, ledger.c.agent, sa.func.max(ledger.c.epoch).label("epoch"))
        newest = newest.group_by(ledger.c.org, ledger.c.agent)
        of_epoch = newest.subquery()
        rows = connection.execute(
            sa.select(ledger.c.org, ledger.c.agent, ledger.c.epoch, ledger.c.sequence, ledger.c.hash)
            .join(
                of_epoch,
                sa.and_(
                    of_epoch.c.org == ledger.c.org,
                    of_epoch.c.agent == ledger.c.agent,
                    of_epoch.c.epoch == ledger.c.epoch,
                ),
            )
            .order_by(ledger.c.sequence)
        )
        chains = Chains(((row.org, row.agent), Link(row.epoch, row.sequence, row.hash)) for row in rows)
        offsets = read_position(connection, DETECTOR).offsets
    for partition in range(log.partitions):
        _read_tail(log, partition, max(offsets.get(partition, 0), log.bounds(partition)[0]), chains)
    return chains


def _read_tail(log: EventLog, partition: int, offset: int, chains: Chains) -> None:
    while entries := log.read(partition, offset, max_bytes=_BYTES_AT_A_TIME):
        for entry in entries:
            chains.advance(wire.decode_envelope(entry.payload)[1])
        offset = entries[-1].offset + 1
