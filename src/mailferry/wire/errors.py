"""The only two errors that a wire format raises."""

from __future__ import annotations


class RemoteProtocolError(Exception):
    """The other end said something that its protocol does not allow."""


class LocalProtocolError(Exception):
    """We were about to do something that the protocol does not allow: a fault of ours."""
