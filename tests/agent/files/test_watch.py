"""What is done to watched files, on the real kernel, becomes one event each, with content and attributes before."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.files.watching import digest_of, watched
from tocsin.model.schema import CLASSES

pytestmark = pytest.mark.root

CREATE, UPDATE, DELETE, RENAME, ATTRIBUTES = 1, 3, 4, 5, 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to be watched, with a file and a folder in it."""
    folder = tmp_path / "place"
    (folder / "inner").mkdir(parents=True)
    (folder / "known").write_text("before\n")
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The agent's state folder."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_write_tells_the_content_before_and_after(place: Path, state: Path) -> None:
    """One update with hash, size, owner and mode, the hash before, and the process that wrote."""
    with watched(place, state=state) as seen:
        assert seen.compared() == []
        (place / "known").write_text("after it\n")
        (event,) = seen.told()
    values = event.values
    assert values["activity_id"] == UPDATE
    assert values["file.path"] == str(place / "known")
    assert digest_of(event) == _sha256("after it\n")
    assert values["unmapped.file.prior_hash"] == _sha256("before\n")
    assert (values["file.size"], values["unmapped.file.prior_size"]) == (9, 7)
    assert (values["file.owner.uid"], values["file.owner.name"]) == ("0", "root")
    assert values["unmapped.file.mode"] == "0644"
    assert values["unmapped.file.detected"] == "live"
    assert values["actor.process.pid"] == os.getpid()
    assert values["actor.user.uid"] == "0"
    found = (place / "known").stat()
    assert values["file.uid"] == f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    assert event.attributes().keys() <= CLASSES[1001].paths


def test_each_kind_of_change_is_one_event(place: Path, state: Path) -> None:
    """Creation, attributes, rename, links and deletion, of files and folders."""
    with watched(place, state=state) as seen:
        seen.compared()
        (place / "new").write_text("x")
        assert seen.done() == [(CREATE, "new")]
        (place / "new").chmod(0o4755)
        (event,) = seen.told()
        assert event.values["activity_id"] == ATTRIBUTES
        assert (event.values["unmapped.file.prior_mode"], event.values["unmapped.file.mode"]) == ("0644", "4755")
        (place / "new").rename(place / "inner" / "other")
        (event,) = seen.told()
        assert event.values["activity_id"] == RENAME
        assert event.values["file.path"] == str(place / "new")
        assert event.values["file_result.path"] == str(place / "inner" / "other")
        assert digest_of(event) == _sha256("x")
        os.chown(place / "inner" / "other", 65534, 65534)
        (event,) = seen.told()
        assert (event.values["unmapped.file.prior_owner"], event.values["file.owner.uid"]) == ("0", "65534")
        (place / "link").symlink_to("known")
        assert seen.done() == [(CREATE, "link")]
        (place / "inner" / "other").unlink()
        (event,) = seen.told()
        assert event.values["activity_id"] == DELETE
        assert digest_of(event) == _sha256("x")
        (place / "folder").mkdir()
        assert seen.done() == [(CREATE, "folder")]
        (place / "folder").rmdir()
        assert seen.done() == [(DELETE, "folder")]


def test_a_shell_and_its_programs_are_seen(place: Path, state: Path) -> None:
    """Redirections, appending, touch, truncate, install and rm by programs that have ended long since."""
    with watched(place, state=state) as seen:
        seen.compared()
        script = "echo a > made; sleep 0.3; echo b >> made; sleep 0.3; chmod 600 made; sleep 0.3; rm made"
        process = subprocess.Popen(["/bin/sh", "-c", script], cwd=place)
        process.wait()
        events = seen.told()
        # The kernel merges what it tells of one name until it is read; the clock of this test stands still meanwhile.
        assert [event.values["activity_id"] for event in events][-1] == DELETE
        assert events[0].values["activity_id"] == CREATE
        assert events[0].values["actor.process.pid"] == process.pid


