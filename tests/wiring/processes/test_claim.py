"""A server's claims: one per data folder, one per port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tocsin.config import load_settings
from tocsin.model.errors import BadInput, WrongState
from tocsin.wiring.processes.claim import as_served, claim_folder, claim_port, keep_address


def test_a_folder_has_one_holder_until_it_lets_go(tmp_path: Path) -> None:
    """The second is told which process holds the folder, and gets it afterwards."""
    with claim_folder(tmp_path), pytest.raises(WrongState, match=f"in use by process {os.getpid()}: stop it"):
        claim_folder(tmp_path)
    claim_folder(tmp_path).close()


def test_a_taken_port_is_refused_in_one_sentence() -> None:
    """The sentence names port, host and the option; once free the port is accepted."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=rf"^port {port} of 127.0.0.1 is taken; choose another with --port$"):
            claim_port("127.0.0.1", port)
    claim_port("127.0.0.1", port)


def test_an_address_of_another_host_is_refused() -> None:
    """What is not an address of this host is said to be the host's fault, not the port's."""
    with pytest.raises(BadInput, match=r"192.0.2.1 cannot be listened on: .*--host"):
        claim_port("192.0.2.1", 8321)


def test_commands_know_where_the_server_listens(tmp_path: Path) -> None:
    """What the server was told on its command line is read by commands that are not told."""
    keep_address(load_settings(data_dir=tmp_path, host="192.0.2.9", port=9000))
    assert as_served(load_settings(data_dir=tmp_path)).url == "https://192.0.2.9:9000"
