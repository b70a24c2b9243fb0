"""Audit events in the schema: what each class must be told, and that the published OCSF schema accepts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocsf_schema import problems
from tocsin.model.event import Event, RefusedLine, nest
from tocsin.model.schema import CLASSES
from tocsin.normalize.auditd import Reassembler, map_event, parse_kernel, read_events

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "auditd").glob("*.log"))

EVERY = {"time", "activity_id", "severity_id", "metadata.log_name", "metadata.event_code", "device.hostname"}
ACTOR = {
    "actor.process.pid",
    "actor.process.name",
    "actor.process.file.path",
    "actor.process.parent_process.pid",
    "actor.user.uid",
}
REPORTER = {"actor.process.pid", "actor.process.file.path", "actor.user.uid", "status_id"}
FILE = {"file.path", "file.name", "file.type_id", "file.parent_folder", "status_id"}
PROCESS = {"process.pid", "process.name", "process.file.path", "process.parent_process.pid", "process.user.uid"}

# For each class and what audit calls it: the attributes that must be there. An event that hides all fails.
FILLED: dict[tuple[int, str], set[str]] = {
    (1001, "openat"): ACTOR | FILE | {"actor.process.cmd_line"},
    (1001, "mkdir"): ACTOR | FILE,
    (1001, "truncate"): ACTOR | FILE,
    (1001, "unlink"): ACTOR | FILE,
    (1001, "rename"): ACTOR | FILE | {"file_result.path", "file_result.name"},
    (1001, "link"): ACTOR | FILE | {"file_result.path"},
    (1001, "symlink"): ACTOR | FILE,
    (1001, "chmod"): ACTOR | FILE,
    (1001, "chown"): ACTOR | FILE,
    (1001, "mount"): ACTOR | FILE,
    (1001, "umount2"): ACTOR | FILE,
    (1001, "fchmod"): ACTOR | {"file.name", "file.uid", "file.type_id"},
    (1002, "KERN_MODULE"): ACTOR | {"driver.file.name", "driver.file.type_id", "status_id"},
    (1004, "process_vm_readv"): ACTOR | {"process.pid", "status_id"},
    (1004, "process_vm_writev"): ACTOR | {"process.pid", "status_id"},
    (1004, "mprotect"): ACTOR | {"process.pid", "process.name", "status_id"},
    (1007, "execve"): {"process.pid", "process.name", "process.file.path", "process.user.uid"}
    | {"process.working_directory", "actor.process.pid", "actor.user.uid", "exit_code", "status_id"},
    (1007, "setuid"): PROCESS | {"process.euid", "status_id", "exit_code"},
    (1007, "unshare"): PROCESS | {"status_id"},
    (1007, "kill"): ACTOR | {"process.pid", "process.name", "status_id"},
    (1007, "ptrace"): ACTOR | {"process.pid", "status_id"},
    (1007, "USER_CMD"): {"process.pid", "process.cmd_line", "process.working_directory", "actor.user.uid"},
    (1007, "ANOM_ABEND"): {"process.pid", "process.name", "process.file.path", "process.user.uid"},
    (3001, "ADD_USER"): REPORTER | {"user.uid", "status_detail"},
    (3001, "DEL_USER"): REPORTER | {"user.uid", "status_detail"},
    (3001, "ACCT_LOCK"): REPORTER | {"user.uid", "status_detail"},
    (3001, "USER_CHAUTHTOK"): REPORTER | {"status_detail"},
    (3002, "USER_LOGIN"): REPORTER | {"src_endpoint.ip", "service.name", "is_remote", "logon_type_id"},
    (3002, "USER_AUTH"): REPORTER | {"user.name", "service.name", "auth_protocol"},
    (3002, "LOGIN"): {"actor.process.pid", "user.uid", "session.uid", "service.name", "status_id"},
    (3002, "USER_START"): REPORTER | {"user.name", "service.name"},
    (3002, "USER_END"): REPORTER | {"user.name", "service.name"},
    (3002, "USER_LOGOUT"): REPORTER | {"user.uid", "session.uid", "service.name"},
    (3006, "ADD_GROUP"): REPORTER,  # groupadd's last record says no operation
    (3006, "DEL_GROUP"): REPORTER,
    (3006, "USER_MGMT"): REPORTER | {"group.name", "user.name", "status_detail"},
    (4001, "connect"): ACTOR | {"connection_info.direction_id", "status_id"},
    (4001, "accept4"): ACTOR | {"src_endpoint.ip", "src_endpoint.port", "connection_info.direction_id"},
    (4001, "bind"): ACTOR | {"dst_endpoint.ip", "dst_endpoint.port", "connection_info.direction_id"},
    (4001, "sendto"): ACTOR | {"connection_info.direction_id"},
}


def _events(*logs: Path) -> Iterator[Event]:
    for log in logs:
        for event in read_events(log.read_bytes().splitlines(), hostname="host"):
            assert isinstance(event, Event)
            yield event


@pytest.fixture(scope="module")
def by_kind() -> dict[tuple[int, str], list[Event]]:
    """The events of the golden logs by class and event code."""
    found: dict[tuple[int, str], list[Event]] = {}
    for event in _events(*GOLDEN):
        found.setdefault((event.class_uid, str(event.values["metadata.event_code"])), []).append(event)
    return found


@pytest.mark.parametrize("kind", FILLED, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_attributes_are_filled(by_kind: dict[tuple[int, str], list[Event]], kind: tuple[int, str]) -> None:
    """Real events of each class carry what audit says about them in the attributes, and keep their records."""
    for event in by_kind[kind]:
        assert sorted((EVERY | FILLED[kind]) - event.values.keys()) == []
        assert event.records


def _assert_fits(event: Event, seen: Counter[tuple[int, object, object]]) -> None:
    assert sorted(event.values.keys() - CLASSES[event.class_uid].paths) == []
    kind = (event.class_uid, event.values["activity_id"], event.values["metadata.event_code"])
    seen[kind] += 1
    if seen[kind] <= 3:  # the published schema is slow to ask
        assert problems(event) == []


def test_events_fit_the_published_schema() -> None:
    """Every class that audit becomes, exported, is valid OCSF with its profiles; no attribute is outside its class."""
    seen: Counter[tuple[int, object, object]] = Counter()
    for event in _events(*GOLDEN):
        _assert_fits(event, seen)
    assert {class_uid for class_uid, _, _ in seen} == {0, 1001, 1002, 1004, 1007, 3001, 3002, 3006, 4001}


@pytest.mark.data
def test_real_logs_fit_the_published_schema(public_data: Path) -> None:
    """The events of every public audit log are valid OCSF; no line is refused."""
    seen: Counter[tuple[int, object, object]] = Counter()
    logs = sorted((public_data / "audit").rglob("*.log"))
    for event in _events(*logs):
        _assert_fits(event, seen)
    assert seen.total() > 1000


def _one(*bodies: str) -> Event:
    lines = [f"type={body.replace(' ', ' msg=audit(1700000000.001:7): ', 1)}" for body in bodies]
    (event,) = read_events([line.encode() for line in lines])
    assert isinstance(event, Event)
    return event


IDENTITY = 'ppid=1 pid=2 auid=1000 uid=33 gid=33 euid=33 egid=33 tty=(none) ses=4 comm="sh" exe="/bin/dash" key="k"'


def _call(number: int, arguments: str = "a0=0 a1=0 a2=0 a3=0", result: str = "success=yes exit=0") -> str:
    return f"SYSCALL arch=c000003e syscall={number} {result} {arguments} items=1 {IDENTITY}"


def test_program_start_is_told_whole() -> None:
    """The command line is the arguments joined by blanks; who, where and under which parent is in its place."""
    event = _one(_call(59), 'EXECVE argc=3 a0="sh" a1="-c" a2=6C73202D6C', 'CWD cwd="/var/www"')
    assert event.class_uid == 1007
    assert {path: event.values[path] for path in event.values if path.startswith("process.")} == {
        "process.pid": 2,
        "process.name": "sh",
        "process.file.path": "/bin/dash",
        "process.file.name": "dash",
        "process.file.type_id": 1,
        "process.cmd_line": "sh -c ls -l",
        "process.working_directory": "/var/www",
        "process.parent_process.pid": 1,
        "process.uid": "2-r1700000000001.7",
        "process.user.uid": "33",
        "process.auid": 1000,
        "process.euid": 33,
        "process.egid": 33,
        "process.session.uid": "4",
    }
    assert event.values["actor.process.pid"] == 1
    assert event.values["status_id"] == 1


def test_refused_start_names_what_was_tried() -> None:
    """Audit's exe is still the caller's then: the caller is the actor, the file of PATH is the program."""
    event = _one(
        _call(59, result="success=no exit=-13"), 'CWD cwd="/tmp/x"', 'PATH item=0 name="./evil" inode=9 mode=0100644'
    )
    assert event.values["process.file.path"] == "/tmp/x/evil"  # noqa: S108 - only a name
    assert event.values["actor.process.file.path"] == "/bin/dash"
    assert (event.values["status_id"], event.values["status_code"]) == (2, "EACCES")
    assert "process.cmd_line" not in event.values


@pytest.mark.parametrize(
    ("flags", "nametype", "activity"),
    [("0", "NORMAL", 14), ("1", "NORMAL", 3), ("2", "NORMAL", 3), ("200", "NORMAL", 3), ("41", "CREATE", 1)],
)
def test_opening_is_told_by_flags_and_outcome(flags: str, nametype: str, activity: int) -> None:
    """Opened to be read, opened to be written or emptied, and created are three things."""
    event = _one(
        _call(257, f"a0=ffffff9c a1=7f a2={flags} a3=0"),
        'CWD cwd="/etc"',
        f'PATH item=0 name="passwd" inode=5 dev=fe:00 mode=0100644 nametype={nametype}',
    )
    assert (event.class_uid, event.values["activity_id"]) == (1001, activity)
    assert event.values["file.path"] == "/etc/passwd"
    assert event.values["file.parent_folder"] == "/etc"


def test_what_overlayfs_does_below_is_not_what_the_call_is_about() -> None:
    """Records of a real overlay: to write to a file of the lower layer copies it up, under names that audit lacks."""
    event = _one(
        _call(257, "a0=ffffff9c a1=7f a2=441 a3=1b6"),
        'CWD cwd="/"',
        'PATH item=0 name="/mnt/m/" inode=3 dev=00:28 mode=040755 nametype=PARENT',
        'PATH item=1 name="/mnt/m/f" inode=6 dev=00:28 mode=0100644 nametype=NORMAL',
        "PATH item=2 name=(null) inode=3 dev=00:27 mode=040755 nametype=PARENT",
        "PATH item=3 name=(null) nametype=CREATE",
        "PATH item=4 name=(null) inode=13 dev=00:27 mode=0100644 nametype=CREATE",
    )
    assert (event.values["activity_id"], event.values["file.path"]) == (3, "/mnt/m/f")


def test_name_below_an_unknown_folder_stays_relative() -> None:
    """With a folder given by descriptor, joining the working directory would name another file."""
    event = _one(_call(263, "a0=5 a1=7f a2=0 a3=0"), 'CWD cwd="/etc"', 'PATH item=0 name="shadow" nametype=DELETE')
    assert (event.values["activity_id"], event.values["file.path"]) == (4, "shadow")


@pytest.mark.parametrize(
    ("exit_code", "activity", "status"), [("0", 1, 1), ("-115", 1, 1), ("-111", 5, 2), ("-110", 4, 2)]
)
def test_connections_are_told_by_outcome(exit_code: str, activity: int, status: int) -> None:
    """Made or under way, refused, failed."""
    result = f"success={'yes' if exit_code == '0' else 'no'} exit={exit_code}"
    event = _one(_call(42, result=result), "SOCKADDR saddr=02000050A9FEA9FE0000000000000000")
    assert (event.class_uid, event.values["activity_id"], event.values["status_id"]) == (4001, activity, status)
    assert (event.values["dst_endpoint.ip"], event.values["dst_endpoint.port"]) == ("169.254.169.254", 80)
    assert event.values["connection_info.direction_id"] == 2


def test_events_of_one_process_share_what_is_said_of_it() -> None:
    """From the kernel, two connections of a process have one dict for the process; another state is another dict."""
    same, other = IDENTITY, IDENTITY.replace("euid=33", "euid=0")
    shared = []
    for serial, identity in enumerate((same, same, other)):
        stamp = f"audit(1700000000.001:{serial}): "
        call = f"arch=c000003e syscall=42 success=yes exit=0 a0={serial} a1=1 a2=10 a3=0 items=0 {identity}"
        records = [parse_kernel(1300, f"{stamp}{call}".encode())]
        records.append(parse_kernel(1306, f"{stamp}saddr=02000050A9FEA9FE0000000000000000".encode()))
        reassembler = Reassembler()
        assert [event for record in records for event in reassembler.push(record)] == []
        (event,) = map(map_event, reassembler.end((1700000000001, serial)))
        assert records[0].get("a0") == str(serial)
        assert records[0].get("exe") == "/bin/dash"
        assert event.values.keys().isdisjoint(event.shared)
        assert event.attributes()["actor.process.euid"] == (0 if identity is other else 33)
        shared.append(event.shared)
    assert shared[0] is shared[1]
    assert shared[1] is not shared[2]


def test_event_without_what_its_class_needs_is_a_base_event() -> None:
    """An open whose PATH was lost is no file activity; its records still say what there is."""
    event = _one(_call(257))
    assert (event.class_uid, event.values["activity_id"], len(event.records)) == (0, 99, 1)
    assert event.values["actor.process.pid"] == 2
    assert problems_of(event) == []


def problems_of(event: Event) -> list[str]:
    """As a machine's events are exported: with its name."""
    event.values.setdefault("device.hostname", "host")
    return problems(event)


