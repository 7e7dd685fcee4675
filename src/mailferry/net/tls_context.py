"""Whom a client trusts, and what a server shows: contexts for net/tls.py."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLSession  # The field `ssl` below hides the module.

FINGERPRINT_DIGITS = 64  # SHA-256 in hexadecimal.


class CertificateUnusable(ValueError):
    """A certificate, key or CA file cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What a client accepts as its server."""

    ssl: ssl.SSLContext
    pinned: str | None = None
    """The fingerprint of the one certificate that is accepted; authorities then do not matter."""
    sessions: dict[str, SSLSession] = field(default_factory=dict, compare=False, repr=False)
    """The last session with each server name, to be resumed: without the certificates, a handshake is
    2 kB instead of 5.  As few as the servers that this context is used for; kept in memory only."""


def client_context(
    *, ca_file: Path | None = None, pinned_fingerprint: str | None = None
) -> ClientContext:
    """Return what to accept: the system's authorities, those of `ca_file`, or one certificate.

    A pinned certificate is taken whatever names or dates are in it.  Loading the system's
    authorities takes some milliseconds: make one context and keep it.

    Raises:
        CertificateUnusable: `ca_file` holds no certificates, or the fingerprint is none.
        OSError: `ca_file` cannot be read.
    """
    pinned = None
    if pinned_fingerprint is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # client_tls checks the fingerprint instead.
        pinned = _canonical(pinned_fingerprint)
    else:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except ssl.SSLError as exc:
            raise CertificateUnusable(f"{ca_file} holds no CA certificates in PEM form") from exc
    _strengthen(context)
    return ClientContext(context, pinned)


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return a context that shows this certificate (chain) to clients.

    Raises:
        CertificateUnusable: one of the files is no PEM, or the key does not belong to the certificate.
        OSError: a file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An encrypted key would otherwise ask for its password at the terminal.
        context.load_cert_chain(certificate_file, key_file, password=_no_password)
    except ssl.SSLError as exc:
        reason = (
            "they do not belong together"
            if exc.reason == "KEY_VALUES_MISMATCH"
            else "one is no PEM file, or the key is encrypted"
        )
        raise CertificateUnusable(
            f"cannot use certificate {certificate_file} with key {key_file}: {reason}"
        ) from exc
    _strengthen(context)
    return context


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate in DER form: 64 lower-case digits."""
    return hashlib.sha256(der).hexdigest()


def _canonical(text: str) -> str:
    """Accept a fingerprint as programs print it: "SHA256 Fingerprint=AB:CD:..." or bare."""
    digits = re.sub(r"[:\s]", "", text.rpartition("=")[2]).lower()
    if not re.fullmatch(rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}", digits):
        raise CertificateUnusable(f"not a SHA-256 fingerprint: {text!r}")
    return digits


def _strengthen(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Renegotiation would let a peer make us do public-key work over and over (TLS 1.2 only).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _no_password() -> str:
    return ""
