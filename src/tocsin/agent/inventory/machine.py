"""The machine itself: hardware, addresses, and what its cloud says of it."""

from __future__ import annotations

import os
import platform
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.inventory.cloud import cloud_values
from tocsin.agent.inventory.item import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.model.event import Value

__all__ = ["machine"]

INTERFACES: Final = Path("/sys/class/net")
DMI: Final = Path("/sys/class/dmi/id")
CONNECTED_BY: Final = ("192.0.2.1", 9)  # documentation's address: nothing is sent to find the way to it


def machine() -> Iterator[Item]:
    """One item."""
    interfaces = [{"name": name, "mac": _line(INTERFACES / name / "address")} for name in _interfaces()]
    values: dict[str, Value] = {
        "device.ip": _address(),
        "device.vendor_name": _line(DMI / "sys_vendor"),
        "device.model": _line(DMI / "product_name"),
        "device.hw_info.cpu_architecture": platform.machine(),
        "device.hw_info.cpu_count": os.cpu_count() or 0,
        "device.hw_info.ram_size": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        "device.boot_time": _boot_time_ms(),
        "device.network_interfaces": msgspec.json.encode(interfaces).decode(),
    }
    known = {path: value for path, value in (values | cloud_values()).items() if value != ""}
    yield Item("machine", "machine", known)


def _interfaces() -> list[str]:
    return sorted(path.name for path in INTERFACES.iterdir()) if INTERFACES.is_dir() else []


def _address() -> str:
    """The address that the machine would use for the way out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(CONNECTED_BY)
            return str(sock.getsockname()[0])
        except OSError:
            return ""


def _boot_time_ms() -> int:
    """To the second: the two clocks drift, and the item would change."""
    return round((time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9) * 1000


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "backslashreplace").strip()
    except OSError:
        return ""
