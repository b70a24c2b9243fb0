"""The eBPF sensor by itself, and the agent with it, on the real kernel."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tocsin.agent.bpf.loading import load
from tocsin.agent.bpf.sensor import MOST_PER_READ, BpfSensor, Unavailable, open_sensor
from tocsin.agent.config import EbpfSettings
from tocsin.agent.host.processes import BOOT_ID
from tocsin.agent.operate.health import Health
from tocsin.model.errors import InvalidSetting, NotAvailable
from tocsin.model.event import Event

pytestmark = pytest.mark.root

BOOT = BOOT_ID.read_text().strip()
LEAST = 1 << 16
SCRIPT = "import sys; from tocsin.agent.bpf.loading import load; from tocsin.agent.config import EbpfSettings\n"


def _all(sensor: BpfSensor) -> list[Event]:
    events: list[Event] = []
    while found := sensor.read(0):
        events += found
    return events


def _connect(port: int, times: int) -> None:
    for _ in range(times):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))


def test_what_finds_no_room_is_counted_by_class() -> None:
    """Of 2,000 connections into a small buffer that nobody reads, each is read afterwards or counted as lost."""
    sensor = BpfSensor.start(EbpfSettings(enabled=True, ring_bytes=LEAST), BOOT)
    try:
        _connect(45_611, 2_000)
        lost = sensor.losses()
        kept = [event for event in _all(sensor) if event.values.get("dst_endpoint.port") == 45_611]
        assert 0 < len(kept) < 1_000
        # Programs of others may have taken room, and their connections may be among the lost.
        assert 2_000 <= len(kept) + lost["ebpf_network_lost"] <= 2_100
        assert sensor.losses() == {}
        _connect(45_612, 3)
        assert [e.values["dst_endpoint.port"] for e in _all(sensor) if e.values.get("dst_endpoint.port") == 45_612] == [
            45_612
        ] * 3
    finally:
        sensor.close()


def test_records_that_run_over_the_end_of_the_buffer_are_whole() -> None:
    """Many times the buffer's size, read in between: nothing is lost, and every argument is as it was given."""
    sensor = BpfSensor.start(EbpfSettings(enabled=True, ring_bytes=LEAST), BOOT)
    try:
        seen = []
        for number in range(200):
            subprocess.run(["/bin/true", f"ring-{number}", "y" * 2000], check=True)
            seen += [str(event.values.get("process.cmd_line")) for event in sensor.read(0)]
        wanted = [f"/bin/true ring-{number} {'y' * 2000}" for number in range(200)]
        assert [line for line in seen if line.startswith("/bin/true ring-")] == wanted
        assert sensor.losses() == {}
        assert MOST_PER_READ > 0
    finally:
        sensor.close()


def test_arguments_beyond_the_bound_are_cut_and_it_is_said() -> None:
    """What is longer than 16 KiB arrives cut there, marked; what is just as long arrives whole."""
    sensor = BpfSensor.start(EbpfSettings(enabled=True), BOOT)
    try:
        fitting = 16_384 - len("/bin/true") - 2
        for length in (fitting, fitting + 1):
            subprocess.run(["/bin/true", "z" * length], check=True)
        events = [event for event in _all(sensor) if str(event.values.get("process.cmd_line")).endswith("zzzz")]
        assert [len(str(event.values["process.cmd_line"])) for event in events] == [16_383, 16_384]
        assert ["unmapped.truncated" in event.values for event in events] == [False, True]
    finally:
        sensor.close()


def test_ends_are_told_with_their_code_or_signal() -> None:
    """With `exits`, a process's end says its code or the signal that ended it, under the identity of its start."""
    sensor = BpfSensor.start(EbpfSettings(enabled=True, exits=True), BOOT)
    try:
        leaving = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
        leaving.wait()
        killed = subprocess.Popen(["/bin/sleep", "60"])
        killed.kill()
        killed.wait()
        events = _all(sensor)
    finally:
        sensor.close()
    for process, code, exit_code in ((leaving, "exit_group", 7), (killed, "SIGKILL", 137)):
        began, ended = (event.values for event in events if event.values.get("process.pid") == process.pid)
        assert (ended["activity_id"], ended["metadata.event_code"], ended["exit_code"]) == (2, code, exit_code)
        assert began["process.uid"] == ended["process.uid"]
        assert began["process.file.path"] == ended["process.file.path"]


def test_an_address_that_is_changed_during_the_call_deceives_nobody() -> None:
    """A thread rewrites the port all the time; each event has the port that the socket was connected to."""
    libc = ctypes.CDLL(None)
    address = ctypes.create_string_buffer(b"\x02\x00\xb2A\x7f\x00\x00\x01" + bytes(8), 16)
    stopping = threading.Event()

    def rewrite() -> None:
        while not stopping.is_set():
            for port in (b"A", b"B"):
                address[3] = port

    sensor = BpfSensor.start(EbpfSettings(enabled=True), BOOT)
    rewriting = threading.Thread(target=rewrite)
    rewriting.start()
    try:
        connected = []
        for _ in range(2_500):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                libc.connect(sock.fileno(), address, 16)
                connected.append(sock.getpeername()[1])
        told = [event.values.get("dst_endpoint.port") for event in _all(sensor)]
    finally:
        stopping.set()
        rewriting.join()
        sensor.close()
    assert len(set(connected)) == 2
    assert [port for port in told if port in {0xB241, 0xB242}] == connected


def test_why_it_cannot_run_is_said(tmp_path: Path) -> None:
    """Missing types, a missing or broken object: each is named, and nothing is left in the kernel."""
    settings = EbpfSettings(enabled=True)
    with pytest.raises(NotAvailable, match="CONFIG_DEBUG_INFO_BTF"):
        load(settings, kernel_types=tmp_path / "vmlinux")
    with pytest.raises(NotAvailable, match="make ebpf"):
        load(settings, path=tmp_path / "none.o")
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF" + bytes(100))
    with pytest.raises(NotAvailable, match="cannot be opened as a BPF object"):
        load(settings, path=broken)
    for size in (1000, 0, 100_000):
        with pytest.raises(InvalidSetting, match=r"ebpf\.ring_bytes"):
            load(EbpfSettings(enabled=True, ring_bytes=size))


def test_without_the_capability_it_says_so() -> None:
    """Root without CAP_BPF and CAP_SYS_ADMIN gets the reason, not a traceback."""
    code = f"{SCRIPT}try: load(EbpfSettings(enabled=True))\nexcept Exception as error: print(error)"
    dropped = "-bpf,-sys_admin,-perfmon"
    done = subprocess.run(
        ["setpriv", f"--bounding-set={dropped}", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "CAP_BPF" in done.stdout
    assert done.stderr == ""


def test_where_it_cannot_run_its_place_says_why() -> None:
    """The stand-in is ill in `status` and sees and loses nothing."""
    health = Health("test")
    stand_in = Unavailable("no such thing here")
    stand_in.tick(0, health)
    module = health.snapshot().modules["ebpf"]
    assert (module.healthy, module.reason) == (False, "no such thing here; the kernel's audit is used instead")
    assert (stand_in.read(0), stand_in.losses(), stand_in.descriptors()) == ((), {}, ())


def test_nothing_is_left_in_the_kernel() -> None:
    """After `close` no program of the sensor is loaded, and no descriptor of it is open."""
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        sensor = open_sensor(EbpfSettings(enabled=True), BOOT)
        assert isinstance(sensor, BpfSensor)
        sensor.close()
    assert set(Path("/proc/self/fd").iterdir()) == before
