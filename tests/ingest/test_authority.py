"""The certificates that the server makes, judged by OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509

from tocsin.ingest.authority import ensure_certificate, own_addresses


def test_openssl_accepts_the_chain_by_the_letter_of_the_standard(tmp_path: Path) -> None:
    """Authority and certificate carry what RFC 5280 asks for."""
    chain, _key, _pem = ensure_certificate(tmp_path, ["192.0.2.7", "siem.example.org"])
    strict = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(tmp_path / "ca.pem")]
    for name in (["-verify_ip", "192.0.2.7"], ["-verify_hostname", "siem.example.org"]):
        done = subprocess.run([*strict, *name, str(chain)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_certificate_is_kept_while_it_says_enough(tmp_path: Path) -> None:
    """A name more makes a new one, a name less does not, and the authority stays in either case."""
    chain, _key, ca = ensure_certificate(tmp_path, ["192.0.2.7"])
    first = chain.read_bytes()
    assert ensure_certificate(tmp_path, [])[2] == ca
    assert chain.read_bytes() == first
    assert ensure_certificate(tmp_path, ["192.0.2.8"])[2] == ca
    assert x509.load_pem_x509_certificate(chain.read_bytes()) != x509.load_pem_x509_certificate(first)


def test_own_addresses_hold_loopback() -> None:
    """Every Linux host has 127.0.0.1."""
    assert "127.0.0.1" in own_addresses()
