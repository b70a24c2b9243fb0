"""What one server claims before it starts: its data folder and its port; and where it said that it is reached."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import TextIO

from tocsin.config import Settings
from tocsin.model.errors import BadInput, OutOfSpace, WrongState

__all__ = ["INSTANCE", "INSTANCE_HEADER", "as_served", "claim_folder", "claim_port", "keep_address", "make_folder"]

INSTANCE = "TOCSIN_INSTANCE"  # variable with which a supervisor knows its own server from another on the port
INSTANCE_HEADER = "Tocsin-Instance"
_FREED_S = 5.0  # the parts of a server whose supervisor was killed need so long to end
_ADDRESS_FILE = "server.json"
_ADDRESS = ("host", "port", "public_url")


def make_folder(data_dir: Path) -> None:
    """The data folder, readable by its owner alone.

    Raises:
        OutOfSpace: it cannot be made.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutOfSpace(f"{data_dir} cannot be made: {error.strerror}") from error


def claim_folder(data_dir: Path) -> TextIO:
    """Hold the data folder for as long as the answer is open.

    Raises:
        WrongState: another `tocsin up` holds it; names its process.
    """
    make_folder(data_dir)
    file = (data_dir / "tocsin.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        pid = file.read().strip()
        file.close()
        raise WrongState(f"{data_dir} is in use by process {pid}: stop it first, or choose another folder") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def claim_port(host: str, port: int) -> None:
    """Return when the port can be listened on.

    Raises:
        BadInput: somebody else listens there, or this host has no such address.
    """
    deadline = time.monotonic() + _FREED_S
    while (problem := _listen(host, port)) is not None:
        if problem.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
            raise BadInput(_refusal(host, port, problem)) from problem
        time.sleep(0.1)


def _listen(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        return error
    return None


def _refusal(host: str, port: int, problem: OSError) -> str:
    if isinstance(problem, PermissionError):
        return f"port {port} of {host} may not be listened on; choose another with --port"
    if isinstance(problem, socket.gaierror) or problem.errno != errno.EADDRINUSE:
        return f"{host} cannot be listened on: {problem.strerror}; choose another with --host"
    return f"port {port} of {host} is taken; choose another with --port"


def keep_address(settings: Settings) -> None:
    """Keep where this server listens, for commands that are not told."""
    address = {name: getattr(settings, name) for name in _ADDRESS}
    part = settings.data_dir / f"{_ADDRESS_FILE}.part"
    part.write_text(json.dumps(address))
    part.replace(settings.data_dir / _ADDRESS_FILE)


def as_served(settings: Settings) -> Settings:
    """The settings with the address that the server of this data folder was last told to listen on."""
    try:
        kept = json.loads((settings.data_dir / _ADDRESS_FILE).read_text())
    except (OSError, ValueError):
        return settings  # never served, or not by this host: what is configured is all there is
    return settings.model_copy(update={name: kept[name] for name in _ADDRESS if name in kept})
