"""The packaged agent on a booted Debian 12: its own kernel, systemd as PID 1, AppArmor, the hardened unit.

Takes minutes a machine, since by default all of it is computed in software.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tocsin.testing import Installation, free_port, installed
from vm.machine import HOST, ROOT, Kept, Machine, make_image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("TOCSIN_TEST_VM"), reason="boots machines: set TOCSIN_TEST_VM=1"),
]


class Site:
    """A server on this host and the package, for machines that reach it at the address that they have for it."""

    def __init__(self, server: Installation, folder: Path) -> None:
        self.server, self._folder = server, folder
        (self.package,) = (ROOT / "build" / "packages").glob("*.deb")

    def boot(self, script: str, memory_mb: int = 1024) -> Kept:
        """Run a guest's script with a token of its own; it must have come to its end."""
        made = json.loads(self.server.tocsin("agent", "token", "--json").stdout)
        setting = f"SERVER={made['server']}\nTOKEN={made['token']}\n"
        given: dict[str, str | Path] = {
            "tocsin-agent.deb": self.package,
            "later.deb": self._later(),
            "setting.sh": setting,
        }
        kept = Machine(self._folder / f"{script}-{memory_mb}", memory_mb).run(script, given, timeout_s=1200)
        assert kept["code"].strip() == "0", kept.why
        return kept

    def events(self, where: str) -> list[dict[str, Any]]:
        """What the server has of it."""
        found = self.server.tocsin("search", where, "--last", "1h", "--limit", "10000", "--json")
        return [json.loads(line) for line in found.stdout.splitlines()]

    def _later(self) -> Path:
        """The same package under a higher version."""
        target = self._folder / "later.deb"
        if not target.exists():
            unpacked = self._folder / "later"
            subprocess.run(["dpkg-deb", "-R", self.package, unpacked], check=True)
            control = unpacked / "DEBIAN" / "control"
            control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0", control.read_text()))
            subprocess.run(["dpkg-deb", "-Znone", "-b", unpacked, target], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(unpacked)
        return target


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over TLS, and the machine's image."""
    port, folder = free_port(), tmp_path_factory.mktemp("site")
    make_image()
    settings = f'public_url = "https://{HOST}:{port}"\n'
    with installed(folder, "--no-agent", "--host", "0.0.0.0", "--port", str(port), settings=settings) as server:  # noqa: S104 - the machine comes from outside
        yield Site(server, folder)


@pytest.fixture(scope="module")
def watched(site: Site) -> Kept:
    """A machine that was watched, stopped and purged."""
    return site.boot("watch.sh")


def test_every_module_works_under_the_hardened_unit(watched: Kept) -> None:
    """Audit, files, names and the rest are well, and nothing was lost."""
    status = json.loads(watched["status-busy.json"])
    assert {name for name, module in status["modules"].items() if not module["healthy"]} == set()
    lost = ("kernel_lost", "serial_gaps", "unreadable", "files_overflow", "spool_overflow", "refused")
    assert {name: status["counters"][name] for name in lost if status["counters"][name]} == {}


@pytest.mark.parametrize(
    "where",
    [
        "metadata.event_code = 'KERN_MODULE' OR kernel.name = 'dummy'",
        "metadata.event_code = 'AVC' OR metadata.event_code LIKE 'APPARMOR%'",
        "process.name = 'modprobe' AND process.uid IS NOT NULL",
        "metadata.event_code = 'USER_LOGIN'",
        "file.path = '/etc/cron.d/deed'",
    ],
)
def test_what_only_a_booted_machine_does_arrives(watched: Kept, site: Site, where: str) -> None:
    """Modules, AppArmor's denials, logins and watched files are on the server."""
    assert watched["records"]
    assert site.events(where), where


def test_stopping_gives_the_audit_back_and_purging_leaves_nothing(watched: Kept) -> None:
    """Settings and rules are as before the agent, no file and no unit is left."""
    before = json.loads(watched["audit-before"])
    assert json.loads(watched["audit-stopped"]) == before
    assert json.loads(watched["audit-purged"]) == before
    assert watched["left-behind"].split() == []


def test_an_upgrade_keeps_identity_and_events(site: Site) -> None:
    """The newer package runs as the same agent with the host's settings, and every numbered action arrives."""
    kept = site.boot("upgrade.sh")
    assert kept["agent-before.json"] == kept["agent-after.json"]
    assert kept["pid-before"] != kept["pid-after"]
    assert kept["version"].split() == ["tocsin-agent", "99.0"]
    told = " ".join(
        str(event["process"].get("cmd_line")) for event in site.events("process.cmd_line LIKE '%numbered-%'")
    )
    arrived = {int(number) for number in re.findall(r"numbered-(\d+)", told)}
    assert set(range(1, int(kept["numbered"]) + 1)) - arrived == set()


def test_beside_auditd_and_locked(site: Site) -> None:
    """The agent listens beside auditd, which keeps the audit and its rules, and goes on when the audit is locked."""
    kept = site.boot("beside.sh")
    beside, locked = (json.loads(kept[f"status-{name}.json"]) for name in ("beside", "locked"))
    assert "listening beside process" in beside["modules"]["audit"]["reason"]
    assert kept["auditd"].strip() == "active"
    assert "of-auditd" in kept["rules-beside"]
    assert "enabled 2" in kept["audit-locked"]
    assert "locked until the next boot" in kept["doctor-locked"]
    assert locked["modules"]["audit"]["healthy"]
    for marker in ("beside-auditd", "beside-locked"):
        assert site.events(f"process.cmd_line LIKE '%{marker}%'"), marker
