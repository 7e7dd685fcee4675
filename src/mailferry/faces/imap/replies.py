"""How a command ends: answered, refused, senseless, or not to be ended at all."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """The tagged end of an answer that went well."""

    text: bytes
    """With the response code, in brackets, where there is one."""


class No(Exception):
    """The command is refused: a tagged NO."""

    def __init__(self, text: bytes, *, code: bytes = b"") -> None:
        super().__init__(text)
        self.text = b"[%b] %b" % (code, text) if code else text


class Bad(Exception):
    """The command makes no sense here: a tagged BAD."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class LineUnusable(Exception):
    """An answer broke off where nothing else can follow: only closing tells the client the truth."""