def test_io_uring_hides_nothing() -> None:
    """An operation handed to io_uring is what the system call of its name would be."""
    event = _one(
        'URINGOP uring_op=36 success=yes exit=0 items=2 ppid=1 pid=2 uid=0 gid=0 euid=0 egid=0 key="logs"',
        'CWD cwd="/"',
        'PATH item=0 name="/var/log/" inode=1 mode=040755 nametype=PARENT',
        'PATH item=1 name="/var/log/auth.log" inode=2 mode=0100640 nametype=DELETE',
    )
    assert (event.class_uid, event.values["activity_id"]) == (1001, 4)
    assert (event.values["file.path"], event.values["metadata.event_code"]) == ("/var/log/auth.log", "unlinkat")


@pytest.mark.parametrize(
    ("enriched", "name"), [('UID="www-data"', "www-data"), ('UID="unknown(33)"', None), ('AUID="alice"', None)]
)
def test_enriched_log_names_the_user(enriched: str, name: str | None) -> None:
    """What auditd added behind the record names the acting user, if auditd knew."""
    event = _one(f"{_call(42)}\x1d{enriched}", "SOCKADDR saddr=02000050A9FEA9FE0000000000000000")
    assert event.values.get("actor.user.name") == name
    assert event.values["actor.user.uid"] == "33"


