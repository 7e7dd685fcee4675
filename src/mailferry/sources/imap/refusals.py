"""What a server's refusal means: response codes (RFC 5530) into errors and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailferry.mail.errors import (
    AuthenticationFailed,
    MailboxExists,
    MailboxHasChildren,
    MailboxNameInvalid,
    MailboxNotFound,
    MailError,
    MessageTooLarge,
    NotPermitted,
    NotSupported,
    OverQuota,
    SourceUnavailable,
)
from mailferry.mail.operation import OutcomeUnknown, Refused, Untried
from mailferry.sources.imap.exchange import Interrupted
from mailferry.wire.imap.responses import Status

WORDS_LENGTH_MAX = 500  # Characters of a server's explanation that are shown to people.

_ERRORS: Final[Mapping[str, type[MailError]]] = {
    "NONEXISTENT": MailboxNotFound,
    "TRYCREATE": MailboxNotFound,
    "ALREADYEXISTS": MailboxExists,
    "HASCHILDREN": MailboxHasChildren,
    "CANNOT": MailboxNameInvalid,
    "OVERQUOTA": OverQuota,
    "TOOBIG": MessageTooLarge,
    "NOPERM": NotPermitted,
    "READ-ONLY": NotPermitted,
    "BADCHARSET": NotSupported,
    "AUTHENTICATIONFAILED": AuthenticationFailed,
    "AUTHORIZATIONFAILED": AuthenticationFailed,
    "EXPIRED": AuthenticationFailed,
    "PRIVACYREQUIRED": AuthenticationFailed,
    "UNAVAILABLE": SourceUnavailable,
    "INUSE": SourceUnavailable,
    "SERVERBUG": SourceUnavailable,
}
# Dovecot says SERVERBUG for what passes, a full disk for instance.
TEMPORARY_CODES: Final = frozenset({"UNAVAILABLE", "INUSE", "SERVERBUG"})


def error_of(status: Status, default: type[MailError] = NotPermitted) -> MailError:
    """Return the error that a NO or BAD means; `default` where its code says nothing."""
    return _ERRORS.get(status.code_name, default)(words_of(status))


def code_of(error: MailError) -> str:
    """Return the response code that says the same as an error, "" where there is none."""
    if isinstance(error, AuthenticationFailed):
        return "AUTHENTICATIONFAILED"
    return next((code for code, kind in _ERRORS.items() if isinstance(error, kind)), "")


def words_of(status: Status) -> str:
    """Return the server's own words, on one line."""
    words = "".join(c if c.isprintable() else " " for c in status.text[:WORDS_LENGTH_MAX])
    return words.strip() or f"the server said {status.kind.value} and no more"


def refused(status: Status) -> Refused | Untried:
    """Return the outcome that a NO or BAD to an operation means."""
    if status.code_name in TEMPORARY_CODES:
        return Untried(reason=words_of(status))
    return Refused(reason=words_of(status), code=status.code_name)


def interrupted(error: SourceUnavailable) -> OutcomeUnknown | Untried:
    """Return the outcome of an operation whose answer did not come."""
    if isinstance(error, Interrupted) and error.sent:
        return OutcomeUnknown(reason=str(error))
    return Untried(reason=str(error))
