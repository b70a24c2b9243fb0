"""The promises of `Query`, held by every adapter, over files and hot rows alike."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from house import NOW, House, drain
from tocsin.adapters.lake_sink import FlushWhen
from tocsin.conditions.parse_sql import parse_filter
from tocsin.model.event import Event, batch_id, event_uid
from tocsin.model.wire import PlainRecord
from tocsin.ports import Query, Selection

ALL = Selection("default", NOW, NOW + 1_000)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture(params=["files", "hot", "half"])
def filled(request: pytest.FixtureRequest, house: House) -> Query:
    """Ten batches of two origins, all of them in files, none, or half of them."""
    in_files = {"files": 10, "hot": 0, "half": 5}[request.param]
    for i in range(10):
        if i == in_files:
            store(house)
        house.append(i, f"h{i % 2}")
    if in_files == 10:
        store(house)
    house.append(0, "h9", org="other")
    return house.query()


def store(house: House) -> None:
    sink = house.lake_sink(FlushWhen(rows=1_000))
    drain(house.runner(sink))
    sink.flush()


def messages(query: Query, selection: Selection) -> list[object]:
    return [row["message"] for row in query.events(selection)]


def test_events_come_newest_first_or_oldest_first(filled: Query) -> None:
    """Matching events of all classes come ordered by time, as many as asked for."""
    newest = messages(filled, Selection("default", NOW, NOW + 1_000, limit=4))
    oldest = messages(filled, Selection("default", NOW, NOW + 1_000, limit=4, newest_first=False))
    assert newest == ["h1/9", "h1/9", "h0/8", "h0/8"]
    assert oldest == ["h0/0", "h0/0", "h1/1", "h1/1"]


def test_an_org_sees_its_own_events_only(filled: Query) -> None:
    """Whatever is asked, only the asking org's events count."""
    assert filled.count(Selection("other", NOW, NOW + 1_000)) == 2
    assert filled.count(Selection("nobody", NOW, NOW + 1_000)) == 0
    theirs = [str(row["metadata.uid"]) for row in filled.events(Selection("other", NOW, NOW + 1_000))]
    assert len(filled.by_uid("other", theirs)) == 2
    assert filled.by_uid("default", theirs) == []


def test_time_is_a_half_open_span(filled: Query) -> None:
    """`since` is included, `until` is not."""
    assert filled.count(Selection("default", NOW + 2, NOW + 4)) == 4
    assert filled.count(ALL) == 20


def test_conditions_and_classes_select(filled: Query) -> None:
    """A condition tree and a choice of classes both narrow; a path that a class lacks matches nothing there."""
    condition = parse_filter("message = 'h0/4' OR dst_endpoint.port = 1")
    assert messages(filled, Selection("default", NOW, NOW + 1_000, condition)) == ["h0/4", "h0/4"]
    of_class = Selection("default", NOW, NOW + 1_000, condition, (4001,))
    assert [row["class_uid"] for row in filled.events(of_class)] == [4001]
    assert filled.count(of_class) == 1


def test_a_filter_may_name_what_follows_from_class_and_activity(house: House) -> None:
    """Class and activity are found by number and by name, in hot rows and in files."""
    for sequence, activity in enumerate((1, 2)):
        house.append_events(sequence, [Event(1007, {"time": NOW, "activity_id": activity, "process.pid": 1})])
    house.append(2, classes=(4001,))
    query = house.query()
    for _ in range(2):
        for where, count in (
            ("class_uid = 1007", 2),
            ("class_name = 'Network Activity'", 1),
            ("activity_name = 'Launch'", 1),
            ("type_uid IN (100701, 100702)", 2),
            ("NOT class_name LIKE 'Process%'", 1),
        ):
            assert query.count(Selection("default", NOW, NOW + 1_000, parse_filter(where))) == count, where
        store(house)


def test_the_histogram_counts_every_span(filled: Query) -> None:
    """Spans are equal, the empty ones are included, and the counts add up."""
    selection = Selection("default", NOW, NOW + 12)
    assert filled.histogram(selection, 4) == [(NOW, 6), (NOW + 3, 6), (NOW + 6, 6), (NOW + 9, 2)]
    assert [count for _, count in filled.histogram(selection, 12)] == [2] * 10 + [0, 0]


def test_events_are_found_by_their_ids(filled: Query) -> None:
    """Ids give their events; ids that nobody has, or that are none, give nothing."""
    wanted = [event_uid(NOW + i, batch_id("default", f"h{i % 2}", 1, i), 0) for i in (3, 8)]
    rows = filled.by_uid("default", [*wanted, "nonsense", "", "0" * 17 + "-" + "0" * 16])
    assert [row["metadata.uid"] for row in rows] == wanted
    assert [row["message"] for row in rows] == ["h1/3", "h0/8"]
    assert filled.by_uid("default", []) == []


