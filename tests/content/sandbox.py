"""A throw-away machine to let things happen on: a Debian folder under a writable layer that vanishes afterwards.

Its processes have their own mounts, network, host name and process ids. The kernel is the real one, and so is its
audit; addresses outside are dummies on the loopback interface.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["HOSTNAME", "SCRIPT", "Sandbox", "private_mounts", "sandbox"]

HOSTNAME: Final = "web-1"
SCRIPT: Final = "session.sh"
CLONE_NEWNS: Final = 0x00020000
# Copied, as what overlayfs does below a file that is changed would show in its audit records.
COPIED: Final = ("etc", "home", "root", "srv", "usr/lib/systemd", "var/log", "var/spool", "var/www")
# The cloud's metadata service and one beside it; the host and a neighbour; strangers.
ADDRESSES: Final = ("169.254.169.254", "169.254.169.253", "10.0.0.5", "10.0.0.20", "203.0.113.10", "198.51.100.23")
OWN_PIDS: Final = ["--pid", "--fork", "--kill-child"]
BEFORE: Final = f"""
mount -t proc proc /proc
hostname {HOSTNAME}; echo "127.0.1.1 {HOSTNAME}" >> /etc/hosts
ip link set lo up
for address in {" ".join(ADDRESSES)}; do ip address add $address/32 dev lo; done
"""


class Sandbox:
    """A machine's root folder, ready for processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self, script: str, before: str = "", *, own_pids: bool = True) -> subprocess.Popen[bytes]:
        """Run `before`, then `script` by `bash session.sh` in root's home; all processes end with it.

        The audit configuration can only be changed from the first process id namespace: `own_pids=False`.
        """
        (self.root / "root" / SCRIPT).write_text(script)
        setup = f"set -e\n{BEFORE}\ncd /root\n(\n:\n{before}\n) > /dev/null 2>&1\nexec bash {SCRIPT}\n"
        kinds = ["--mount", "--net", "--uts"] + (OWN_PIDS if own_pids else [])
        return _start(["unshare", *kinds, f"--root={self.root}", "/bin/sh", "-c", setup])

    def visit(self, host: subprocess.Popen[bytes], script: str) -> subprocess.Popen[bytes]:
        """Run a script on this sandbox but in the network of another one; ending it ends all its processes."""
        inside = _first_child(host.pid)
        network = ["nsenter", f"--target={inside}", "--net"]
        visitor = ["unshare", "--mount", *OWN_PIDS, f"--root={self.root}", "/bin/bash", "-c", script]
        return _start([*network, *visitor])

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This process sees the sandbox's files, as audit rules name them."""
        folder = Path.cwd()
        outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.chroot(self.root)
            yield
        finally:
            os.fchdir(outside)
            os.chroot(".")
            os.chdir(folder)
            os.close(outside)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _first_child(pid: int) -> int:
    """The process inside a sandbox that `unshare` has started; it comes a moment later."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found := children.read_text().split()):
        time.sleep(0.01)
    return int(found[0])


def private_mounts() -> None:
    """Give this process its own mounts, so that nothing of a sandbox is seen or left outside."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    _run("mount --make-rprivate /")


@contextlib.contextmanager
def sandbox(image: Path) -> Iterator[Sandbox]:
    """A fresh machine made of the image, removed with everything that happened on it."""
    with tempfile.TemporaryDirectory() as name:
        layer = Path(name)
        _run(f"mount -t tmpfs tmpfs {shlex.quote(name)}")
        try:
            for folder in ("upper", "work", "root"):
                (layer / folder).mkdir()
            options = f"lowerdir={image.resolve()},upperdir={layer}/upper,workdir={layer}/work"
            _run(f"mount -t overlay overlay -o {shlex.quote(options)} {layer}/root")
            for folder in COPIED:
                _run(f"mount -t tmpfs tmpfs {layer}/root/{folder}")
                _run(f"cp -a {image}/{folder}/. {layer}/root/{folder}")
            for folder in ("tmp", "var/tmp", "dev/shm"):
                (layer / "root" / folder).mkdir(exist_ok=True)
                _run(f"mount -t tmpfs -o mode=1777 tmpfs {layer}/root/{folder}")
            yield Sandbox(layer / "root")
        finally:
            _run(f"umount -l {shlex.quote(name)}")


def _run(command: str) -> None:
    subprocess.run(shlex.split(command), check=True)
