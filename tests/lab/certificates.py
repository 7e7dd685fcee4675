"""One throw-away certificate authority per test run, and a server certificate of it."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1", "::1")


@functools.cache
def authority() -> trustme.CA:
    """Return the authority that all servers of the laboratory are certified by."""
    return trustme.CA(organization_name="mailferry laboratory")


@functools.cache
def server_certificate() -> trustme.LeafCert:
    """Return a certificate for this machine."""
    return authority().issue_cert(*NAMES)


def write(directory: Path) -> tuple[Path, Path, Path]:
    """Write CA, server certificate and key as PEM files; return their paths in this order."""
    directory.mkdir(parents=True, exist_ok=True)
    ca, certificate, key = (directory / n for n in ("ca.pem", "server.pem", "server.key"))
    authority().cert_pem.write_to_path(ca)
    leaf = server_certificate()
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    return ca, certificate, key


def trusting_context() -> ssl.SSLContext:
    """Return a client's context that trusts the laboratory and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context
