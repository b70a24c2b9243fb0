"""Things that a host does, really done on this one, and what the kernel's audit says of them.

Each runs as a program of its own, in a login session of its own: by the session's number its records are told from
everybody else's. `python tests/kernel_activity.py` makes `golden/auditd/kinds-*.log` again, on this kernel.
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kernel_audit import kernel_audit_alone
from tocsin.agent.audit.netlink import Record
from tocsin.agent.audit.rule_set import BASE_RULES, read_rules
from tocsin.agent.audit.session import AuditSession, Limits
from tocsin.normalize.auditd.tables import record_type

__all__ = ["ACTIVITIES", "Kind", "lines", "perform", "received", "recording", "session_records"]

GOLDEN = Path(__file__).parent / "golden" / "auditd"
PYTHON = "/usr/bin/python3"
USER = 65534
EOE = 1320
Kind = tuple[int, int, str]
"""Class, activity and event code of what an activity must become."""

# Each begins by logging in: the kernel gives a new session number, which it prints first of all.
_LOGIN = f"""
import ctypes, os, socket, struct, sys
open("/proc/self/loginuid", "w").write("{USER}")
print(open("/proc/self/sessionid").read(), flush=True)
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
def wait(pid):
    if pid:
        os.waitpid(pid, 0)
    return pid
