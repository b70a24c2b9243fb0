"""Whatever is changed in what is stored, `verify` names it: agent, hour, sequence, and what."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.adapters.archive import list_files
from tocsin.ingest.provenance.alteration import What
from tocsin.model.event import Event, Value, batch_id
from tocsin.model.wire import PlainRecord
from tocsin.state.tables import agent, archive_file, ledger
from wiring.provenance import Filed, Sender, now_ms, told

BATCHES, ROWS = 12, 8
FLIPS = int(os.environ.get("TOCSIN_TAMPER_FLIPS", "40"))
OF_BATCHES = (What.BATCH_ALTERED, What.BATCH_REMOVED, What.FORGED)
RECORD = PlainRecord("SYSCALL", ("a0", "exe"), ("7f", "/bin/sh"))


def an_event(host: str, number: int) -> Event:
    values: dict[str, Value] = {"time": now_ms() - 60_000 + number, "activity_id": 1, "device.hostname": host}
    if number % 3 == 0:
        return Event(4001, {**values, "dst_endpoint.port": number})
    return Event(1007, {**values, "process.cmd_line": f"{host} ran {number}"}, (RECORD,) if number % 2 else ())


def send(filed: Filed, sender: Sender, host: str) -> None:
    for _ in range(BATCHES // 2):
        start = sender.position.sequence * ROWS
        filed.append(*sender.seal(an_event(host, start + i) for i in range(ROWS)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two agents and the gateway sent, in files, and a copy of it beside."""
    folder = tmp_path_factory.mktemp("made") / "data"
    folder.mkdir()
    filed = Filed(folder)
    senders = {"web": filed.agent("web"), "db": filed.agent("db"), "gateway/http": filed.gateway()}
    for _ in range(2):
        for host, sender in senders.items():
            send(filed, sender, host)
        filed.file()
    filed.close()
    shutil.copytree(folder, folder.with_name("copy"))
    return folder


@pytest.fixture
def filed(made: Path) -> Iterator[Filed]:
    """What was sent, to be damaged; put right again afterwards, where it was, as Iceberg names whole paths."""
    filed = Filed(made)
    yield filed
    filed.close()
    shutil.rmtree(made)
    shutil.copytree(made.with_name("copy"), made)


def lake_files(filed: Filed) -> list[Path]:
    return sorted((filed.settings.data_dir / "lake").rglob("*.parquet"))


def archive_files(filed: Filed) -> list[Path]:
    return [filed.archive.path(file) for file in list_files(filed.engine)]


def flip(path: Path, at: int) -> None:
    """Change one bit of a byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << random.Random(at).randrange(8)  # noqa: S311 -- which bit does not matter
    path.write_bytes(content)


def test_what_was_not_touched_is_intact(filed: Filed) -> None:
    """All batches and all rows are looked at, and nothing is found."""
    verdict = filed.verify()
    assert verdict.intact, told(verdict.alterations)
    assert (verdict.batches, verdict.rows) == (3 * BATCHES, 3 * BATCHES * ROWS)
    assert sum(hour.events for hour in verdict.hours) == 3 * BATCHES * ROWS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FLIPS))
def test_any_byte_that_is_changed_shows(filed: Filed, seed: int) -> None:
    """One bit of one byte, anywhere in any file of archive or lake: the file is named, and nothing else is blamed."""
    chance = random.Random(seed)  # noqa: S311 -- places, not secrets
    path = chance.choice([*lake_files(filed), *archive_files(filed)])
    at = chance.randrange(path.stat().st_size)
    flip(path, at)
    verdict = filed.verify()
    assert any(one.file == str(path) for one in verdict.alterations), f"byte {at} of {path}"
    assert not verdict.intact


def test_a_byte_of_a_stored_batch_names_the_batch(filed: Filed) -> None:
    """Whichever byte of whichever frame it is, agent, sequence and what are named."""
    path = archive_files(filed)[0]
    whole = path.read_bytes()
    chance = random.Random(7)  # noqa: S311 -- places, not secrets
    for at in chance.sample(range(len(whole)), 25):
        flip(path, at)
        named = [one for one in filed.verify().alterations if one.what in OF_BATCHES]
        path.write_bytes(whole)
        assert {one.hostname for one in named} <= {"web", "db", "gateway/http"}
        assert [one for one in named if 0 <= one.sequence < BATCHES and one.hour], f"byte {at}"


def rewrite_row(path: Path, column: str, change: pa.Array) -> None:
    """Write a data file anew with one column changed, and leave Iceberg in the belief that it is the same."""
    rows = pq.read_table(path)
    place = rows.column_names.index(column)
    pq.write_table(rows.set_column(place, column, change), path, compression="zstd")


def test_a_changed_attribute_is_named(filed: Filed) -> None:
    """Of a row that was rewritten, whole and valid, the attribute and the batch are named."""
    path = next(path for path in lake_files(filed) if "process_activity" in str(path))
    rows = pq.read_table(path)
    processes = rows["process"].combine_chunks()
    lines = processes.field("cmd_line").to_pylist()
    lines[0] = "nothing to see here"
    fields = {field.name: processes.field(i) for i, field in enumerate(processes.type)} | {"cmd_line": pa.array(lines)}
    rewrite_row(path, "process", pa.StructArray.from_arrays(list(fields.values()), names=list(fields)))
    uid = rows["metadata"][0]["uid"].as_py()
    altered = [one for one in filed.verify().alterations if one.what is What.ROW_ALTERED]
    assert [one.detail for one in altered] == [f"process.cmd_line differs in 1 row, the first is {uid}"]
    assert batch_id("default", altered[0].agent, altered[0].epoch, altered[0].sequence) == uid[-16:]


def test_a_changed_record_is_named(filed: Filed) -> None:
    """The source's original, deep in lists and maps, is compared too."""
    path = next(path for path in lake_files(filed) if "process_activity" in str(path))
    unmapped = pq.read_table(path)["unmapped"].combine_chunks()
    told_rows = unmapped.to_pylist()
    for row in told_rows:
        for record in row["audit"]["records"] or []:
            record["fields"] = [(key, "/bin/true" if key == "exe" else value) for key, value in record["fields"]]
    rewrite_row(path, "unmapped", pa.array(told_rows, unmapped.type))
    altered = [one.detail for one in filed.verify().alterations if one.what is What.ROW_ALTERED]
    assert {detail.partition(" differs")[0] for detail in altered} == {"unmapped.audit.records"}


