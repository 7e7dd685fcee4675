"""What keeps a node from running besides its files."""

from __future__ import annotations


class ListenerFailed(Exception):
    """A listener of the settings cannot be opened; the text says why and what to do."""
