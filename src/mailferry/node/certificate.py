"""The node's own certificate: made on first start, when the settings name none.

Mail programs show a warning once and then remember it, so it is made to last: a new one would be a
new warning on every device.  Its fingerprint is shown by `run`, `status` and `account add`.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailferry.net.tls_context import fingerprint

# Apple's systems refuse certificates issued after 2019 that are valid for more than 825 days, even
# when the user trusts them by hand.
VALID_FOR: Final = timedelta(days=825)
BACKDATED_BY: Final = timedelta(days=2)  # A device whose clock is behind still takes it.


def ensure_certificate(certificate: Path, key: Path, hosts: Sequence[str]) -> None:
    """Make a self-signed certificate for this machine unless there is one that is still valid.

    `hosts` are the addresses listened on.  Both files are replaced together, key first: a crash in
    between leaves a pair that does not fit, which the next start replaces.
    """
    if _is_usable(certificate, key):
        return
    private_key = ec.generate_private_key(ec.SECP256R1())
    signed = _self_signed(private_key, _names(hosts))
    _replace(
        key,
        private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    _replace(certificate, signed.public_bytes(serialization.Encoding.PEM))


def certificate_fingerprint(certificate: Path) -> str:
    """Return the SHA-256 of the first certificate in the file: 64 hexadecimal digits.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    return fingerprint(loaded.public_bytes(serialization.Encoding.DER))


def _is_usable(certificate: Path, key: Path) -> bool:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=lambda: "")
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return False
    return loaded.not_valid_after_utc > datetime.now(UTC)


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: dict[str, x509.GeneralName] = {}
    for host in ("localhost", "127.0.0.1", "::1", socket.gethostname(), *hosts):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if host.isascii() and host:
                names[host] = x509.DNSName(host)
        else:
            if not address.is_unspecified:
                names[host] = x509.IPAddress(address)
    return list(names.values())


def _self_signed(
    private_key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailferry")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED_BY)
        .not_valid_after(now - BACKDATED_BY + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private_key, hashes.SHA256())
    )


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