def test_a_row_is_whole(house: House) -> None:
    """A flat row has every attribute, what follows from them, and the records as exported; nulls are left out."""
    records = (PlainRecord("EXECVE", ("argc", "a0"), ("1", "nc")), PlainRecord("EOE", (), ()))
    event = Event(1007, {"time": NOW, "activity_id": 1, "process.pid": 7, "process.name": "nc"}, records)
    house.append_events(0, [event])
    query = house.query()
    for _ in range(2):
        (row,) = query.events(ALL)
        assert (row["class_uid"], row["type_uid"], row["activity_name"]) == (1007, 100701, "Launch")
        assert (row["process.pid"], row["process.name"], row["device.uid"]) == (7, "nc", "h1")
        assert row["unmapped.audit.records"] == [{"type": "EXECVE", "argc": "1", "a0": "nc"}, {"type": "EOE"}]
        assert None not in row.values()
        assert "process.cmd_line" not in row
        store(house)


def test_an_empty_lake_has_no_events(house: House) -> None:
    """Before anything came in every question has an answer."""
    query = house.query()
    assert query.events(ALL) == []
    assert query.count(ALL) == 0
    assert query.histogram(ALL, 2) == [(NOW, 0), (NOW + 500, 0)]
    assert query.by_uid("default", [event_uid(NOW, "0" * 16, 0)]) == []


def test_a_repeated_batch_is_found_once(house: House) -> None:
    """A batch that the log holds twice is one batch, be the first in files and the second hot or both hot."""
    query = house.query()
    house.append(0)
    house.append(0)
    assert query.count(ALL) == 2
    store(house)
    house.append(0)
    assert query.count(ALL) == 2
    assert house.query().count(ALL) == 2
    house.append(1)
    store(house)
    house.append(1)
    assert query.count(ALL) == 4


class _Traffic:
    """Appends, flushes, compactions and questions, each on threads of its own, for a while."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.stop = threading.Event()
        self.appended = 0
        self.failures: list[str] = []
        self.asked = 0

    def append(self) -> None:
        while not self.stop.is_set():
            if self.appended > 30 * (self.asked + 1):  # a question costs by what there is: leave it some of the machine
                self.stop.wait(0.01)
                continue
            self.house.append(self.appended)
            self.appended += 1

    def consume(self) -> None:
        runner = self.house.runner(self.house.lake_sink(FlushWhen(rows=20)))
        for rounds in itertools.count(1):
            if self.stop.is_set():
                return
            runner.step()
            if rounds % 50 == 0:
                self.house.lakes[-1].compact(1007)

    def ask(self, query: Query) -> None:
        selection = Selection("default", NOW, NOW + 10**9, class_uids=(1007,), limit=10**6)
        while not self.stop.is_set():
            before = self.appended
            found = Counter(messages(query, selection))
            wrong = [i for i in range(max(before, len(found))) if found[f"h1/{i}"] != 1]
            if wrong:
                self.failures.append(f"of {before} appended, {found.total()} found, wrong are {wrong[:5]}")
            self.asked += 1

    def run(self, queries: Sequence[Query], appended: int, asked: int, within_s: float) -> None:
        """Go on until so much was appended and asked, however busy the machine is."""
        threads = [threading.Thread(target=self.append), threading.Thread(target=self.consume)]
        threads += [threading.Thread(target=self.ask, args=(query,)) for query in queries]
        for thread in threads:
            thread.start()
        until = time.monotonic() + within_s
        while (self.appended < appended or self.asked < asked) and not self.failures and time.monotonic() < until:
            self.stop.wait(0.05)
        self.stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_while_rows_become_files(house: House) -> None:
    """With appends, flushes and compactions going on, a question sees every event appended before it, once."""
    traffic = _Traffic(house)
    shared = house.query()
    traffic.run([shared, shared, house.query()], appended=100, asked=12, within_s=60)
    assert traffic.failures == []
    assert (traffic.appended >= 100, traffic.asked >= 12) == (True, True)


def test_files_older_than_an_attribute_are_still_read(house: House) -> None:
    """A file written before its class had an attribute answers with null for it, also where all files are old."""
    house.append(0)
    house.append(1)
    store(house)
    for path in house.folder.rglob("*.parquet"):
        rows = pq.read_table(path)
        metadata = rows["metadata"].combine_chunks()
        names = [field.name for field in metadata.type if field.name != "event_code"]
        older = pa.StructArray.from_arrays([metadata.field(name) for name in names], names=names)
        at = rows.schema.get_field_index("metadata")
        pq.write_table(rows.set_column(at, "metadata", older).drop_columns(["status_code"]), path)
    query = house.query()
    assert query.count(Selection("default", NOW, NOW + 9, parse_filter("status_code IS NULL"))) == 4
    assert query.count(Selection("default", NOW, NOW + 9, parse_filter("metadata.event_code = 'x'"))) == 0
    assert len(query.events(ALL)) == 4