def test_a_save_by_renaming_is_one_update(place: Path, state: Path) -> None:
    """As sed -i, most editors and configuration tools do it: the new content takes the old one's place."""
    with watched(place, state=state) as seen:
        seen.compared()
        subprocess.run(["sed", "-i", "s/before/between/", place / "known"], check=True)
        (event,) = seen.told()
        assert (event.values["activity_id"], event.values["file.name"]) == (UPDATE, "known")
        assert event.values["unmapped.file.prior_hash"] == _sha256("before\n")
        assert digest_of(event) == _sha256("between\n")


def test_a_save_that_keeps_a_backup_for_a_moment_is_one_update(place: Path, state: Path) -> None:
    """As vim does it: the file is renamed, written anew, and the backup removed."""
    with watched(place, state=state) as seen:
        seen.compared()
        (place / "known").rename(place / "known~")
        (place / "known").write_text("by vim\n")
        (place / "known~").unlink()
        (event,) = seen.told()
        assert (event.values["activity_id"], event.values["file.name"]) == (UPDATE, "known")
        assert event.values["unmapped.file.prior_hash"] == _sha256("before\n")
        assert digest_of(event) == _sha256("by vim\n")


def test_an_atomic_creation_is_one_creation(place: Path, state: Path) -> None:
    """A new file that is written under another name is created under its own."""
    with watched(place, state=state) as seen:
        seen.compared()
        (place / ".part").write_text("x")
        (place / ".part").rename(place / "whole")
        assert seen.done() == [(CREATE, "whole")]


def test_a_file_from_elsewhere_is_created_and_one_moved_away_is_renamed(
    place: Path, state: Path, tmp_path: Path
) -> None:
    """What comes from where nobody watches is new here; what goes there has lost its name."""
    (tmp_path / "outside").write_text("x")
    with watched(place, state=state) as seen:
        seen.compared()
        (tmp_path / "outside").rename(place / "inside")
        assert seen.done() == [(CREATE, "inside")]
        (tmp_path / "evil").write_text("evil")
        (tmp_path / "evil").rename(place / "known")
        (event,) = seen.told()
        assert event.values["activity_id"] == UPDATE
        assert event.values["unmapped.file.prior_hash"] == _sha256("before\n")
        (place / "inside").rename(tmp_path / "gone")
        assert seen.done() == [(RENAME, "inside")]
        assert seen.watch._baseline.get(str(place / "inside")) is None


def test_a_kernel_that_tells_renames_in_two_parts(place: Path, state: Path) -> None:
    """Before Linux 5.17 a rename is two notices; they become the same events."""
    with watched(place, state=state, renames=False) as seen:
        seen.compared()
        (place / "known").rename(place / "moved")
        (event,) = seen.told()
        assert (event.values["activity_id"], event.values["file_result.path"]) == (RENAME, str(place / "moved"))
        subprocess.run(["sed", "-i", "s/before/between/", place / "moved"], check=True)
        assert seen.done() == [(UPDATE, "moved")]
        (place / "moved").rename(place.parent / "away")
        assert seen.done() == [(RENAME, "moved")]


def test_a_file_that_is_deleted_while_it_is_open(place: Path, state: Path) -> None:
    """The deletion is told; what is written to the nameless file afterwards is nobody's."""
    with watched(place, state=state) as seen:
        seen.compared()
        with (place / "known").open("a") as file:
            (place / "known").unlink()
            assert seen.done() == [(DELETE, "known")]
            file.write("x")
        assert seen.done() in ([], [(UPDATE, "known")])
        assert seen.watch._baseline.get(str(place / "known")) is None


def test_a_file_that_stays_open_is_told_now_and_then(place: Path, state: Path) -> None:
    """A log that is written all the time is told, ever more seldom, and once more when it is closed."""
    with watched(place, state=state) as seen:
        seen.compared()
        count = 0
        with (place / "log").open("w", buffering=1) as file:
            for number in range(100):
                file.write(f"{number}\n")
                count += len(seen.watch.step(seen.at, 0))
                seen.at += 0.1  # ten seconds in all
        assert 3 <= count <= 8
        (event,) = seen.told()
        assert digest_of(event) == hashlib.sha256((place / "log").read_bytes()).hexdigest()


