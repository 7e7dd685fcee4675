"""A certificate of our own, for nodes that nobody has given one.

Mail programs do not know who signed it and ask their user once; `fingerprint` is what to compare.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailferry.net.tls_context import CertificateUnusable, fingerprint

VALID_DAYS = 820  # Apple's programs take nothing that is valid for more than 825 days.
BACKDATED_DAYS = 1  # For mail programs whose clock is behind.
RENEW_BEFORE_DAYS = 30


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A certificate and its key, both in one file: they are renewed together or not at all."""

    file: Path
    fingerprint: str
    """SHA-256, 64 hexadecimal digits."""
    expires: dt.datetime


def own_certificate(directory: Path, names: Sequence[str], *, now: dt.datetime) -> OwnCertificate:
    """Return the node's own certificate, made or made anew where that is needed.

    It is `node.pem` (mode 600) in `directory`; made anew when it expires within RENEW_BEFORE_DAYS
    or lacks one of `names` (host names or addresses).  `now` is an aware time.

    Raises:
        CertificateUnusable: the file that is there cannot be read as a certificate; it is left alone.
        OSError: `directory` cannot be read or written.
    """
    file = directory / "node.pem"
    wanted = [_general(name) for name in names]
    if file.exists():
        kept = _load(file)
        renewal = kept.not_valid_after_utc - dt.timedelta(days=RENEW_BEFORE_DAYS)
        if now < renewal and set(wanted) <= set(_names(kept)):
            return _described(kept, file)
    key, made = _make(wanted, now)
    _write(file, key + made.public_bytes(serialization.Encoding.PEM))
    return _described(made, file)


def _make(names: Sequence[x509.GeneralName], now: dt.datetime) -> tuple[bytes, x509.Certificate]:
    """Return a new key in PEM form and a certificate that it signed for itself (RFC 5280)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailferry")])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=BACKDATED_DAYS))
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS - BACKDATED_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, certificate


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        return list(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return []


def _load(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as exc:
        raise CertificateUnusable(f"{file} holds no certificate in PEM form") from exc


def _described(certificate: x509.Certificate, file: Path) -> OwnCertificate:
    seen = fingerprint(certificate.public_bytes(serialization.Encoding.DER))
    return OwnCertificate(file, seen, certificate.not_valid_after_utc)


def _write(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
