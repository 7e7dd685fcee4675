"""What a client is told when something goes wrong: MailError classes in IMAP's words (RFC 5530 §3).

The texts are for people and generic: what exactly happened is in the log.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mailferry.mail.errors import (
    AuthenticationFailed,
    CannotCalculateChanges,
    MailboxExists,
    MailboxHasChildren,
    MailboxNameInvalid,
    MailboxNotFound,
    MailError,
    MessageNotFound,
    MessageTooLarge,
    NotPermitted,
    NotSupported,
    OverQuota,
    ProtocolFault,
    SectionNotFound,
    SourceUnavailable,
    StorageDamaged,
    StorageFull,
)


class Refusal(NamedTuple):
    """A response code, without brackets, and a text."""

    code: bytes
    text: bytes


REFUSALS: Final[dict[type[MailError], Refusal]] = {
    SourceUnavailable: Refusal(
        b"UNAVAILABLE", b"The mail server cannot be reached; try again later"
    ),
    # Not AUTHENTICATIONFAILED: the client's own login was right, and it must not ask for a new password.
    AuthenticationFailed: Refusal(
        b"CONTACTADMIN", b"The mail server refuses the account's password"
    ),
    ProtocolFault: Refusal(b"UNAVAILABLE", b"The mail server gave a wrong answer; try again later"),
    MailboxNotFound: Refusal(b"NONEXISTENT", b"There is no such mailbox"),
    MailboxExists: Refusal(b"ALREADYEXISTS", b"There is a mailbox of that name already"),
    MailboxNameInvalid: Refusal(b"CANNOT", b"A mailbox cannot have that name"),
    MailboxHasChildren: Refusal(b"HASCHILDREN", b"There are mailboxes below it"),  # RFC 9051 §7.1.
    MessageNotFound: Refusal(b"EXPUNGEISSUED", b"A message has been removed meanwhile"),
    SectionNotFound: Refusal(b"NONEXISTENT", b"The message has no such section"),
    CannotCalculateChanges: Refusal(b"SERVERBUG", b"The mailbox's state has been lost"),
    OverQuota: Refusal(b"OVERQUOTA", b"The mailbox is full"),
    MessageTooLarge: Refusal(b"TOOBIG", b"The message is too large"),  # RFC 4469 §5, RFC 7889 §4.
    NotPermitted: Refusal(b"NOPERM", b"The mail server does not permit this"),
    NotSupported: Refusal(b"CANNOT", b"The mail server cannot do this"),
    StorageFull: Refusal(b"UNAVAILABLE", b"The disk is full; free some space and try again later"),
    StorageDamaged: Refusal(b"CORRUPTION", b"A file on the disk is damaged"),
}

_UNKNOWN: Final = Refusal(b"SERVERBUG", b"Something went wrong; the log says what")
"""For an error that should not have come this far."""


def refusal(error: MailError) -> Refusal:
    """Return what to tell a client of this error."""
    return REFUSALS.get(type(error), _UNKNOWN)
