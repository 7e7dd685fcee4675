"""Try an account's server once, from the name to the list of mailboxes, and tell what it can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mailferry.mail.errors import MailError, SourceUnavailable
from mailferry.net.tls_context import ClientContext
from mailferry.node.upstream import credential, imap_settings, trust
from mailferry.sources.imap.source import ImapSource
from mailferry.store.account_settings import AccountSettings
from mailferry.wire.sasl import Credential

CHECK_TIMEOUT_S: Final = 120.0  # For all of it: a person waits, perhaps on a satellite line.

# What decides how well the server suits a bad line, in words.
_ABILITIES: Final = (
    ("QRESYNC", "tells changes and removals since the last visit (QRESYNC)"),
    ("CONDSTORE", "tells changes since the last visit (CONDSTORE)"),
    ("IDLE", "tells of new mail at once (IDLE)"),
    ("UIDPLUS", "says where a copy or new message went (UIDPLUS)"),
    ("MOVE", "moves in one step (MOVE)"),
    ("LIST-STATUS", "tells the state of all mailboxes in one answer (LIST-STATUS)"),
    ("COMPRESS=DEFLATE", "compresses (COMPRESS=DEFLATE)"),
    ("SPECIAL-USE", "names its Sent, Drafts and Trash (SPECIAL-USE)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """What a server that accepted the login can do."""

    mailboxes: int
    messages: int
    abilities: tuple[str, ...]
    """In words, those that it has."""
    lacks: tuple[str, ...]
    """Those that it has not: things take more round trips then."""


async def check_server(
    settings: AccountSettings, secret: str, told: Callable[[str], None]
) -> ServerReport:
    """Connect, log in, list the mailboxes, log out; `told` hears each step before it is taken.

    Raises:
        AuthenticationFailed: the server refused the user information.
        SourceUnavailable: it cannot be reached, or did not answer in time.
        NotSupported, ProtocolFault: it can be reached, and it is no use.
    """
    login, trusted = credential(settings, secret), trust(settings)
    failure: MailError
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S), asyncio.TaskGroup() as tasks:
            try:
                return await _check(settings, login, trusted, tasks, told)
            except MailError as exc:
                failure = exc  # Raised below, out of the task group, which would wrap it.
    except TimeoutError:
        raise SourceUnavailable(f"{settings.host} was too slow to answer") from None
    raise failure


async def _check(
    settings: AccountSettings,
    login: Credential,
    trusted: ClientContext,
    tasks: asyncio.TaskGroup,
    told: Callable[[str], None],
) -> ServerReport:
    async def give_credential() -> Credential:
        return login

    source = ImapSource(imap_settings(settings), give_credential, trusted, tasks)
    try:
        told(f"Logging in at {settings.host} as {settings.user}")
        await source.check_login()
        told("Asking for the mailboxes")
        found = await source.mailboxes()
        capabilities = source.capabilities
    finally:
        told("Saying goodbye")
        await source.aclose()
    statuses = [mailbox.status for mailbox in found if mailbox.status is not None]
    return ServerReport(
        mailboxes=len(found),
        messages=sum(status.messages for status in statuses),
        abilities=tuple(words for name, words in _ABILITIES if name in capabilities),
        lacks=tuple(words for name, words in _ABILITIES if name not in capabilities),
    )
