"""A Debian of its own under qemu: its kernel and systemd, changes forgotten, driven by a script that it is given.

The machine reads a tar of the script and its files from its second disk, runs the script, and writes what that leaves
in /srv/kept as a tar to its third. It reaches this host's loopback at 10.0.2.2, and nothing else.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["HOST", "IMAGE", "Kept", "Machine", "make_image"]

ROOT: Final = Path(__file__).parents[2]
IMAGE: Final = ROOT / "build" / "vm"
GUEST: Final = Path(__file__).parent / "guest"
HOST: Final = "10.0.2.2"
KEPT_BYTES: Final = 64 << 20
# By default all in software, as many machines that tests run on are virtual and their KVM emulates too little.
_PROCESSOR: Final = ["-enable-kvm", "-cpu", "host"] if os.environ.get("TOCSIN_TEST_KVM") else ["-cpu", "Nehalem"]


@dataclass(frozen=True)
class Kept:
    """What a script left: its output, and the files that it put into /srv/kept."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    @property
    def why(self) -> str:
        """The last that was heard, for who asks why something is missing."""
        return "\n".join(f"== {name}\n{self[name][-3000:]}" for name in ("said", "console"))


def make_image() -> Path:
    """The folder with kernel and disk, made by the script if it is not there."""
    subprocess.run([Path(__file__).parent / "image.sh", IMAGE], check=True)
    return IMAGE


@dataclass(frozen=True)
class Machine:
    """One boot of the image."""

    folder: Path
    memory_mb: int = 1024
    kernel_options: str = ""

    def run(self, script: str, given: Mapping[str, str | Path], timeout_s: float = 300) -> Kept:
        """Boot, run `guest/SCRIPT` beside the given files and the rest of that folder, and wait for the end.

        Raises:
            TimeoutExpired: the machine did not switch itself off.
        """
        self.folder.mkdir(parents=True)
        files = {path.name: path for path in GUEST.iterdir()} | dict(given) | {"run.sh": GUEST / script}
        _write_tar(self.folder / "given.tar", files)
        out = self.folder / "kept.tar"
        out.touch()
        os.truncate(out, KEPT_BYTES)
        kept = Kept(self.folder / "kept")
        kept.folder.mkdir()
        with (kept.folder / "console").open("wb") as console:
            command = self._command()
            subprocess.run(command, stdout=console, stderr=subprocess.STDOUT, check=True, timeout=timeout_s)
        with tarfile.open(out) as tar:
            tar.extractall(kept.folder, filter="data")
        return kept

    def _command(self) -> list[str]:
        options = f"root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off {self.kernel_options}"
        return [
            *("qemu-system-x86_64", *_PROCESSOR, "-m", str(self.memory_mb), "-smp", "1"),
            *("-nographic", "-no-reboot", "-kernel", str(IMAGE / "vmlinuz"), "-initrd", str(IMAGE / "initrd")),
            *("-append", options, "-nic", "user,model=virtio-net-pci"),
            *("-drive", f"file={IMAGE / 'disk.img'},if=virtio,format=raw,snapshot=on"),
            *("-drive", f"file={self.folder / 'given.tar'},if=virtio,format=raw"),
            *("-drive", f"file={self.folder / 'kept.tar'},if=virtio,format=raw"),
        ]


def _write_tar(target: Path, files: Mapping[str, str | Path]) -> None:
    with tarfile.open(target, "w") as tar:
        for name, content in files.items():
            raw = content.read_bytes() if isinstance(content, Path) else content.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(raw), 0o755
            tar.addfile(entry, io.BytesIO(raw))
