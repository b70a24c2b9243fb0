"""Reading events with DuckDB: the lake's files and the log's tail, as one and without gap or overlap.

What belongs to the files and what to the tail is decided once per question, in this order: the complete position (all
tables hold the log at least up to there), then the tail from there on, then each table's newest snapshot with its own
position. A flush in between moves rows from the tail into a snapshot; the snapshot's position says so, and the tail is
cut there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tocsin.adapters.hot_rows import Chunk, HotRows
from tocsin.adapters.iceberg.reader import LakeReader, Plan
from tocsin.columnar.nested import schema
from tocsin.conditions.render_sql import render_filter
from tocsin.model.errors import TryLater, Unreachable
from tocsin.model.schema import CLASSES, RECORDS
from tocsin.ports import EventLog, LakePosition, Selection

__all__ = ["DuckdbQuery", "Source"]

_NO_PLAN = Plan(LakePosition({}, {}), ())
_ROW_DIGITS = 5
_Id = tuple[int, str, int]  # class, uid, time
_Row = dict[str, object]


class Source(msgspec.Struct, frozen=True, eq=False):
    """Where one class's events are."""

    class_uid: int
    plan: Plan
    hot: pa.Table


class DuckdbQuery:
    """`Query` in this process."""

    def __init__(self, log: EventLog, state: sa.Engine, catalog: sa.Engine, memory_limit: str = "1GB") -> None:
        """The state says how far the lake is complete; the catalog, which may be the same database, has the tables."""
        self._lake = LakeReader(catalog)
        self._hot = HotRows(log, state)
        self.asked_at = 0.0  # time.monotonic() of the last question
        self._database = duckdb.connect(config={"memory_limit": memory_limit, "autoinstall_known_extensions": "false"})

    def close(self) -> None:
        """Close the engine."""
        self._database.close()

    def refresh(self) -> None:
        """Read what is new in the log, so that the next question need not; worth calling every second or so."""
        self._hot.refresh()

    def events(self, selection: Selection) -> list[_Row]:
        """Matching events as flat rows (path -> value, nulls left out) with `class_uid`, ordered by time."""
        sources = self.sources(selection)
        order = "DESC" if selection.newest_first else "ASC"
        first = f"ORDER BY time {order}, uid {order} LIMIT {int(selection.limit)}"
        ids: list[_Id] = self._ask(sources, selection, "class_uid, uid, time", first)
        found = {row["metadata.uid"]: row for row in self._rows(sources, selection.org, ids)}
        return [found[uid] for _, uid, _ in ids]

    def count(self, selection: Selection) -> int:
        """How many events match; the limit is ignored."""
        ((count,),) = self._ask(self.sources(selection), selection, "count(*)")
        return int(count)

    def histogram(self, selection: Selection, bins: int) -> list[tuple[int, int]]:
        """Number of matching events per equal span of time: (start ms, count), empty spans included."""
        span = max(1, -(-(selection.until - selection.since) // bins))
        number = f"(time - {int(selection.since)}) // {span} AS bin"
        counts = dict(self._ask(self.sources(selection), selection, f"{number}, count(*)", "GROUP BY bin"))
        starts = range(selection.since, selection.until, span)
        return [(start, counts.get(at, 0)) for at, start in enumerate(starts)]

    def by_uid(self, org: str, uids: Sequence[str]) -> list[_Row]:
        """Events by their ids, ordered by time; what is not there is left out."""
        times = {uid: time for uid in uids if (time := _time_of(uid)) is not None}
        if not times:
            return []
        selection = Selection(org, min(times.values()), max(times.values()) + 1)
        sources = self.sources(selection)
        ids = self._ask(
            sources, selection, "class_uid, uid, time", "WHERE uid IN (SELECT unnest($uids))", uids=list(times)
        )
        return sorted(self._rows(sources, org, ids), key=lambda row: str(row["metadata.uid"]))

    def sources(self, selection: Selection) -> list[Source]:
        """Where the events are that may be selected: files and hot rows of one moment, without gap or overlap."""
        self.asked_at = time.monotonic()
        # This order keeps gaps out: see the module's docstring.
        complete, chunks = self._hot.refresh()
        plans = self._lake.plans()
        wanted = selection.class_uids or tuple(CLASSES)
        sources = (_source(uid, plans.get(uid, _NO_PLAN), complete, chunks) for uid in wanted)
        span = (selection.org, selection.since, selection.until)
        return [source for source in sources if source.hot.num_rows or source.plan.select(*span)]

    def _ask(
        self, sources: Sequence[Source], selection: Selection, columns: str, tail: str = "", **given: object
    ) -> list[Any]:
        """Ask for columns of (class_uid, uid, time) of all matching events."""
        if not sources:
            return self._database.cursor().execute(f"SELECT {columns} FROM {_NOTHING} {tail}", given).fetchall()  # noqa: S608 -- ours
        parts = " UNION ALL ".join(_matching(source, selection) for source in sources)
        given |= {"org": selection.org, "since": selection.since, "until": selection.until}
        return self._execute(sources, f"SELECT {columns} FROM ({parts}) {tail}", given).fetchall()  # noqa: S608 -- rendered from the tree

    def _rows(self, sources: Sequence[Source], org: str, ids: Iterable[_Id]) -> list[_Row]:
        wanted: dict[int, list[_Id]] = {}
        for each in ids:
            wanted.setdefault(each[0], []).append(each)
        return [
            row
            for source in sources
            if source.class_uid in wanted
            for row in self._rows_of(source, org, wanted[source.class_uid])
        ]

    def _rows_of(self, source: Source, org: str, ids: Sequence[_Id]) -> list[_Row]:
        rows = _hot_rows(source.hot, [uid for _, uid, _ in ids])
        found = {row["metadata.uid"] for row in rows}
        return rows + self._stored_rows(source, org, [each for each in ids if each[1] not in found])

    def _stored_rows(self, source: Source, org: str, ids: Sequence[_Id]) -> list[_Row]:
        if not ids:
            return []
        times = [time for _, _, time in ids]
        files = _files(source.plan, Selection(org, min(times), max(times) + 1))
        given = {"org": org, "since": min(times), "until": max(times) + 1, "uids": [uid for _, uid, _ in ids]}
        cursor = self._execute([], f"SELECT * FROM {files} WHERE {_WITHIN} AND {_BY_UID}", given)  # noqa: S608 -- ours
        names = [column[0] for column in cursor.description or ()]
        return [_flat(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def _execute(self, sources: Sequence[Source], sql: str, given: dict[str, object]) -> duckdb.DuckDBPyConnection:
        cursor = self._database.cursor()
        for source in sources:
            cursor.register(_hot_name(source.class_uid), source.hot)
        try:
            return cursor.execute(sql, given)
        except duckdb.OutOfMemoryException as error:
            raise TryLater("the question needs more memory than it may have: ask for less time") from error
        except duckdb.IOException as error:
            raise Unreachable(f"a file of the lake cannot be read: {error}") from error


_WITHIN = '"metadata"."tenant_uid" = $org AND "time" >= $since AND "time" < $until'
_BY_UID = '"metadata"."uid" IN (SELECT unnest($uids::VARCHAR[]))'
_NOTHING = "(SELECT 0 AS class_uid, '' AS uid, 0 AS time WHERE FALSE)"


def _source(class_uid: int, plan: Plan, complete: dict[int, int], chunks: Iterable[Chunk]) -> Source:
    stored = plan.position.offsets
    lacks = {partition: max(stored.get(partition, 0), complete.get(partition, 0)) for partition in {*stored, *complete}}
    hot = [chunk.since(lacks).rows for chunk in chunks if chunk.class_uid == class_uid]
    return Source(class_uid, plan, pa.concat_tables(hot) if hot else schema(class_uid).empty_table())


def _matching(source: Source, selection: Selection) -> str:
    matches = ""
    if selection.condition is not None:
        matches = f"AND ({render_filter(selection.condition, source.class_uid)})"
    return (
        f'SELECT {source.class_uid} AS class_uid, "metadata"."uid" AS uid, "time" AS time '  # noqa: S608 -- as above
        f"FROM {_table(source, selection)} WHERE {_WITHIN} {matches}"
    )


def _table(source: Source, span: Selection) -> str:
    """Files and hot rows as one; old files lack what their class did not have yet, and BY NAME makes that null."""
    hot = f"SELECT * FROM {_hot_name(source.class_uid)}"  # noqa: S608 -- a number
    if not source.plan.select(span.org, span.since, span.until):
        return f"({hot})"
    return f"(SELECT * FROM {_files(source.plan, span)} UNION ALL BY NAME {hot})"  # noqa: S608 -- ours


def _files(plan: Plan, span: Selection) -> str:
    selected = plan.select(span.org, span.since, span.until)
    files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in selected)
    return f"read_parquet([{files}], union_by_name = true)"


def _hot_rows(hot: pa.Table, uids: Sequence[str]) -> list[_Row]:
    """The hot rows of those ids; picked here, since DuckDB would convert all columns of every chunk first."""
    wanted = pa.array(uids, pa.string())
    rows: list[_Row] = []
    for chunk in hot.to_batches():
        found = pc.indices_nonzero(pc.is_in(chunk["metadata"].field("uid"), wanted))
        if len(found):
            rows += [_flat(row.items()) for row in chunk.take(found).to_pylist()]
    return rows


def _hot_name(class_uid: int) -> str:
    return f"hot_{class_uid}"


def _flat(items: Iterable[tuple[str, object]], prefix: str = "") -> _Row:
    """A nested row by dotted paths, nulls left out."""
    row: _Row = {}
    for name, value in items:
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            row |= _flat(value.items(), f"{path}.")
        elif path == RECORDS and isinstance(value, list):
            row[path] = [{"type": record["type"], **dict(record["fields"])} for record in value]
        elif value is not None:
            row[path] = value
    return row


def _time_of(uid: str) -> int | None:
    """The time that an event's id starts with; None if it is no id."""
    digits = uid.partition("-")[0][:-_ROW_DIGITS]
    try:
        return int(digits, 16)
    except ValueError:
        return None