"""
_CHILD_EXITS = "    os._exit(0)"
# System calls by number, as this library of Python's version has no names for them: x86_64.
ACTIVITIES: dict[str, tuple[str, Kind]] = {
    "exec": ('wait(os.posix_spawn("/bin/true", ["true", "an argument"], {}))', (1007, 1, "execve")),
    "denied": (
        (
            'os.chmod(t := sys.argv[1] + "/no", 0o644) if open(t := sys.argv[1] + "/no", "w") else 0\n'
            'if not wait(os.fork()):\n    try: os.execv(t, ["no"])\n    except OSError: os._exit(0)'
        ),
        (1007, 1, "execve"),
    ),
    "memfd": (
        (
            'fd = os.memfd_create("loader")\nos.write(fd, open("/bin/true", "rb").read())\n'
            'wait(os.fork()) or os.execve(fd, ["true"], {})'
        ),
        (1004, 1, "memfd_create"),
    ),
    "memfd-exec": (
        (
            'fd = os.memfd_create("loader")\nos.write(fd, open("/bin/true", "rb").read())\n'
            'wait(os.fork()) or os.execve(fd, ["true"], {})'
        ),
        (1007, 1, "execveat"),
    ),
    "deleted": (
        (
            't = sys.argv[1] + "/gone"\nopen(t, "wb").write(open("/bin/true", "rb").read())\nos.chmod(t, 0o755)\n'
            'fd = os.open(t, os.O_RDONLY)\nos.unlink(t)\nwait(os.fork()) or os.execve(fd, ["gone"], {})'
        ),
        (1007, 1, "execveat"),
    ),
    "setuid": (
        (
            't = sys.argv[1] + "/su"\nopen(t, "wb").write(open("/bin/true", "rb").read())\nos.chown(t, 1, 1)\n'
            'os.chmod(t, 0o4755)\nwait(os.fork()) or os.execv(t, ["su"])'
        ),
        (1001, 6, "chmod"),
    ),
    "connect": ('s = socket.socket()\ns.connect_ex(("127.0.0.1", 9))', (4001, 5, "connect")),
    "bind": ('s = socket.socket()\ns.bind(("127.0.0.1", 0))', (4001, 7, "bind")),
    "listen": ('s = socket.socket()\ns.bind(("127.0.0.1", 0))\ns.listen()', (0, 99, "listen")),
    "accept": (
        's = socket.create_server(("127.0.0.1", 0))\nc = socket.create_connection(s.getsockname())\ns.accept()',
        (4001, 1, "accept4"),
    ),
    "packet": ("socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)", (4001, 99, "socket")),
    "setuid-root": ("os.setresuid(-1, 1, 0)\nos.setresuid(-1, 0, -1)", (1007, 5, "setresuid")),
    "capset": (
        (
            'h = struct.pack("Ii", 0x20080522, 0)\nd = ctypes.create_string_buffer(24)\n'
            "libc.capget(h, d)\nlibc.capset(h, d)"
        ),
        (1007, 99, "capset"),
    ),
    "unshare": ("libc.unshare(0x04000000)", (1007, 99, "unshare")),
    "setns": ('fd = os.open("/proc/self/ns/uts", os.O_RDONLY)\nlibc.setns(fd, 0)', (1007, 99, "setns")),
    "clone": (
        "pid = call(56, 0x04000011, 0, 0, 0, 0)\nif pid == 0:\n" + _CHILD_EXITS + "\nwait(pid)",
        (1007, 99, "clone"),
    ),
    "mount": (
        (
            'libc.unshare(0x00020000)\nlibc.mount(b"none", b"/", None, 0x44000, None)\n'
            'libc.mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, None)'
        ),
        (1001, 12, "mount"),
    ),
    "umount": (
        (
            'libc.unshare(0x00020000)\nlibc.mount(b"none", b"/", None, 0x44000, None)\n'
            'libc.mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, None)\nlibc.umount2(sys.argv[1].encode(), 2)'
        ),
        (1001, 13, "umount2"),
    ),
    "chroot": ("os.chroot(sys.argv[1])", (1007, 99, "chroot")),
    "ptrace": (
        (
            "pid = os.fork()\nif pid == 0:\n    import time; time.sleep(9)\n"
            "libc.ptrace(16, pid, None, None)\nos.waitpid(pid, 0)\nos.kill(pid, 9)"
        ),
        (1007, 4, "ptrace"),
    ),
    "process-vm": (
        (
            'b = ctypes.create_string_buffer(8)\nv = struct.pack("PQ", ctypes.addressof(b), 8)\n'
            "pid = os.fork()\nif pid == 0:\n    import time; time.sleep(9)\n"
            "libc.process_vm_readv(pid, v, 1, v, 1, 0)\nos.kill(pid, 9)"
        ),
        (1004, 7, "process_vm_readv"),
    ),
    "bpf": (
        (
            'i = struct.pack("<BBHi", 0xb7, 0, 0, 0) + struct.pack("<BBHi", 0x95, 0, 0, 0)\n'
            'b, l = ctypes.create_string_buffer(i), ctypes.create_string_buffer(b"GPL")\n'
            'a = struct.pack("IIQQ", 1, 2, ctypes.addressof(b), ctypes.addressof(l)).ljust(120, b"\\0")\n'
            "assert call(321, 5, a, 120) > 0"
        ),
        (1007, 99, "bpf"),
    ),
    "io-uring": ("p = ctypes.create_string_buffer(120)\nassert call(425, 4, p) > 0", (1007, 99, "io_uring_setup")),
    "module": ('libc.syscall(175, b"x", 1, b"")', (1002, 1, "init_module")),
    "login": ("", (3002, 1, "LOGIN")),
    "account": (
        (
            'import subprocess\nsubprocess.run(["/usr/sbin/useradd", "-M", "tocsin-kind"], check=True)\n'
            'subprocess.run(["/usr/sbin/userdel", "tocsin-kind"], check=True, stderr=subprocess.DEVNULL)'
        ),
        (3001, 1, "ADD_USER"),
    ),
    "group": (
        (
            'import subprocess\nsubprocess.run(["/usr/sbin/groupadd", "tocsin-kind"], check=True)\n'
            'subprocess.run(["/usr/sbin/groupdel", "tocsin-kind"], check=True)'
        ),
        (3006, 6, "ADD_GROUP"),
    ),
    "su": (
        'import subprocess\nsubprocess.run(["/bin/su", "-c", "true", "daemon", "-s", "/bin/sh"], check=True)',
        (3002, 7, "USER_START"),
    ),
}


def perform(activity: str, folder: Path) -> str:
    """Do it; gives the number of the session that it was done in."""
    source = _LOGIN + ACTIVITIES[activity][0]
    command = [PYTHON, "-I", "-c", source, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


@contextlib.contextmanager
def recording(state: Path) -> Iterator[AuditSession]:
    """The kernel's audit with the agent's own rules."""
    session = AuditSession.start(state, Limits())
    try:
        session.load(read_rules([BASE_RULES], ["/root"]).rules)
        assert session.refused == []
        yield session
    finally:
        session.stop()


def received(session: AuditSession, within_s: float = 1.0) -> list[Record]:
    """What the kernel has told, and tells within that time."""
    records: list[Record] = []
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        records += session.receiver.receive(0.1)
    return records


def session_records(records: list[Record], numbers: set[str]) -> list[Record]:
    """All records of the events of these login sessions, in their order."""
    ours = {number for number in numbers if number}
    serials = {
        _serial(text) for _, text in records if any(f" ses={number} ".encode() in text + b" " for number in ours)
    }
    return [(kind, text) for kind, text in records if _serial(text) in serials and kind != EOE]


def lines(records: list[Record]) -> list[str]:
    """Records as auditd writes them."""
    return [f"type={record_type(kind)} msg={text.decode().rstrip(chr(0)).rstrip()}" for kind, text in records]


def _serial(text: bytes) -> bytes:
    return text.partition(b")")[0].rpartition(b":")[2]


def main() -> int:
    """Write the golden log anew."""
    records: list[Record] = []
    numbers = set()
    with kernel_audit_alone(), tempfile.TemporaryDirectory(prefix="tocsin-kinds-") as folder:
        Path(folder).chmod(0o755)
        with recording(Path(folder)) as session:
            for activity in ACTIVITIES:
                place = Path(folder) / activity
                place.mkdir()
                numbers.add(perform(activity, place))
                records += session.receiver.drain()
            records += received(session)
    written = lines(session_records(records, numbers))
    name = f"kinds-{'.'.join(platform.release().split('.')[:2])}.log"
    text = "\n".join(written).replace(folder, "/tmp/kinds")  # noqa: S108 - a name in a text
    (GOLDEN / name).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
