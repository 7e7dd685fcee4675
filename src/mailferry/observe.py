"""What the program says of itself: loggers, and transcripts in three steps.

The lowest layer; imports nothing of mailferry.  Transcripts of wire protocols are loggers of their
own: `mailferry.trace` (commands and replies, credentials and message content left out),
`mailferry.traceauth` (with credentials) and `mailferry.tracedata` (with content).
"""

from __future__ import annotations

import logging

TRACE = logging.getLogger("mailferry.trace")
TRACE_AUTH = logging.getLogger("mailferry.traceauth")
TRACE_DATA = logging.getLogger("mailferry.tracedata")


def logger(name: str) -> logging.Logger:
    """Return the logger of a module: `observe.logger(__name__)`."""
    return logging.getLogger(name)
