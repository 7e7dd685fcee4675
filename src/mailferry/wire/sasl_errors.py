"""What can go wrong in a SASL exchange (RFC 4422)."""

from __future__ import annotations

from typing import Final

MESSAGE_LENGTH_MAX: Final = 16 * 1024  # Octets; access tokens are the longest, seen up to 4 kB.


class SaslError(Exception):
    """The common base; never raised itself."""


class SaslFault(SaslError):
    """The other side's message is not what the mechanism allows."""


class SaslRejected(SaslError):
    """The other side did not prove who it is."""