def test_login_record_decides_over_its_system_call() -> None:
    """The kernel's LOGIN comes with the write(2) that caused it; the login is what matters."""
    event = _one("LOGIN pid=2 uid=0 old-auid=4294967295 auid=1000 old-ses=4294967295 ses=9 res=1", _call(1))
    assert (event.class_uid, event.values["activity_id"], event.values["user.uid"]) == (3002, 1, "1000")


def test_unreadable_lines_are_given_back_and_the_rest_goes_on() -> None:
    """A bad line is refused with its number, reason and text; blank lines are nothing."""
    good = b"type=USER_LOGIN msg=audit(1.002:3): pid=1 uid=0 auid=5 ses=1 msg='op=login id=5 res=success'"
    refused, event = read_events([b"", b"garbage", good])
    assert isinstance(refused, RefusedLine)
    assert (refused.line, refused.text) == (2, b"garbage")
    assert "type=" in refused.reason
    assert isinstance(event, Event)
    assert event.class_uid == 3002


FIELDS = ["arch", "syscall", "success", "exit", "a0", "a1", "pid", "ppid", "uid", "auid", "exe", "name", "cwd"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["SYSCALL", "PATH", "CWD", "EXECVE", "SOCKADDR", "OBJ_PID", "LOGIN", "USER_CMD", "ADD_GROUP"]
            ),
            st.lists(
                st.tuples(
                    st.sampled_from(FIELDS),
                    st.one_of(
                        st.sampled_from(
                            ["c000003e", "59", "42", "257", "101", "62", "yes", "no", "-13", "02000050", '"x"']
                        ),
                        st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30),
                    ),
                ),
                max_size=8,
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_fields_make_an_event(records: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """Whatever a machine may write, mapping gives events whose attributes are their class's and whose form nests."""
    lines = [
        f"type={kind} msg=audit(1.002:3): {' '.join(f'{key}={value}' for key, value in fields)}".encode()
        for kind, fields in records
    ]
    for event in read_events(lines):
        assert isinstance(event, Event)
        assert event.values.keys() <= CLASSES[event.class_uid].paths
        assert nest(event)["class_uid"] == event.class_uid
