"""The judge is judged: it sees every kind of difference, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab.dovecot import Dovecot
from tests.system.endpoint import Endpoint, imaplib_session
from tests.system.equality import assert_equal, compare, look
from tests.system.filling import fill, wanted
from tests.system.streaming_imap import StreamingImap, quoted

pytestmark = pytest.mark.system

PATH = ("Logbuch", "天気")
NAME = "Logbuch/&WSlsFw-"


@pytest.fixture
def sides(dovecot: Dovecot) -> tuple[Endpoint, Endpoint]:
    """Return two accounts with the same mail."""
    made = []
    for name in ("here", "there"):
        user = dovecot.new_user()
        side = Endpoint(port=dovecot.port, user=user.name, password=user.password, name=name)
        fill(side, wanted(PATH, 12))
        made.append(side)
    return made[0], made[1]


def change(side: Endpoint, *commands: str) -> None:
    with StreamingImap(side) as session:
        session.run(f"SELECT {quoted(NAME)}")
        for command in commands:
            session.run(command)


def test_equal_accounts_are_equal(sides: tuple[Endpoint, Endpoint]) -> None:
    one, other = look(sides[0]), look(sides[1])
    assert one.message_count == 12
    assert_equal(one, other)


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ([r"UID STORE 4 +FLAGS.SILENT (\Flagged)"], r"\flagged \seen] at there"),
        (["UID STORE 4 -FLAGS.SILENT ($Label1)"], r"[NonJunk \seen] at there"),
        ([r"UID STORE 4 +FLAGS.SILENT (\Deleted)", "EXPUNGE"], "only here has"),
        ([f"UID COPY 4 {quoted(NAME)}"], "only there has"),
        (["CREATE Logbuch/Neu"], "Logbuch/Neu: only there has it, with 0 messages"),
        (["CREATE Neu", "SUBSCRIBE Neu"], "Neu: subscribed only at there"),
        ([f"UNSUBSCRIBE {quoted(NAME)}"], "Logbuch/天気: subscribed only at here"),
        (["RENAME Logbuch Rollen"], "Rollen/天気: only there has it, with 12 messages"),
    ],
)
def test_one_change_is_seen(
    sides: tuple[Endpoint, Endpoint], commands: list[str], words: str
) -> None:
    change(sides[1], *commands)
    found = compare(look(sides[0]), look(sides[1]))
    assert any(words in line for line in found), found


@pytest.mark.parametrize(
    ("letter", "words"),
    [
        ({"content": b"From: a\r\n\r\nother\r\n"}, "only here has"),
        ({"internal_date": None}, "at here, but of"),
    ],
)
def test_another_octet_or_date_is_seen(
    sides: tuple[Endpoint, Endpoint], letter: dict[str, object], words: str
) -> None:
    first, second = list(wanted(PATH, 14))[12:]
    fill(sides[0], [first])
    if "content" in letter:
        altered = replace(first, content=first.content.replace(b"Wind 13", b"Wind 31"))
    else:
        altered = replace(first, internal_date=second.internal_date)
    fill(sides[1], [altered])
    found = compare(look(sides[0]), look(sides[1]))
    assert any(words in line for line in found), found


def test_a_side_that_contradicts_itself_is_seen(sides: tuple[Endpoint, Endpoint]) -> None:
    seen = look(sides[0])
    seen.faults.append("says one thing and gives another")
    assert compare(seen, look(sides[1])) == ["here: says one thing and gives another"]


def test_looking_marks_nothing(sides: tuple[Endpoint, Endpoint]) -> None:
    assert_equal(look(sides[0]), look(sides[0]))


def test_only_some_mailboxes_without_bodies(
    dovecots: Callable[..., Dovecot], sides: tuple[Endpoint, Endpoint]
) -> None:
    with imaplib_session(sides[1]) as session:
        session.create("Elsewhere")
    assert_equal(
        look(sides[0], bodies=False, only=[PATH]), look(sides[1], bodies=False, only=[PATH])
    )
