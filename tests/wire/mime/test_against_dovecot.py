"""Every answer made from a tree, compared with Dovecot's own, over all the mail there is.

What differs is listed in docs/mime-differences.md, and nothing else may: neither more nor less.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mailferry.wire.mime.header import drop_fields, select_fields
from mailferry.wire.mime.part import Part
from mailferry.wire.mime.scanner import scan
from mailferry.wire.mime.sections import section_range
from mailferry.wire.mime.structure import body, body_structure, envelope
from tests.lab import corpus
from tests.lab.dovecot import Dovecot
from tests.wire.mime.oracle import Oracle, tree_of

DOCUMENT = Path(__file__).parents[3] / "docs/mime-differences.md"
ROW = re.compile(r"^\| `([^`]+/[^`]+)` \| ([A-Z. ,]+) \|", re.MULTILINE)
FIELDS = [b"To", b"subject", b"RECEIVED", b"X-Mailer", b"Content-Type"]
RANGES_PER_MAIL = 3

Question = tuple[bytes, bytes, Any]
"""What to ask, how the answer is called, and what is expected."""


class Ours(NamedTuple):
    """One mail as it was appended, and what is made of it."""

    name: str
    content: bytes
    part: Part

    def octets(self, section: str) -> bytes | None:
        found = section_range(self.part, section)
        return None if found is None else as_sent(self.content[found[0] : found[1]])


class Asked(NamedTuple):
    """What the server was asked about a mail and has not answered yet."""

    name: str
    questions: list[Question]


def as_sent(content: bytes) -> bytes:
    """No IMAP literal can hold a NUL (RFC 3501 §4.3): Dovecot sends 0x80 instead."""
    return content.replace(b"\0", b"\x80")


def sections(message: Part, prefix: str = "") -> Iterator[str]:
    """Yield the sections that a message has below its own HEADER and TEXT."""
    if message.content.is_multipart:
        parts = [(f"{prefix}{i}", part) for i, part in enumerate(message.parts, 1)]
    else:
        parts = [(f"{prefix}1", message)]
    for number, part in parts:
        yield from (number, f"{number}.MIME")
        if part.content.is_message and part.parts:
            yield from (f"{number}.HEADER", f"{number}.TEXT")
            yield from sections(part.parts[0], f"{number}.")
        elif part.content.is_multipart and part is not message:
            yield from sections(part, f"{number}.")


def no_sections(message: Part) -> Iterator[str]:
    """Yield sections that a message has not."""
    yield str(len(message.parts) + 2)
    leaves = message.parts if message.content.is_multipart else (message,)
    for number, part in enumerate(leaves, 1):
        if not part.content.is_message:
            yield from (f"{number}.HEADER", f"{number}.TEXT")


def questions(mail: Ours) -> Iterator[Question]:
    """Yield everything to ask of the server about a mail."""
    chance = random.Random(mail.name)
    yield b"ENVELOPE", b"ENVELOPE", tree_of(envelope(mail.part))[0]
    yield b"BODYSTRUCTURE", b"BODYSTRUCTURE", tree_of(body_structure(mail.part))[0]
    yield b"BODY", b"BODY", tree_of(body(mail.part))[0]
    existing = ["", "HEADER", "TEXT", *sections(mail.part)]
    for section in existing:
        octets = mail.octets(section)
        assert octets is not None, (mail.name, section)
        yield b"BODY.PEEK[%b]" % section.encode(), b"BODY[%b]" % section.encode(), octets
    for section in no_sections(mail.part):
        assert mail.octets(section) is None, (mail.name, section)
        yield b"BODY.PEEK[%b]" % section.encode(), b"BODY[%b]" % section.encode(), b""
    for section in chance.sample(existing, k=RANGES_PER_MAIL):
        octets = mail.octets(section) or b""
        start = chance.randrange(len(octets) + 2)
        length = chance.randrange(1, 2000)
        item = b"[%b]<%d" % (section.encode(), start)
        yield b"BODY.PEEK%b.%d>" % (item, length), b"BODY%b>" % item, octets[start : start + length]
    header = mail.octets("HEADER") or b""
    names = b"(%b)" % b" ".join(FIELDS).upper()
    for command, expected in (
        (b"[HEADER.FIELDS %b]" % names, select_fields(header, FIELDS)),
        (b"[HEADER.FIELDS.NOT %b]" % names, drop_fields(header, FIELDS)),
    ):
        yield b"BODY.PEEK" + command, b"BODY" + command, expected


def documented() -> dict[str, set[str]]:
    rows = ROW.findall(DOCUMENT.read_text())
    return {name: {item.strip() for item in items.split(",")} for name, items in rows}


@pytest.fixture
def server(dovecots: Callable[..., Dovecot]) -> Dovecot:
    return dovecots(extra="mail_fsync = never")


@pytest.mark.corpus
@pytest.mark.system
@pytest.mark.timeout(180)  # 6,504 mails, 100 MB, each asked for some twenty things.
async def test_answers_are_dovecots(server: Dovecot) -> None:
    mails = [Ours(mail.name, mail.content, scan(mail.content)) for mail in corpus.mails()]
    user = server.new_user()
    waiting: deque[Asked] = deque()
    found: dict[str, set[str]] = defaultdict(set)

    def commands() -> Iterator[tuple[int, bytes]]:
        for number, mail in enumerate(mails, 1):
            waiting.append(Asked(mail.name, list(questions(mail))))
            yield number, b" ".join(item for item, _, _ in waiting[-1].questions)

    async with Oracle(server.host, server.port, user.name, user.password) as oracle:
        await oracle.append_all([mail.content for mail in mails])
        async for answers in oracle.fetch_all(commands()):
            asked = waiting.popleft()
            for _, key, expected in asked.questions:
                if answers[key] != expected:
                    found[asked.name].add(key.decode())
    assert not waiting
    assert len(mails) >= 50
    names = {mail.name for mail in mails}
    assert found == {name: items for name, items in documented().items() if name in names}
