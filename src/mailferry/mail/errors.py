"""What can go wrong with mail, in words that every layer shares.

An error says what happened and whether trying again later can help (`temporary`).  It knows
nothing of any wire protocol: each face owns the table that turns these classes into its own
replies, each source owns the one that turns its server's replies into these classes.
"""

from __future__ import annotations

from typing import ClassVar


class MailError(Exception):
    """The common base; never raised itself."""

    temporary: ClassVar[bool] = False
    """True when the same request may succeed later without anybody changing anything."""


class SourceUnavailable(MailError):
    """The other end cannot be reached, or did not answer in time.  Nothing was consumed."""

    temporary = True


class AuthenticationFailed(MailError):
    """The other end refused the user information.  Trying again with the same will not help."""


class ProtocolFault(MailError):
    """The other end said something that its protocol does not allow; the session was closed."""

    temporary = True


class MailboxNotFound(MailError):
    """There is no such mailbox (any more)."""


class MailboxExists(MailError):
    """There is a mailbox of that name already."""


class MailboxNameInvalid(MailError):
    """A mailbox of that name cannot exist here."""


class MailboxHasChildren(MailError):
    """The mailbox cannot be deleted while there are mailboxes below it."""


class MessageNotFound(MailError):
    """There is no such message in that mailbox (any more)."""


class SectionNotFound(MailError):
    """The message has no such body section."""


class CannotCalculateChanges(MailError):
    """The given state is unknown or too old; ask again with None (RFC 8620 §5.2)."""


class OverQuota(MailError):
    """The mailbox or account is full."""


class MessageTooLarge(MailError):
    """The message is larger than a named limit allows."""


class NotPermitted(MailError):
    """The other end does not allow this operation on this mailbox or message."""


class NotSupported(MailError):
    """The other end cannot do this at all."""


class StorageFull(MailError):
    """The local disk is full: free some space; nothing that was answered is lost."""

    temporary = True


class StorageDamaged(MailError):
    """A local file is damaged; the text names the file and the command that mends it."""
