"""The agent's packages: what they hold, what they ask of a host, and that they run where there is no Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

ROOT: Final = Path(__file__).parents[2]
C_LIBRARY: Final = (2, 28)
MAX_INSTALLED_BYTES: Final = 100 << 20
EVERY_MODULE: Final = """
import sys, pkgutil, importlib
sys.path.insert(0, "/opt/tocsin-agent/lib")
import tocsin.agent
names = [module.name for module in pkgutil.walk_packages(tocsin.agent.__path__, "tocsin.agent.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder with the deb and the rpm, made by the script that releases use."""
    folder = ROOT / "build" / "packages"
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run([ROOT / "packaging" / "build.sh", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def unpacked(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the deb puts on a host."""
    folder = tmp_path_factory.mktemp("unpacked")
    (deb,) = packages.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def bare_host(unpacked: Path) -> Path:
    """A root folder with the package, a shell and a C library, and nothing else."""
    wanted = ["/bin/sh", "/usr/bin/env"]
    said = _said("ldd", *wanted, unpacked / "opt/tocsin-agent/python/bin/python3.11")
    libraries = {word for word in said.split() if word.startswith("/lib")}
    dynamic = [f"/lib/{os.uname().machine}-linux-gnu/lib{name}" for name in ("gcc_s.so.1", "rt.so.1", "resolv.so.2")]
    for path in (*wanted, *libraries, *dynamic):
        target = unpacked / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name in ("proc", "etc", "tmp"):
        (unpacked / name).mkdir(exist_ok=True)
    (unpacked / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    return unpacked


def _said(*command: str | Path) -> str:
    """What a command that must succeed prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _needed_c_library(file: Path) -> tuple[int, ...]:
    """The newest version of the C library that an executable or a shared object asks for; (0,) if it is neither."""
    with file.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return (0,)
        sections = ELFFile(stream).iter_sections()
        needs = [section for section in sections if isinstance(section, GNUVerNeedSection)]
        names = [aux.name for section in needs for _, auxiliaries in section.iter_versions() for aux in auxiliaries]
    found = [re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", name) for name in names]
    return max(((int(match[1]), int(match[2])) for match in found if match), default=(0,))


def test_runs_from_an_old_c_library_on(unpacked: Path) -> None:
    """No file of the package asks for a C library younger than the one that is promised, and some ask for one."""
    files = [path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
    needed = {path: _needed_c_library(path) for path in files}
    assert sum(version > (0,) for version in needed.values()) > 20
    assert {str(path): version for path, version in needed.items() if version > C_LIBRARY} == {}


def test_runs_where_there_is_no_python(bare_host: Path) -> None:
    """With nothing but a C library and a shell, the agent loads all it may need and examines itself."""
    agent = ["chroot", os.fspath(bare_host), "/usr/bin/tocsin-agent"]
    shown = _said(*agent, "--help")
    assert "collect and ship until stopped" in shown
    examined = subprocess.run([*agent, "doctor", "--json"], capture_output=True, text=True, check=False)
    assert examined.stderr == ""
    assert "no agent is enrolled" in examined.stdout
    python = ["chroot", os.fspath(bare_host), "/opt/tocsin-agent/python/bin/python3.11", "-I", "-c"]
    assert int(_said(*python, EVERY_MODULE)) > 40


def test_is_small(unpacked: Path) -> None:
    """What is installed stays below the size that the documentation names."""
    sizes = [path.stat().st_size for path in unpacked.rglob("opt/**/*") if path.is_file() and not path.is_symlink()]
    assert 0 < sum(sizes) < MAX_INSTALLED_BYTES


def test_deb_and_rpm_hold_the_same(packages: Path, unpacked: Path) -> None:
    """Both packages carry the same program, unit, settings and scripts."""
    (rpm,) = packages.glob("*.rpm")
    (deb,) = packages.glob("*.deb")
    raw = rpm.read_bytes()
    for text in (b"tocsin-agent.service", b"agent.toml", b"systemctl"):
        assert text in raw
    held = _said("dpkg-deb", "-c", deb)
    for path in ("./usr/lib/systemd/system/tocsin-agent.service", "./etc/tocsin/agent.toml", "./usr/bin/tocsin-agent"):
        assert path in held
    assert (unpacked / "opt/tocsin-agent/lib/tocsin/agent/main.py").is_file()
    assert not list(unpacked.rglob("tocsin/detect"))


def test_the_unit_is_hardened() -> None:
    """The unit's exposure as systemd itself judges it stays at the documented score or below."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit = ROOT / "packaging" / "tocsin-agent.service"
    judged = _said("systemd-analyze", "--offline=yes", "security", "--no-pager", unit)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged)
    assert score is not None
    assert float(score[1]) <= 3.9
