"""The server's own certificate authority, made at the first start, for agents that come over the network."""

from __future__ import annotations

import datetime as dt
import fcntl
import ipaddress
import os
import socket
import struct
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["authority", "ensure_certificate", "fingerprint", "own_addresses"]

_SIOCGIFADDR, _IFREQ_BYTES, _ADDRESS_AT = 0x8915, 256, 20
_LINK_LOCAL = "fe80"
_CA_YEARS, _SERVER_DAYS, _RENEW_DAYS = 10, 397, 30


def ensure_certificate(folder: Path, names: list[str]) -> tuple[Path, Path, str]:
    """The server's certificate chain and key for these names, and the authority's PEM; made or renewed as needed.

    Keys are readable by the owner alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, ca = authority(folder)
    chain, key = folder / "server.pem", folder / "server.key"
    wanted = sorted({*names, "localhost", "127.0.0.1", socket.gethostname()})
    if not _still_good(chain, wanted):
        _issue(chain, key, wanted, ca_key, ca)
    return chain, key, ca.public_bytes(serialization.Encoding.PEM).decode()


def own_addresses() -> list[str]:
    """The addresses of this host's interfaces, without those that only mean something on one link."""
    found = [_address_of(name) for _index, name in socket.if_nameindex()]
    return sorted({address for address in (*found, *_ipv6_addresses()) if address})


def _address_of(interface: str) -> str:
    request = struct.pack(f"{_IFREQ_BYTES}s", interface.encode())
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
    except OSError:
        return ""  # an interface without an IPv4 address
    return socket.inet_ntoa(answer[_ADDRESS_AT : _ADDRESS_AT + 4])


def _ipv6_addresses() -> list[str]:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []  # a kernel without IPv6
    return [str(ipaddress.IPv6Address(int(line[:32], 16))) for line in lines if not line.startswith(_LINK_LOCAL)]


def fingerprint(folder: Path) -> str:
    """SHA-256 of the authority's certificate in hex, by which a host knows it before it trusts it; empty if none."""
    file = folder / "ca.pem"
    return x509.load_pem_x509_certificate(file.read_bytes()).fingerprint(hashes.SHA256()).hex() if file.exists() else ""


def authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The authority's key and certificate, made if there are none."""
    key_file, ca_file = folder / "ca.key", folder / "ca.pem"
    if ca_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} is not the key that Tocsin made")
        return key, x509.load_pem_x509_certificate(ca_file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Tocsin CA of {socket.gethostname()}"[:64])])
    builder = _builder(name, name, key.public_key(), dt.timedelta(days=365 * _CA_YEARS))
    ca = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_private(key_file, key)
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return key, ca


def _issue(
    chain: Path, key_file: Path, names: list[str], ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = _builder(subject, ca.subject, key.public_key(), dt.timedelta(days=_SERVER_DAYS))
    certificate = (
        builder.add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_private(key_file, key)
    pem = serialization.Encoding.PEM
    chain.write_bytes(certificate.public_bytes(pem) + ca.public_bytes(pem))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _still_good(chain: Path, names: list[str]) -> bool:
    if not chain.exists():
        return False
    certificate = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return left > dt.timedelta(days=_RENEW_DAYS) and set(alternatives) >= {_general_name(n) for n in names}


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
