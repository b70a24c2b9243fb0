"""Containers by the cgroup that the sensor names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tocsin.agent.bpf.cgroups import MOUNTS, Cgroups

pytestmark = pytest.mark.root

CONTAINER = "ab" * 32
ENDED = 2**22 + 7  # above the largest process id that there can be


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of version 2 that is named as podman names those of its containers."""
    mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
    mount = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
    if mount is None:
        pytest.skip("cgroups of version 2 are not mounted")
    path = Path(mount, f"libpod-{CONTAINER}.scope")
    path.mkdir()
    yield path
    with suppress(OSError):
        path.rmdir()


def test_the_cgroup_of_a_process_that_has_ended_is_found_by_its_id(group: Path) -> None:
    """Nothing is left in /proc, yet the container is known."""
    found = Cgroups().container(group.stat().st_ino, ENDED, "process")
    assert found == {"process.container.uid": CONTAINER, "process.container.runtime": "podman"}


def test_a_cgroup_is_asked_for_once(group: Path) -> None:
    """What was found stays known when both process and cgroup are gone."""
    cgroups, number = Cgroups(), group.stat().st_ino
    sleeping = subprocess.Popen(["/bin/sleep", "60"])
    group.joinpath("cgroup.procs").write_text(str(sleeping.pid))
    found = cgroups.container(number, sleeping.pid, "actor.process")
    sleeping.kill()
    sleeping.wait()
    group.rmdir()
    assert found["actor.process.container.uid"] == CONTAINER
    assert cgroups.container(number, ENDED, "actor.process") == found


def test_a_cgroup_that_is_gone_is_none_and_not_remembered(group: Path) -> None:
    """An id that leads nowhere, of either version, gives no container; nor does a host without version 2."""
    number = group.stat().st_ino
    group.rmdir()
    cgroups = Cgroups()
    assert cgroups.container(number, ENDED, "process") == {}
    assert cgroups.container(number | 1 << 63, ENDED, "process") == {}
    assert Cgroups(Path("/dev/null")).container(number, ENDED, "process") == {}
