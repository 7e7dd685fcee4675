"""The certificate that mail programs see: the operator's, or one that mailferry made itself."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mailferry.config import Config, ImapListener
from mailferry.net.certificate import own_certificate
from mailferry.net.tls_context import CertificateUnusable, fingerprint, server_context
from mailferry.node.directory import DataDirectory

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - addresses that are no names


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """A certificate ready for use."""

    context: ssl.SSLContext
    fingerprint: str
    """SHA-256, 64 hexadecimal digits: what mail programs show in their warning."""
    expires: datetime
    own: bool
    """Made by mailferry: mail programs ask their user once whether it is right."""


def served_certificate(config: Config, directory: DataDirectory) -> ServedCertificate:
    """Load the certificate of the settings, or make (or keep) one in the data directory.

    Raises:
        CertificateUnusable: a file is no certificate or key, or they do not belong together.
        OSError: a file cannot be read or written.
    """
    given, key = config.tls.certificate_file, config.tls.key_file
    if given is not None and key is not None:
        loaded = _load(given)
        return ServedCertificate(
            context=server_context(given, key),
            fingerprint=fingerprint(loaded.public_bytes(serialization.Encoding.DER)),
            expires=loaded.not_valid_after_utc,
            own=False,
        )
    made = own_certificate(directory.path, _names(config.imap), now=datetime.now(UTC))
    return ServedCertificate(
        context=server_context(made.file, made.file),
        fingerprint=made.fingerprint,
        expires=made.expires,
        own=True,
    )


def _names(listeners: Sequence[ImapListener]) -> list[str]:
    """Return the names that mail programs on this machine and by the listeners' addresses use.

    The host name is left out: it changes on boats and laptops, and each change would be a new
    certificate and a new warning.
    """
    hosts = [one.host for one in listeners if one.host not in _EVERYWHERE]
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", *hosts]))


def _load(certificate: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError as exc:
        raise CertificateUnusable(f"{certificate} is no certificate in PEM form") from exc
