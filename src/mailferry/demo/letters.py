"""A few hundred mails for the demonstration, always the same."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from mailferry.mail.mailbox import INBOX, MailboxPath
from mailferry.mail.message import ANSWERED, FLAGGED, SEEN, Flag

FIRST_DAY: Final = datetime(2026, 9, 1, 6, 0, tzinfo=UTC)
ATTACHMENT_LENGTH_MAX: Final = 60_000  # Octets before base64: what people on such lines still send.

MAILBOXES: Final[tuple[tuple[MailboxPath, str | None, int], ...]] = (
    (INBOX, None, 160),
    (("Sent",), "\\Sent", 40),
    (("Drafts",), "\\Drafts", 3),
    (("Trash",), "\\Trash", 12),
    (("Archive",), "\\Archive", 60),
    (("Boat",), None, 0),
    (("Boat", "Weather"), None, 25),
    (("Boat", "港 Harbours"), None, 10),
)
"""Path, special use, and how many messages are in it."""

_PEOPLE: Final = (
    ("Ines Duarte", "ines@harbour.example"),
    ("Kenji Mori", "kenji@port.example"),
    ("森 健二", "mori@minato.example"),
    ("Dr. Åsa Lindqvist", "asa@clinic.example"),
    ("Weather Office", "bulletin@weather.example"),
    ("Tomás Ó Briain", "tomas@spares.example"),
    ("Family", "home@family.example"),
    ("Crew list", "crew@lists.example"),
)
_SUBJECTS: Final = (
    "Spare impeller",
    "Gale warning",
    "Medicine list for the next stop",
    "Birthday on Saturday",
    "港の入港手続き",
    "Ölfilter und Dichtungen",
    "Berth in Ponta Delgada",
    "Photos from the passage",
    "School reports",
    "Crew change",
    "Fuel prices",
    "Invoice 2026",
)
_VOCABULARY: Final = """
    wind harbour tomorrow doctor medicine engine filter water chart passage letter children school
    answer morning evening anchor repair price fuel bread market island north south pressure rising
    falling please thank send bring ask wait arrive leave sleep watch night clear
"""
_WORDS: Final = _VOCABULARY.split()
_JAPANESE: Final = "明日の朝に入港します。天気は良さそうです。家族によろしくお伝えください。"


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail, and how it lies in its mailbox."""

    mailbox: MailboxPath
    content: bytes
    flags: frozenset[Flag]
    internal_date: datetime


@functools.cache
def letters() -> tuple[Letter, ...]:
    """Return the mail of all MAILBOXES, oldest first in each; about 2 MB."""
    return tuple(_letters())


def _letters() -> Iterator[Letter]:
    chance = random.Random(1)  # noqa: S311 - not for secrecy
    number = 0
    for path, _, count in MAILBOXES:
        moment = FIRST_DAY
        for _ in range(count):
            number += 1
            moment += timedelta(minutes=chance.randrange(20, 600))
            content = _written(chance, number, moment)
            yield Letter(path, content, _flags(chance, path), moment)


def letter(number: int) -> bytes:
    """Return one more mail, as a mail program would write it; the same for the same number."""
    chance = random.Random(number)  # noqa: S311 - not for secrecy
    return _written(chance, 10_000 + number, FIRST_DAY + timedelta(days=60, minutes=number))


def _written(chance: random.Random, number: int, moment: datetime) -> bytes:
    message = EmailMessage(policy=SMTP)
    sender, recipient = chance.sample(_PEOPLE, 2)
    subject = chance.choice(_SUBJECTS)
    message["From"] = _address(*sender)
    message["To"] = _address(*recipient)
    message["Subject"] = subject if chance.random() < 0.6 else f"Re: {subject}"
    message["Date"] = format_datetime(moment)
    message["Message-ID"] = f"<{number}.{chance.getrandbits(48):012x}@demo.example>"
    message.set_content(_text(chance), cte="quoted-printable")
    if chance.random() < 0.1:
        chart = chance.randbytes(chance.randrange(4_000, ATTACHMENT_LENGTH_MAX))
        message.add_attachment(chart, "image", "png", filename=f"chart-{number}.png")
    if message.is_multipart():
        message.set_boundary(f"=_{chance.getrandbits(64):016x}")  # Random of its own otherwise.
    return message.as_bytes()


def _address(name: str, address: str) -> str:
    return f'"{name}" <{address}>'


def _text(chance: random.Random) -> str:
    paragraphs = []
    for _ in range(chance.randrange(1, 6)):
        words = chance.choices(_WORDS, k=chance.randrange(10, 60))
        paragraphs.append(" ".join(words).capitalize() + ".")
    if chance.random() < 0.2:
        paragraphs.append(_JAPANESE)
    return "\n\n".join(paragraphs) + "\n"


def _flags(chance: random.Random, path: MailboxPath) -> frozenset[Flag]:
    if path != INBOX:
        return frozenset({SEEN})
    flags: set[Flag] = set()
    if chance.random() < 0.7:
        flags.add(SEEN)
        if chance.random() < 0.2:
            flags.add(ANSWERED)
    if chance.random() < 0.1:
        flags.add(FLAGGED)
    return frozenset(flags)
