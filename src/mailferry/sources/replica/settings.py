"""What an account's owner, or a test, may choose about a replica."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BodyPolicy(Enum):
    """Which bodies are fetched ahead of time; the others come when they are asked for."""

    LIST = "list"
    NEW = "new"
    """Those of messages that arrive after the first sync."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """Choices, each with its default."""

    bodies: BodyPolicy = BodyPolicy.NEW
    body_length_max: int | None = 10 * 1024 * 1024
    """Octets: larger bodies are not fetched ahead of time.  None: no limit."""
    stored_octets_max: int | None = None
    """Octets of all bodies on the disk: past it the ones unused for longest go.  None: no limit."""
    upload_length_max: int = 256 * 1024 * 1024
    """Octets of one message that is appended."""
    poll_interval_s: float = 300.0
    """Between looks at the server when nobody asks and nothing is pushed."""
    refresh_timeout_s: float = 5.0
    """How long a mail program that asks for news is kept waiting for them."""
    retry_delay_s: float = 1.0
    """Before the first try after a failure; then twice as long each time..."""
    retry_delay_max_s: float = 60.0
    """...up to this."""
    no_room_delay_s: float = 5.0
    """Before what found no room on the disk is tried again."""
    server_settle_s: float = 30.0
    """How long a server may still be working on what it was asked over a line that died."""