def test_rows_removed_and_rows_added_are_named(filed: Filed) -> None:
    """A row that is gone, one that is there twice, one that no batch has."""
    path = next(path for path in lake_files(filed) if "process_activity" in str(path))
    rows = pq.read_table(path)
    strange = rows.slice(2, 1)
    metadata = strange["metadata"].combine_chunks()
    fields = {field.name: metadata.field(i) for i, field in enumerate(metadata.type)}
    fields["uid"] = pa.array([fields["uid"][0].as_py()[:17] + "-" + "ab" * 8])
    named = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    strange = strange.set_column(strange.column_names.index("metadata"), "metadata", named)
    pq.write_table(pa.concat_tables([rows.slice(1), rows.slice(1, 1), strange]), path)
    details = [(one.what, one.detail) for one in filed.verify().alterations]
    uids = rows["metadata"].to_pylist()
    assert (What.ROW_REMOVED, f"the lake lacks 1 row, the first is {uids[0]['uid']}") in details
    assert (What.ROW_ADDED, f"the lake has 1 row too many, the first is {uids[1]['uid']}") in details
    assert any(what is What.ROW_ADDED and detail.startswith("no archived batch has 1 row") for what, detail in details)


def test_a_row_beyond_its_batch_is_named(filed: Filed) -> None:
    """A row that claims a batch which is there, at a time at which that batch has none, is still one too many."""
    path = next(path for path in lake_files(filed) if "process_activity" in str(path))
    rows = pq.read_table(path)
    later = rows.slice(0, 1)
    later = later.set_column(later.column_names.index("time"), "time", pa.array([rows["time"][0].as_py() + 3_600_000]))
    pq.write_table(pa.concat_tables([rows, later]), path)
    assert "row added" in {what for what, _host, _sequence in filed.found()}


def _rewrite_archive(filed: Filed, change: str) -> None:
    """As one who may write everything: the archive's file, its name and the state agree with each other."""
    for file in list_files(filed.engine):
        path = filed.archive.path(file)
        frames = path.read_bytes().split(b"tcs1")[1:]
        frames = frames[1:] if change == "remove" else [*frames, frames[0]]
        content = b"".join(b"tcs1" + frame for frame in frames)
        name = hashlib.sha256(content).hexdigest()
        path.with_name(f"{name}.batches").write_bytes(content)
        with filed.engine.begin() as connection:
            connection.execute(sa.update(archive_file).where(archive_file.c.name == file.name).values(name=name))
        return


def test_a_removed_batch_is_named(filed: Filed) -> None:
    """Also by somebody who makes archive and state agree: the ledger knows of it, and so does the lake."""
    _rewrite_archive(filed, "remove")
    removed = [one for one in filed.verify().alterations if one.what is What.BATCH_REMOVED]
    assert [one.sequence for one in removed] == [0]
    with filed.engine.begin() as connection:
        mine = (ledger.c.agent == removed[0].agent) & (ledger.c.sequence == 0)
        connection.execute(sa.delete(ledger).where(mine))
    verdict = filed.verify()
    assert not verdict.intact
    assert {one.what for one in verdict.alterations} == {What.ROW_ADDED}


