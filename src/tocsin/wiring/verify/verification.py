"""The examination itself: archive, rows, files, ledger, in turn; each names what it finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

import tocsin
from tocsin.adapters.archive import ArchivedBatch, ArchivedFile, Damage
from tocsin.adapters.iceberg.stored import batch_numbers, check_file
from tocsin.columnar.derived import DERIVED
from tocsin.columnar.frame import Batch, frames
from tocsin.columnar.nested import nested, schema
from tocsin.ingest.coverage import Coverage, coverage, hour_of
from tocsin.ingest.provenance.alteration import Alteration, What
from tocsin.ingest.provenance.batches import Fingerprints, fingerprint, ledger_fingerprint, number_of
from tocsin.ingest.provenance.rows import Difference, compare
from tocsin.model import wire
from tocsin.model.errors import InvalidBatch, NotFound
from tocsin.ports import LogEntry
from tocsin.state.engine import reading
from tocsin.state.tables import ledger
from tocsin.wiring.verify.evidence import Evidence

__all__ = ["Verdict", "verify"]

_ROWS_AT_A_TIME = 65_536
_OTHER_BYTES = "its bytes are not those that were written"

Progress = Callable[[int, int], None]


class Verdict(msgspec.Struct):
    """What was looked at, and what was found."""

    hours: list[Coverage]
    alterations: list[Alteration]
    batches: int = 0
    rows: int = 0
    files: int = 0
    rederived: int = 0  # rows of which only what follows from class and activity differs: an older version wrote them

    @property
    def intact(self) -> bool:
        """Whether everything is there, in its order, and as it was signed."""
        return not self.alterations and all(hour.intact for hour in self.hours)


def verify(evidence: Evidence, progress: Progress) -> Verdict:
    """Look at every batch and row of the period; memory grows by some 40 bytes a batch."""
    examination = _Examination(evidence, progress)
    examination.archive()
    examination.tail()
    examination.files()
    examination.ledger()
    with reading(evidence.engine) as connection:
        period = evidence.period
        hours = coverage(connection, evidence.org, period.since, period.until, period.agent)
    return examination.verdict(hours)


class _Examination:
    def __init__(self, evidence: Evidence, progress: Progress) -> None:
        self._evidence, self._progress = evidence, progress
        self._found: list[Alteration] = []
        self._batches = Fingerprints()
        self._named: set[int] = set()  # batches of which something is known to be wrong
        self._rows = self._rederived = 0
        self._lake_files = [
            (uid, file) for uid, file in evidence.lake.files() if _written_at(file.path) >= evidence.period.since
        ]
        self._steps = len(evidence.archived) + len(self._lake_files) + 2
        self._done = 0

    def verdict(self, hours: list[Coverage]) -> Verdict:
        """All that was found, in order of agent and hour."""
        found = sorted(self._found, key=lambda a: (a.hostname, a.hour, a.epoch, a.sequence, a.what, a.detail))
        files = len(self._evidence.archived) + len(self._lake_files)
        return Verdict(hours, found, len(self._batches), self._rows, files, self._rederived)

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._steps)

    # -- the archive, and the rows of its batches ----------------------------------------------------------------------

    def archive(self) -> None:
        """Every archived batch: its bytes, its signature, and its rows in the lake."""
        for file in self._evidence.archived:
            entries = self._entries(file)
            for chunk in _chunks(entries):
                self._examine([self._open(batch) for batch in chunk])
            self._step()
        self._batches.sort()
        twice = set(self._batches.twice())
        for batch in self._look_up(twice):
            self._name(What.BATCH_REPLAYED, "the archive holds it more than once", batch)
        for uid in self._evidence.keys.altered():
            detail = "its key is not the one with which it enrolled"
            hostname = self._evidence.keys.hostname(uid)
            self._found.append(Alteration(What.KEY, detail, agent=uid, hostname=hostname))

    def _entries(self, file: ArchivedFile) -> list[ArchivedBatch]:
        path = str(self._evidence.archive.path(file))
        try:
            intact, content = self._evidence.archive.read(file)
        except NotFound:
            self._found.append(Alteration(What.FILE_REMOVED, f"{file.batches} batches were in it", file=path))
            return []
        damaged = [part for part in content if isinstance(part, Damage)]
        if not intact:
            places = ", ".join(str(part.at) for part in damaged[:5])
            where = f"; damaged at byte {places}" if damaged else ""
            self._found.append(
                Alteration(What.FILE_ALTERED, f"its bytes are not those that were written{where}", file=path)
            )
        for part in damaged:
            # The bytes that name the batch may be those that are damaged: then only the ledger says what is missing.
            if part.batch is not None and self._is_known(part.batch):
                self._name(What.BATCH_ALTERED, _OTHER_BYTES, part.batch, path)
        whole = [part for part in content if isinstance(part, ArchivedBatch)]
        return sorted((batch for batch in whole if self._evidence.period.holds(batch)), key=_sealed_at)

    def _is_known(self, entry: LogEntry) -> bool:
        with reading(self._evidence.engine) as connection:
            place = (ledger.c.org == entry.org) & (ledger.c.agent == entry.origin)
            place &= (ledger.c.epoch == entry.epoch) & (ledger.c.sequence == entry.sequence)
            return connection.execute(self._ledger_rows().where(place)).first() is not None

    def _open(self, archived: ArchivedBatch) -> tuple[Batch, str] | None:
        entry = archived
        batch, what, detail = self._evidence.keys.open(entry)
        if what is not None:
            self._name(what, detail, entry)
        return (batch, archived.version) if batch is not None else None

    def _examine(self, opened: Sequence[tuple[Batch, str] | None]) -> None:
        """Compare the rows of these batches with what the lake holds of them."""
        versions = {_number(one[0][0]): one[1] for one in opened if one is not None}
        every = [one[0] for one in opened if one is not None]
        # Of one that is there twice only once, as the lake should hold its rows.
        batches = list({_number(batch[0]): batch for batch in every}.values())
        entries = {_number(entry): entry for entry, _, _ in batches}
        signed = {uid: self._kept(nested(frame).cast(schema(uid))) for uid, frame in frames(batches).items()}
        counts = _count_rows(signed.values())
        for entry, header, _ in every:
            number = _number(entry)
            tombstone = not wire.decode_envelope(entry.payload)[0].body
            self._batches.add(number, fingerprint(entry, header, tombstone=tombstone), counts.get(number, 0))
        wanted = np.array(sorted(entries), np.uint64)
        for class_uid, rows in signed.items():
            if len(rows):
                self._compare(class_uid, rows, wanted, entries, versions)

    def _kept(self, rows: pa.Table) -> pa.Table:
        return rows.filter(pc.greater_equal(rows["time"], self._evidence.kept_since))

    def _compare(
        self,
        class_uid: int,
        signed: pa.Table,
        wanted: npt.NDArray[np.uint64],
        entries: dict[int, LogEntry],
        versions: dict[int, str],
    ) -> None:
        times = pc.min_max(signed["time"]).as_py()
        stored = self._kept(self._evidence.lake.rows(class_uid, times["min"], times["max"], wanted))
        self._rows += len(signed)
        of_batch: defaultdict[int, list[Difference]] = defaultdict(list)
        for difference in compare(signed, stored):
            of_batch[_number_in(difference.uid)].append(difference)
        for number, differences in of_batch.items():
            counting = self._without_rederived(differences, versions.get(number, ""))
            for what, detail in _sentences(counting):
                self._name(what, detail, entries[number])

    def _without_rederived(self, differences: list[Difference], version: str) -> list[Difference]:
        if version == tocsin.__version__:
            return differences
        old = {one.uid for one in differences if one.attribute in DERIVED}
        left = [one for one in differences if one.attribute not in DERIVED]
        self._rederived += len(old - {one.uid for one in left})
        return left

    # -- the log's tail, the lake's files, the ledger ------------------------------------------------------------------

    def tail(self) -> None:
        """What is not archived yet: its signatures."""
        for entry in self._evidence.tail:
            if self._evidence.period.holds(entry):
                _batch, what, detail = self._evidence.keys.open(entry)
                if what is not None:
                    self._name(what, detail, entry)
        self._step()

    def files(self) -> None:
        """Every data file: its bytes, and that no row is in it that no batch has."""
        counts = np.zeros(len(self._batches), np.int64)
        for _uid, file in self._lake_files:
            state = check_file(file)
            if state.problem:
                self._found.append(Alteration(What.FILE_ALTERED, state.problem, file=str(file.path)))
            if state.rows is not None:
                counts += self._count_known(state.rows, str(file.path))
            self._step()
        surplus = set(self._batches.ids[counts > self._batches.rows].tolist()) - self._named
        for batch in self._look_up(surplus):
            self._name(What.ROW_ADDED, "the lake holds more rows of it than it has", batch)

    def _count_known(self, rows: pa.Table, path: str) -> npt.NDArray[np.int64]:
        """How many rows there are of each batch; those of none are named."""
        rows = self._of_agent(self._kept(rows))
        numbers = batch_numbers(rows["uid"])
        ids = self._batches.ids
        at = np.minimum(np.searchsorted(ids, numbers), max(len(ids) - 1, 0))
        known = ids[at] == numbers if len(ids) else np.zeros(len(numbers), np.bool_)
        self._name_unknown(rows.filter(pa.array(~known)), path)
        counted: npt.NDArray[np.int64] = np.bincount(at[known], minlength=len(ids)).astype(np.int64)
        return counted

    def _of_agent(self, rows: pa.Table) -> pa.Table:
        agent = self._evidence.period.agent
        return rows.filter(pc.equal(rows["device"], agent)) if agent else rows

    def _name_unknown(self, rows: pa.Table, path: str) -> None:
        period = self._evidence.period
        in_period = pc.and_(
            pc.greater_equal(rows["processed_time"], period.since), pc.less(rows["processed_time"], period.until)
        )
        rows = rows.filter(in_period)
        excused = self._evidence.on_their_way | self._named
        strange: defaultdict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
        numbers = batch_numbers(rows["uid"]).tolist()
        for number, row in zip(numbers, rows.to_pylist(), strict=True):
            if number not in excused:
                strange[str(row["device"]), number].append((str(row["uid"]), int(row["processed_time"])))
        for (device, _number), found in strange.items():
            detail = f"no archived batch has {_rows(len(found))}, the first is {found[0][0]}"
            hostname, hour = self._evidence.keys.hostname(device), hour_of(found[0][1], found[0][1])
            self._found.append(Alteration(What.ROW_ADDED, detail, device, hostname, hour, file=path))

    def ledger(self) -> None:
        """The ledger and the archive say the same of every batch."""
        ids = self._batches.ids
        entered = np.zeros(len(ids), np.bool_)
        with reading(self._evidence.engine) as connection:
            for row in connection.execute(self._ledger_rows()):
                number = number_of(row.org, row.agent, row.epoch, row.sequence)
                at = self._batches.place(number)
                if at is not None:
                    entered[at] = True
                    if int(self._batches.prints[at]) != ledger_fingerprint(row):
                        self._name_entry(What.LEDGER, "the ledger says something else of it", row)
                elif number not in self._named and self._evidence.is_archived(row.partition, row.offset):
                    self._name_entry(What.BATCH_REMOVED, "it is in the ledger, but not in the archive", row)
        for batch in self._look_up(set(ids[~entered].tolist())):
            if self._evidence.is_entered(batch.partition, batch.offset):
                self._name(What.LEDGER, "the ledger does not know it", batch)
        self._step()

    def _ledger_rows(self) -> sa.Select[tuple[object, ...]]:
        period = self._evidence.period
        wanted = sa.select(ledger).where(
            ledger.c.org == self._evidence.org,
            ledger.c.received_at >= period.since,
            ledger.c.received_at < period.until,
        )
        return wanted.where(ledger.c.agent == period.agent) if period.agent else wanted

    # -- naming --------------------------------------------------------------------------------------------------------

    def _name(self, what: What, detail: str, entry: LogEntry, file: str = "") -> None:
        self._named.add(_number(entry))
        hostname = self._evidence.keys.hostname(entry.origin)
        hour = hour_of(entry.received_at, entry.received_at)
        self._found.append(Alteration(what, detail, entry.origin, hostname, hour, entry.epoch, entry.sequence, file))

    def _name_entry(self, what: What, detail: str, row: sa.Row[tuple[object, ...]]) -> None:
        self._name(
            what,
            detail,
            LogEntry(row.partition, row.offset, row.org, row.agent, row.epoch, row.sequence, row.received_at, b""),
        )

    def _look_up(self, numbers: set[int]) -> Iterator[ArchivedBatch]:
        """The batches with these numbers, each once, from the archive: read again only where something is wrong."""
        numbers = set(numbers)
        for file in self._evidence.archived if numbers else []:
            try:
                content = self._evidence.archive.read(file)[1]
            except NotFound:
                continue
            for part in content:
                if isinstance(part, ArchivedBatch) and (number := _number(part)) in numbers:
                    numbers.remove(number)
                    yield part


def _chunks(batches: Iterable[ArchivedBatch]) -> Iterator[list[ArchivedBatch]]:
    chunk: list[ArchivedBatch] = []
    rows = 0
    for batch in batches:
        chunk.append(batch)
        rows += _announced_rows(batch)
        if rows >= _ROWS_AT_A_TIME:
            yield chunk
            chunk, rows = [], 0
    if chunk:
        yield chunk


def _announced_rows(batch: ArchivedBatch) -> int:
    try:
        return wire.decode_envelope(batch.payload)[1].rows
    except InvalidBatch:
        return 0


def _sealed_at(batch: ArchivedBatch) -> int:
    """Near to the time of its events, by which the lake's files lie."""
    try:
        return wire.decode_envelope(batch.payload)[1].created_at
    except InvalidBatch:
        return 0


