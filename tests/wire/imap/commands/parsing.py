"""Parse one command, with its literals, as a server does."""

from __future__ import annotations

import pytest

from mailferry.wire.imap.commands.parse import Command, InvalidCommand, parse_command
from mailferry.wire.imap.framing import CommandFramer, Line, LiteralStart


def parsed(words: bytes) -> Command:
    """Return the command; `words` lack the tag and the last CRLF."""
    framer = CommandFramer()
    framer.feed(b"a1 " + words + b"\r\n")
    while not isinstance(event := framer.next_event(), Line):
        assert isinstance(event, LiteralStart)
        assert framer.keep()
    tag, command = parse_command(event.text, event.literals)
    assert tag == "a1"
    return command


def refused(words: bytes) -> InvalidCommand:
    """Return the error that the words raise; lower case must make no difference."""
    with pytest.raises(InvalidCommand) as caught:
        parsed(words)
    assert caught.value.tag == "a1"
    with pytest.raises(InvalidCommand):
        parsed(words.lower())
    assert caught.value.response.startswith((b"a1 BAD ", b"a1 NO ["))
    assert caught.value.response.endswith(b"\r\n")
    assert caught.value.response.count(b"\r\n") == 1
    return caught.value