def test_a_mapped_file_is_seen_when_it_is_closed(place: Path, state: Path) -> None:
    """Writing to memory tells nothing; closing after it does."""
    script = "import mmap,sys;f=open(sys.argv[1],'r+b');m=mmap.mmap(f.fileno(),0);m[0:3]=b'AFT';m.flush();m.close()"
    with watched(place, state=state) as seen:
        seen.compared()
        subprocess.run([sys.executable, "-c", script, place / "known"], check=True)
        (event,) = seen.told()
        assert digest_of(event) == _sha256("AFTore\n")


def test_opening_without_writing_is_no_change(place: Path, state: Path) -> None:
    """A lock file is opened for writing all the time."""
    with watched(place, state=state) as seen:
        seen.compared()
        with (place / "known").open("r+"):
            pass
        assert seen.told() == []


def test_a_write_through_another_name_is_seen(place: Path, state: Path, tmp_path: Path) -> None:
    """A hard link from elsewhere leads to the same file, whether it was there before or is made now."""
    (tmp_path / "old-link").hardlink_to(place / "known")
    with watched(place, state=state) as seen:
        seen.compared()
        with (tmp_path / "old-link").open("a") as file:
            file.write("more\n")
        (event,) = seen.told()
        assert (event.values["activity_id"], event.values["file.path"]) == (UPDATE, str(place / "known"))
        assert digest_of(event) == _sha256("before\nmore\n")
        (place / "second").hardlink_to(place / "known")
        # The other name's file has one more link, which is an attribute.
        assert sorted(seen.done()) == [(CREATE, "second"), (ATTRIBUTES, "known")]


def test_a_bind_mount_leads_to_the_same_file(place: Path, state: Path, tmp_path: Path) -> None:
    """A write through a mount elsewhere is told by the path that is watched."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", place, other], check=True)
    try:
        with watched(place, state=state) as seen:
            seen.compared()
            (other / "known").write_text("through the mount")
            (event,) = seen.told()
            assert event.values["file.path"] == str(place / "known")
    finally:
        subprocess.run(["umount", other], check=True)


def test_a_container_that_sees_the_folder_elsewhere(place: Path, state: Path, tmp_path: Path) -> None:
    """In a mount namespace and a root of its own, the path is another one; the file is the same."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    mounted, busybox = f"mount --bind {place} {root}/data", Path("/bin/busybox")
    script = f"{mounted} && cd {root}/data && echo in a container > known"
    if busybox.exists():
        shutil.copy(busybox, place / "busybox")  # which goes by its name
        script = f"{mounted} && chroot {root} /data/busybox sh -c 'echo in a container > /data/known'"
    with watched(place, state=state) as seen:
        seen.compared()
        subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)
        events = [event for event in seen.told() if event.values["file.name"] == "known"]
        assert [event.values["file.path"] for event in events] == [str(place / "known")]
        assert digest_of(events[0]) == _sha256("in a container\n")


def test_folders_that_come_move_and_go_are_followed(place: Path, state: Path, tmp_path: Path) -> None:
    """What is in a new folder is told even if it was made before anybody looked; a moved one keeps being watched."""
    with watched(place, state=state) as seen:
        seen.compared()
        (place / "a" / "b").mkdir(parents=True)
        (place / "a" / "b" / "c").write_text("x")
        assert sorted(seen.done()) == [(CREATE, "a"), (CREATE, "b"), (CREATE, "c")]
        (place / "a").rename(place / "z")
        assert seen.done() == [(RENAME, "a")]
        (place / "z" / "b" / "c").write_text("y")
        (event,) = seen.told()
        assert event.values["file.path"] == str(place / "z" / "b" / "c")
        assert event.values["unmapped.file.prior_hash"] == _sha256("x")
        (place / "z").rename(tmp_path / "away")
        assert seen.done() == [(RENAME, "z")]
        (tmp_path / "away" / "b" / "c").write_text("z")
        assert seen.told() == []
        (tmp_path / "away").rename(place / "back")
        assert sorted(seen.done()) == [(CREATE, "b"), (CREATE, "back"), (CREATE, "c")]