def _number(entry: LogEntry) -> int:
    return number_of(entry.org, entry.origin, entry.epoch, entry.sequence)


def _number_in(uid: str) -> int:
    return int(batch_numbers(pa.array([uid]))[0])


def _count_rows(tables: Iterable[pa.Table]) -> dict[int, int]:
    numbers = [batch_numbers(pc.struct_field(rows["metadata"], "uid")) for rows in tables if len(rows)]
    if not numbers:
        return {}
    values, counts = np.unique(np.concatenate(numbers), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _sentences(differences: Sequence[Difference]) -> Iterator[tuple[What, str]]:
    """What happened to the rows of one batch."""
    missing = [one.uid for one in differences if one.missing]
    surplus = [one.uid for one in differences if one.surplus]
    if missing:
        yield What.ROW_REMOVED, f"the lake lacks {_rows(len(missing))}, the first is {missing[0]}"
    if surplus:
        yield What.ROW_ADDED, f"the lake has {_rows(len(surplus))} too many, the first is {surplus[0]}"
    of_attribute: defaultdict[str, list[str]] = defaultdict(list)
    for one in differences:
        if one.attribute:
            of_attribute[one.attribute].append(one.uid)
    for attribute, uids in of_attribute.items():
        yield What.ROW_ALTERED, f"{attribute} differs in {_rows(len(uids))}, the first is {uids[0]}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _written_at(path: Path) -> int:
    try:
        return int(path.stat().st_mtime * 1000)
    except OSError:
        return 2**62  # not there: to be named
