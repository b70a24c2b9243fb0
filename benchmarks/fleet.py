"""A fleet of agents for load tests: real keys, real chains, realistic events, sealed before the clock starts.

Events are those that the agent sends of exec, connect and file activity; 40 % of the command lines have never been seen
before. The seed is pinned, so that two runs send the same.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tocsin.model import wire
from tocsin.model.event import Event, Value
from tocsin.model.wire import ChainPosition

SEED = 20_260_101
FRESH = 0.4
_PROGRAMS = (
    ("/usr/bin/git", "git -C /srv/app status --porcelain", "/usr/bin/bash"),
    ("/usr/bin/python3.11", "python3 /srv/app/manage.py runworker --queue mail", "/usr/bin/bash"),
    ("/usr/bin/grep", "grep -rn pattern /srv/app/src", "/usr/bin/bash"),
    ("/usr/sbin/nginx", "nginx -g daemon off;", "/usr/lib/systemd/systemd"),
    ("/usr/bin/curl", "curl -fsS http://10.0.0.5:8080/health", "/usr/bin/dash"),
    ("/usr/bin/ls", "ls -la /srv/app/releases", "/usr/bin/bash"),
    ("/usr/bin/date", "date +%s", "/usr/bin/dash"),
    ("/usr/bin/awk", "awk {print $1} /proc/loadavg", "/usr/bin/dash"),
    ("/usr/bin/find", "find /srv/app/cache -mtime +7", "/usr/sbin/cron"),
    ("/usr/bin/sed", "sed -n 1,20p /srv/app/config.ini", "/usr/bin/bash"),
    ("/usr/bin/psql", "psql -h 10.0.0.9 -c select 1", "/usr/bin/bash"),
)
# Sigma's hunting rules are informed of every curl and find, so these are as rare as hits are on a calm fleet.
_WEIGHTS = tuple(1 if exe in ("/usr/bin/curl", "/usr/bin/find") else 20 for exe, _, _ in _PROGRAMS)
_SYSCALL = (
    "arch",
    "syscall",
    "success",
    "exit",
    "a0",
    "a1",
    "a2",
    "a3",
    "items",
    "ppid",
    "pid",
    "auid",
    "uid",
    "tty",
    "ses",
    "comm",
    "exe",
    "subj",
    "key",
)


@dataclass
class Sender:
    """One agent of the fleet."""

    key: Ed25519PrivateKey
    position: ChainPosition

    def seal(self, events: list[Event], created_at: int) -> bytes:
        """The next batch of this agent."""
        payload, batch_hash = wire.seal(wire.encode_sections(events), self.position, self.key, created_at=created_at)
        self.position = self.position.after(batch_hash)
        return payload


def enrol(host: str, port: int, token: str, count: int) -> list[Sender]:
    """That many agents with keys of their own."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    senders = []
    for number in range(count):
        key = Ed25519PrivateKey.generate()
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        body = json.dumps({"token": token, "public_key": public, "hostname": f"host-{number:03}"})
        connection.request("POST", "/ingest/enroll", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        senders.append(Sender(key, ChainPosition(answer["org"], answer["agent_id"], f"boot-{number}", 1, 0, b"")))
    return senders


def activity(rng: random.Random, count: int, time_ms: int) -> Iterator[Event]:
    """Events of one host: half are launches, a third connections, the rest file changes."""
    for number in range(count):
        ((exe, command, parent),) = rng.choices(_PROGRAMS, _WEIGHTS)
        if rng.random() < FRESH:
            command = f"{command} --tag {rng.getrandbits(40):x}"
        at, pid, draw = time_ms + number % 250, rng.randrange(300, 60_000), rng.random()
        if draw < 0.5:
            yield _launch(rng, at, pid, exe, command, parent)
        elif draw < 0.83:
            yield _connect(rng, at, pid, exe, command, parent)
        else:
            yield _write(rng, at, pid, exe, command, parent)


def _process(prefix: str, pid: int, exe: str, command: str, parent: str) -> dict[str, Value]:
    name = exe.rpartition("/")[2]
    parent_name = parent.rpartition("/")[2]
    return {
        f"{prefix}.uid": f"0b5c7e1d22aa-{pid}-{pid * 7}",
        f"{prefix}.pid": pid,
        f"{prefix}.name": name,
        f"{prefix}.file.path": exe,
        f"{prefix}.file.name": name,
        f"{prefix}.file.type_id": 1,
        f"{prefix}.cmd_line": command,
        f"{prefix}.working_directory": "/srv/app",
        f"{prefix}.user.name": "app",
        f"{prefix}.user.uid": "1000",
        f"{prefix}.auid": 1000,
        f"{prefix}.euid": 1000,
        f"{prefix}.session.uid": "12",
        f"{prefix}.parent_process.uid": "0b5c7e1d22aa-812-991",
        f"{prefix}.parent_process.pid": 812,
        f"{prefix}.parent_process.name": parent_name,
        f"{prefix}.parent_process.file.path": parent,
        f"{prefix}.parent_process.file.name": parent_name,
    }


def _common(at: int, serial: int, activity_id: int, code: str) -> dict[str, Value]:
    return {
        "time": at,
        "activity_id": activity_id,
        "severity_id": 1,
        "status_id": 1,
        "metadata.log_name": "auditd",
        "metadata.event_code": code,
        "unmapped.audit.serial": serial,
        "device.hostname": "host",
        "device.type_id": 1,
    }


def _syscall(rng: random.Random, number: str, pid: int, exe: str, key: str) -> wire.PlainRecord:
    head = ("c000003e", number, "yes", "0", *(f"{rng.getrandbits(47):x}" for _ in range(4)), "2", "812", str(pid))
    tail = ("1000", "1000", "(none)", "12", exe.rpartition("/")[2], exe, "unconfined", key)
    return wire.PlainRecord("SYSCALL", _SYSCALL, head + tail)


def _launch(rng: random.Random, at: int, pid: int, exe: str, command: str, parent: str) -> Event:
    arguments = command.split()
    execve = wire.PlainRecord(
        "EXECVE", ("argc", *(f"a{i}" for i in range(len(arguments)))), (str(len(arguments)), *arguments)
    )
    cwd = wire.PlainRecord("CWD", ("cwd",), ("/srv/app",))
    values = _common(at, pid, 1, "execve") | _process("process", pid, exe, command, parent)
    return Event(1007, values, (_syscall(rng, "59", pid, exe, "exec"), execve, cwd))


def _connect(rng: random.Random, at: int, pid: int, exe: str, command: str, parent: str) -> Event:
    values = _common(at, pid, 1, "connect") | _process("actor.process", pid, exe, command, parent)
    values |= {
        "dst_endpoint.ip": f"10.0.{rng.randrange(8)}.{rng.randrange(1, 255)}",
        "dst_endpoint.port": rng.choice((80, 443, 5432, 6379, 8080)),
        "connection_info.direction_id": 2,
    }
    sockaddr = wire.PlainRecord("SOCKADDR", ("saddr",), (f"0200{rng.getrandbits(48):012x}0000000000000000",))
    return Event(4001, values, (_syscall(rng, "42", pid, exe, "connect"), sockaddr))


def _write(rng: random.Random, at: int, pid: int, exe: str, command: str, parent: str) -> Event:
    name = f"release-{rng.randrange(400)}.json"
    values = _common(at, pid, 3, "openat") | _process("actor.process", pid, exe, command, parent)
    values |= {
        "file.path": f"/srv/app/releases/{name}",
        "file.name": name,
        "file.type_id": 1,
        "file.parent_folder": "/srv/app/releases",
    }
    path = wire.PlainRecord("PATH", ("item", "name", "nametype"), ("0", f"/srv/app/releases/{name}", "NORMAL"))
    return Event(1001, values, (_syscall(rng, "257", pid, exe, "watch"), path))


def now_ms() -> int:
    """Wall time."""
    return time.time_ns() // 1_000_000
