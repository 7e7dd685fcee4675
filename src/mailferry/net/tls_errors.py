"""What can go wrong with TLS, in plain words that say what to do."""

from __future__ import annotations

import enum
import ssl
from collections.abc import Mapping
from typing import Final


class TlsFault(enum.Enum):
    """Kinds of failure that somebody has to act on differently."""

    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    HOSTNAME = "hostname"
    FINGERPRINT = "fingerprint"
    REFUSED = "refused"
    """The other side does not accept our certificate."""
    VERSION = "version"
    NOT_TLS = "not tls"
    CLEAR_TEXT = "clear text"
    INTERRUPTED = "interrupted"
    OTHER = "other"


_WORDS: Final[Mapping[TlsFault, tuple[str, str]]] = {
    TlsFault.UNTRUSTED: (
        "the certificate of {name} was not issued by an authority known here",
        (
            "If the server belongs to you or your organisation, name its CA file or its certificate's "
            "fingerprint in the account's settings; otherwise somebody may be in between."
        ),
    ),
    TlsFault.EXPIRED: (
        "the certificate of {name} has expired",
        "Check this machine's clock; if it is right, whoever runs the server has to renew it.",
    ),
    TlsFault.NOT_YET_VALID: (
        "the certificate of {name} is not valid yet",
        "This machine's clock is probably behind: set it.",
    ),
    TlsFault.HOSTNAME: (
        "the certificate that was shown is not for {name}",
        "Use the server's name as its operator gives it, not an address or an alias.",
    ),
    TlsFault.FINGERPRINT: (
        "the certificate of {name} is not the one whose fingerprint was given",
        (
            "If the server's operator says that it was renewed, give the new fingerprint; otherwise "
            "somebody may be in between."
        ),
    ),
    TlsFault.REFUSED: (
        "{name} does not accept the certificate that it was shown",
        "The mail program has to be told once to trust the certificate of this node.",
    ),
    TlsFault.VERSION: (
        "{name} offers no version of TLS that is still safe (1.2 or later)",
        "The software at the other side has to be updated.",
    ),
    TlsFault.NOT_TLS: (
        "{name} does not speak TLS there",
        "Probably the port is one for STARTTLS or for plain text: check port and kind of encryption.",
    ),
    TlsFault.CLEAR_TEXT: (
        "{name} carried something in the clear that came before encryption could begin",
        "Somebody in between may be slipping in commands; use implicit TLS, or another network.",
    ),
    TlsFault.INTERRUPTED: (
        "{name} closed the connection while encryption was being set up",
        "Try again; if it stays so, check the port and the kind of encryption.",
    ),
    TlsFault.OTHER: ("encryption with {name} failed", "Try again; if it stays so, report it."),
}
_TEMPORARY: Final = frozenset({TlsFault.INTERRUPTED, TlsFault.OTHER})

# X509_verify_cert(3ossl) gives these numbers.
_BY_VERIFY_CODE: Final[Mapping[int, TlsFault]] = {
    9: TlsFault.NOT_YET_VALID,
    10: TlsFault.EXPIRED,
    62: TlsFault.HOSTNAME,
    64: TlsFault.HOSTNAME,  # The address of one.
}
_BY_REASON: Final[Mapping[str, TlsFault]] = {
    "HTTP_REQUEST": TlsFault.NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": TlsFault.NOT_TLS,
    "RECORD_LAYER_FAILURE": TlsFault.NOT_TLS,
    "UNEXPECTED_MESSAGE": TlsFault.NOT_TLS,
    "WRONG_VERSION_NUMBER": TlsFault.NOT_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": TlsFault.VERSION,
    "UNSUPPORTED_PROTOCOL": TlsFault.VERSION,
    "VERSION_TOO_LOW": TlsFault.VERSION,
    "WRONG_SSL_VERSION": TlsFault.VERSION,
    "SSLV3_ALERT_BAD_CERTIFICATE": TlsFault.REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": TlsFault.REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": TlsFault.REFUSED,
    "TLSV1_ALERT_UNKNOWN_CA": TlsFault.REFUSED,
}


class TlsError(ConnectionError):
    """TLS could not be set up, or broke.

    `fault` is the kind, `what` one sentence on what happened, `advice` one on what to do; str() has both.
    """

    def __init__(self, fault: TlsFault, name: str, detail: str = "") -> None:
        """Describe `fault` of the other side called `name`; `detail` is added in brackets."""
        what, self.advice = _WORDS[fault]
        self.fault = fault
        self.what = what.format(name=name) + (f" ({detail})" if detail else "")
        super().__init__(f"{self.what}. {self.advice}")

    @property
    def temporary(self) -> bool:
        """Whether trying again may help without anybody changing anything."""
        return self.fault in _TEMPORARY


def explain(error: ssl.SSLError, name: str) -> TlsError:
    """Put an error of the ssl module, met with the other side called `name`, into plain words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        fault = _BY_VERIFY_CODE.get(error.verify_code, TlsFault.UNTRUSTED)
        return TlsError(fault, name, error.verify_message)
    reason = error.reason or ""
    return TlsError(_BY_REASON.get(reason, TlsFault.OTHER), name, reason.lower().replace("_", " "))
