"""What the sensors are to see: programs and connections of every odd kind. Run in a folder of its own, as root.

It says nothing and needs nothing; what cannot be done on a machine (IPv6, a cgroup) is left out by both sensors alike.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

AT_FDCWD = -100
LONG = "x" * 3000


def run(*arguments: str | bytes, **options: object) -> None:
    """Run a program, whatever comes of it."""
    with contextlib.suppress(OSError):
        subprocess.run(arguments, check=False, capture_output=True, **options)  # type: ignore[call-overload]


def programs(folder: Path) -> None:
    """Arguments that are odd, many or long; pipelines, scripts, links; short lives; other names and folders."""
    run("/bin/true")
    run("/bin/true", "a b", "", "tab\tnew\nline", 'quo"te', "ümlaut", b"\xff\xfe invalid", "-")
    run("/bin/true", *(str(number) for number in range(300)))
    run("/bin/true", LONG, LONG, LONG)
    run("/bin/sh", "-c", "echo one | cat | tr a b; (exec true); true & wait; /bin/echo two", cwd="/usr/lib")
    run("renamed", "argument", executable="/bin/true")
    run("", executable="/bin/true")
    run("/proc/self/exe", "-c", "pass", cwd="/proc/self")
    script = folder / "script with blank.sh"
    script.write_text("#!/bin/sh -e\n/bin/true from-script\n")
    script.chmod(0o755)
    run(str(script), "1")
    run("./script with blank.sh", "2", cwd=folder)
    link = folder / "link"
    link.symlink_to("/bin/true")
    run(str(link))
    for number in range(20):
        run("/bin/true", "short", str(number))
    nested = folder.joinpath(*(f"{number}-{'d' * 60}" for number in range(8)))
    nested.mkdir(parents=True)
    run("/bin/true", "deep", cwd=nested)
    gone = folder / "gone"
    gone.mkdir()
    run("/bin/sh", "-c", f"cd {gone}; rmdir {gone}; /bin/true nowhere")


def files_of_no_name(folder: Path) -> None:
    """Programs whose file is deleted, lies in memory, or is given by descriptor."""
    copy = folder / "copy"
    shutil.copy("/bin/sleep", copy)
    sleeping = subprocess.Popen([copy, "0.3"])
    copy.unlink()
    sleeping.wait()
    memory = os.memfd_create("in memory", 0)
    os.write(memory, Path("/bin/true").read_bytes())
    run(f"/proc/self/fd/{memory}", "memory", pass_fds=(memory,))
    child = os.fork()
    if child == 0:
        os.execve(memory, ["by descriptor"], {})  # noqa: S606 - no shell is wanted
    os.waitpid(child, 0)
    shell = str(shutil.copy("/bin/sh", folder / "deleting shell"))
    run(shell, "-c", 'rm "$0"; /bin/true; exec 3<>/dev/null', shell)


def refused(folder: Path) -> None:
    """Programs that may not be started, and those that are not there, which neither sensor tells of."""
    plain = folder / "not executable"
    plain.write_text("#!/bin/sh\n")
    plain.chmod(0o644)
    run(str(plain))
    run("./not executable", cwd=folder)
    run("../not executable", cwd=folder / "gone-not-there")
    run(str(folder))
    run("/does/not/exist")
    libc = ctypes.CDLL(None)
    argument = (ctypes.c_char_p * 2)(b"x", None)
    folder_descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    execveat = {"x86_64": 322, "aarch64": 281}[os.uname().machine]
    for at, name in (
        (folder_descriptor, b"not executable"),
        (AT_FDCWD, b"not executable"),
        (AT_FDCWD, str(plain).encode()),
    ):
        child = os.fork()
        if child == 0:
            libc.syscall(execveat, at, name, argument, argument, 0)
            os._exit(0)
        os.waitpid(child, 0)
    os.close(folder_descriptor)


def other_users(folder: Path) -> None:
    """A program that changes its user, and programs of another one."""
    for mode, group in ((0o4755, 0), (0o2755, 5)):
        changing = Path(shutil.copy("/bin/true", folder / f"set-{mode:o}"))
        os.chown(changing, 0, group)
        changing.chmod(mode)
        run(str(changing), user=65534, group=65534)
    run("/bin/true", "nobody", user=65534, group=65534)


def from_a_thread() -> None:
    """A thread that is not the first starts a program in the place of its process."""
    code = "import os,threading;threading.Thread(target=os.execv,args=('/bin/true',['true','thread'])).start()"
    run(sys.executable, "-S", "-c", code)


def terminal() -> None:
    """A program that has a terminal."""
    child, master = os.forkpty()
    if child == 0:
        os.execv("/bin/true", ["true", "terminal"])  # noqa: S606 - the same
    with contextlib.suppress(OSError):
        os.read(master, 1)
    os.waitpid(child, 0)
    os.close(master)


def connect(family: int, kind: int, address: object, *, waits: bool = True) -> None:
    """Connect to an address, whatever comes of it."""
    with contextlib.suppress(OSError), socket.socket(family, kind) as sock:
        sock.setblocking(waits)
        sock.settimeout(2 if waits else 0)
        sock.connect(address)  # type: ignore[arg-type]


def connections(folder: Path) -> None:
    """Connections that work, fail, are refused or under way, over every family; and those that are taken."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.suppress(OSError):
        port = server.getsockname()[1]
        for waits in (True, False):
            connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port), waits=waits)
            server.accept()[0].close()
        connect(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", port))  # noqa: S104 - a way to say localhost
        server.accept()[0].close()
    if socket.has_ipv6:
        with (
            contextlib.suppress(OSError),
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as six,
        ):
            port = six.getsockname()[1]
            connect(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port))
            six.accept()[0].close()
            connect(socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:127.0.0.1", port))
            six.accept()[0].close()
            connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
            six.accept()[0].close()
    connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1))
    connect(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 1))
    connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1), waits=False)
    connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53))
    connect(socket.AF_INET, socket.SOCK_DGRAM, ("255.255.255.255", 53))
    connect(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53))
    connect(socket.AF_INET6, socket.SOCK_DGRAM, ("2001:db8::1", 53))
    connect(socket.AF_INET6, socket.SOCK_STREAM, ("fe80::1%lo", 53))
    path = str(folder / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        connect(socket.AF_UNIX, socket.SOCK_STREAM, path)
    connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0nobody")
    short_addresses()


def short_addresses() -> None:
    """Addresses that are too short, of no family, or belong to a descriptor that is no socket."""
    libc = ctypes.CDLL(None)
    address = socket.AF_INET.to_bytes(2, "little") + (80).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for size in (16, 8, 4, 2, 0, 200):
            libc.connect(sock.fileno(), address, size)
        libc.connect(sock.fileno(), bytes(16), 16)  # AF_UNSPEC: an end to the connection
        libc.connect(sock.fileno(), None, 16)
        libc.bind(sock.fileno(), address, 16)
    libc.connect(-1, address, 16)
    libc.bind(-1, address, 16)
    libc.bind(sys.stdin.fileno(), address, 16)


def containers() -> None:
    """A program in a cgroup that is named as a container's is."""
    for hierarchy in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"):
        if not Path(hierarchy, "cgroup.procs").exists():
            continue
        group = Path(hierarchy, f"docker-{len(hierarchy):064x}.scope")
        group.mkdir()
        child = os.fork()
        if child == 0:
            group.joinpath("cgroup.procs").write_text(str(os.getpid()))
            os.execv("/bin/sleep", ["sleep", "0.2"])  # noqa: S606 - the same
        os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            group.rmdir()


def from_threads() -> None:
    """Connections of several threads at once belong to one process."""
    threads = [
        threading.Thread(target=connect, args=(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 1000 + number)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """All of it, as a login of its own, by which its events are known."""
    folder = Path(sys.argv[1])
    Path("/proc/self/loginuid").write_text(sys.argv[2])
    programs(folder)
    files_of_no_name(folder)
    refused(folder)
    other_users(folder)
    from_a_thread()
    terminal()
    connections(folder)
    containers()
    from_threads()


if __name__ == "__main__":
    main()
