"""From an account's settings to what `sources/imap` wants to know."""

from __future__ import annotations

from typing import Final

from mailferry.mail.errors import NotSupported
from mailferry.net.tls_context import CertificateUnusable, ClientContext, client_context
from mailferry.sources.imap.settings import ImapSettings, Security
from mailferry.store.account_settings import AccountSettings, Mechanism, ServerSecurity
from mailferry.wire.sasl import AccessToken, Credential, Password

_SECURITY: Final = {
    ServerSecurity.TLS: Security.TLS,
    ServerSecurity.STARTTLS: Security.STARTTLS,
    ServerSecurity.PLAIN: Security.PLAIN,
}


def imap_settings(settings: AccountSettings) -> ImapSettings:
    """Return how the server is reached."""
    chosen = settings.mechanism
    return ImapSettings(
        host=settings.host,
        port=settings.port,
        security=_SECURITY[settings.security],
        mechanisms=None if chosen is Mechanism.AUTO else frozenset({chosen.value.upper()}),
        poll_interval_s=settings.poll_interval_s,
    )


def trust(settings: AccountSettings) -> ClientContext:
    """Return whom to take for the server.

    Raises:
        NotSupported: the CA file cannot be used; the text says why.
    """
    try:
        return client_context(
            ca_file=settings.ca_file, pinned_fingerprint=settings.certificate_sha256
        )
    except CertificateUnusable as exc:
        raise NotSupported(str(exc)) from exc
    except OSError as exc:
        raise NotSupported(f"{settings.ca_file} cannot be read: {exc.strerror}") from exc


def credential(settings: AccountSettings, secret: str) -> Credential:
    """Return what to log in with."""
    if settings.mechanism.takes_token:
        return AccessToken(settings.user, secret)
    return Password(settings.user, secret)