def test_a_replayed_batch_is_named(filed: Filed) -> None:
    """A batch that the archive holds twice; one that the log holds twice is stored once, and is nothing."""
    _rewrite_archive(filed, "replay")
    assert {(one.what, one.sequence) for one in filed.verify().alterations} >= {(What.BATCH_REPLAYED, 0)}


def test_a_batch_that_the_log_holds_twice_is_stored_once(tmp_path: Path) -> None:
    """A replay into the log adds nothing to archive or lake."""
    filed = Filed(tmp_path)
    web = filed.agent("web")
    filed.append(*web.seal([an_event("web", 1)]), times=3)
    filed.file()
    verdict = filed.verify()
    filed.close()
    assert verdict.intact, told(verdict.alterations)
    assert (verdict.batches, verdict.rows) == (1, 1)


def test_a_forged_agent_is_named(tmp_path: Path) -> None:
    """A batch in an agent's name that another key signed; one of an agent that nobody enrolled."""
    filed = Filed(tmp_path)
    web = filed.agent("web")
    filed.append(*web.seal([an_event("web", 1)]))
    forger = Sender(Ed25519PrivateKey.generate(), web.position.agent)
    forger.position = web.position
    filed.append(*forger.seal([an_event("web", 2)]))
    filed.append(*Sender(Ed25519PrivateKey.generate(), "nobody").seal([an_event("nobody", 3)]))
    filed.file()
    named = filed.found()
    filed.close()
    assert named == {("forged", "web", 1), ("forged", "nobody", 0)}


def test_a_key_that_was_put_in_place_of_an_agents_is_named(filed: Filed) -> None:
    """Whoever writes another key into the state is found out, as the agent's id is made of its key."""
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with filed.engine.begin() as connection:
        connection.execute(sa.update(agent).where(agent.c.hostname == "web").values(public_key=stranger))
    named = filed.found()
    assert ("key altered", "web", -1) in named
    assert ("forged", "web", 0) in named


def test_what_was_taken_after_revocation_is_named(filed: Filed) -> None:
    """A batch with a good signature of an agent that had been revoked by then."""
    with filed.engine.begin() as connection:
        connection.execute(sa.update(agent).where(agent.c.hostname == "db").values(revoked_at=1))
    assert {(what, host) for what, host, _ in filed.found()} == {("taken after revocation", "db")}


@pytest.mark.parametrize("column", ["rows", "created_at", "received_at", "hash"])
def test_a_changed_ledger_is_named(filed: Filed, column: str) -> None:
    """The ledger and the archive say the same of every batch, or one of them was changed."""
    with filed.engine.begin() as connection:
        value = b"x" if column == "hash" else now_ms() - 1
        mine = (ledger.c.sequence == 3) & (ledger.c.agent.not_like("gateway%"))
        connection.execute(sa.update(ledger).where(mine).values({column: value}))
    assert {("ledger altered", "web", 3), ("ledger altered", "db", 3)} <= filed.found()


def test_files_that_are_gone_are_named(filed: Filed) -> None:
    """A data file or an archive's file that somebody deleted."""
    archived, stored = archive_files(filed)[0], lake_files(filed)[0]
    archived.unlink()
    stored.unlink()
    verdict = filed.verify()
    assert {one.file for one in verdict.alterations} >= {str(archived), str(stored)}
    assert {What.FILE_REMOVED, What.BATCH_REMOVED} <= {one.what for one in verdict.alterations}


def test_merged_and_compacted_it_is_still_intact(filed: Filed) -> None:
    """Upkeep rewrites files of both; every row is still found as signed, and what upkeep left is swept."""
    tomorrow = {"time": now_ms() + 86_400_000}
    filed.append(*filed.agent("ahead").seal([Event(class_uid, dict(tomorrow)) for class_uid in (1007, 4001)]))
    filed.file()
    before = len(archive_files(filed))
    merged = filed.archive.merge(filed.engine, now_ms() // 86_400_000 + 1)
    assert (before - merged, len(archive_files(filed))) == (1, 1)
    assert filed.archive.sweep(filed.engine, older_than_s=0) == before
    assert filed.compact() > 0
    verdict = filed.verify()
    assert verdict.intact, told(verdict.alterations)
    assert verdict.rows == 3 * BATCHES * ROWS + 2


def test_only_one_agent_is_looked_at_when_asked(filed: Filed) -> None:
    """Another agent's alteration is not this one's."""
    with filed.engine.begin() as connection:
        ids = {row.hostname: row.id for row in connection.execute(sa.select(agent))}
        connection.execute(sa.update(ledger).where(ledger.c.agent == ids["web"], ledger.c.sequence == 1).values(rows=1))
    assert filed.verify(ids["db"]).intact
    assert filed.verify(ids["db"]).rows == BATCHES * ROWS
    assert not filed.verify(ids["web"]).intact