def test_a_path_that_comes_later_is_watched(place: Path, state: Path) -> None:
    """A folder that comes later, a single file among others, a folder that is removed and made again."""
    later, single = place / "later", place / "single"
    with watched(later, single, state=state) as seen:
        seen.compared()
        (place / "other").write_text("nobody asked")
        single.write_text("x")
        later.mkdir()
        (later / "file").write_text("x")
        assert sorted(seen.done()) == [(CREATE, "file"), (CREATE, "later"), (CREATE, "single")]
        (later / "file").unlink()
        later.rmdir()
        assert sorted(seen.done()) == [(DELETE, "file"), (DELETE, "later")]
        later.mkdir()
        assert seen.done() == [(CREATE, "later")]
        (later / "again").write_text("x")
        assert seen.done() == [(CREATE, "again")]


def test_what_is_excluded_is_counted_only(place: Path, state: Path) -> None:
    """A glob names what is left alone, and what becomes of it when it takes a watched name."""
    with watched(place, state=state, exclude=("*/cache/*", "*.swp")) as seen:
        seen.compared()
        (place / "cache").mkdir()
        (place / "cache" / "x").write_text("x")
        (place / "a.swp").write_text("x")
        assert seen.done() == [(CREATE, "cache")]
        assert seen.watch.excluded > 0
        (place / "a.swp").rename(place / "a")
        assert seen.done() == [(CREATE, "a")]


def test_names_that_are_no_utf8(place: Path, state: Path) -> None:
    """Any bytes may be a name."""
    name = os.fsdecode(b"caf\xe9")
    with watched(place, state=state) as seen:
        seen.compared()
        (place / name).write_text("x")
        (event,) = seen.told()
        assert event.values["file.name"] == "caf\\xe9"
        (place / name).unlink()
        (event,) = seen.told()
        assert digest_of(event) == _sha256("x")


def test_hashing_keeps_to_its_budget(place: Path, state: Path) -> None:
    """Without budget a change is told all the same, only without a hash, and that is made up for later."""
    with watched(place, state=state, budget=100 << 10) as seen:
        seen.compared()
        for number in range(20):
            (place / f"{number}").write_bytes(bytes(10_000))
        events = seen.told()
        assert len(events) == 20
        hashed = [event for event in events if "file.hashes" in event.values]
        assert 0 < len(hashed) < 10
        assert seen.hasher.deferred == 20 - len(hashed)
        assert seen.watch._baseline.unhashed() is not None


def test_many_writers_at_once_are_all_told(place: Path, state: Path) -> None:
    """Each of several threads' and processes' files is one event."""
    with watched(place, state=state) as seen:
        seen.compared()
        script = "import sys,pathlib\nfor i in range(200): pathlib.Path(sys.argv[1]+str(i)).write_text('x')"
        writers = [subprocess.Popen([sys.executable, "-c", script, place / name]) for name in "abcd"]
        for writer in writers:
            threading.Thread(target=writer.wait).start()
        events = []
        while any(writer.poll() is None for writer in writers):
            time.sleep(0.02)
            seen.at = time.monotonic()
            events += seen.watch.step(seen.at, 0)
        events += seen.told()
        assert len(events) == 800
        assert {event.values["activity_id"] for event in events} == {CREATE}
        by_pid = {writer.pid: 0 for writer in writers}
        for event in events:
            by_pid[int(event.values["actor.process.pid"])] += 1
        assert set(by_pid.values()) == {200}


def test_another_user_of_fanotify_is_not_disturbed(place: Path, state: Path, tmp_path: Path) -> None:
    """Two watches beside each other see the same."""
    (tmp_path / "second").mkdir()
    with watched(place, state=state) as one, watched(place, state=tmp_path / "second") as two:
        one.compared()
        two.compared()
        (place / "known").write_text("x")
        assert one.done() == two.done() == [(UPDATE, "known")]
