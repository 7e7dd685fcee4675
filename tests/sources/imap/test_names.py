"""Names, ids and states as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.errors import CannotCalculateChanges, MailboxNameInvalid
from mailferry.mail.mailbox import State
from mailferry.sources.imap.names import (
    Names,
    id_by_name,
    id_by_object_id,
    message_id,
    name_in_id,
    uid_of,
    uid_validity_of,
    uids_of,
)
from mailferry.sources.imap.states import FlagsState, ModseqState, PageState, from_state
from mailferry.wire.imap.responses import Namespace, Namespaces

SLASH = Names(delimiter=b"/")
COURIER = Names(prefix=b"INBOX.", delimiter=b".")


@pytest.mark.parametrize(
    ("names", "name", "path"),
    [
        (SLASH, b"INBOX", ("INBOX",)),
        (SLASH, b"INBOX/x", ("INBOX", "x")),
        (SLASH, b"a b/c&-d/&ZeVnLIqe-", ("a b", "c&d", "日本語")),
        (COURIER, b"INBOX.Sent.2026", ("Sent", "2026")),
        (COURIER, b"INBOX.a/b", ("a/b",)),
        (Names(), b"a/b", ("a/b",)),
    ],
)
def test_paths_and_names(names: Names, name: bytes, path: tuple[str, ...]) -> None:
    assert names.path(name, names.delimiter) == path
    assert names.name(path) == name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"inbox", ("INBOX",)),
        (b"Inbox/x", ("INBOX", "x")),
        (b"a/b/", ("a", "b")),
        (b"raw \xc3\xbc", ("raw ü",)),
        (b"a & b", ("a & b",)),
    ],
)
def test_names_that_servers_should_not_give(name: bytes, path: tuple[str, ...]) -> None:
    assert SLASH.path(name, b"/") == path


@pytest.mark.parametrize("name", [b"", b"/", b"a\nb", b"\xff\xfe"])
def test_names_that_cannot_be_shown(name: bytes) -> None:
    with pytest.raises(ValueError, match="mailbox name"):
        SLASH.path(name, b"/")


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (Names(), ("a", "b")),
        (SLASH, ("a/b",)),
        (COURIER, ("a.b",)),
        (SLASH, ("a\nb",)),
        (SLASH, ()),
    ],
)
def test_paths_that_a_server_cannot_have(names: Names, path: tuple[str, ...]) -> None:
    with pytest.raises(MailboxNameInvalid):
        names.name(path)


def test_the_first_personal_namespace_counts() -> None:
    told = Namespaces((Namespace(b"INBOX.", b"."), Namespace(b"x", b"/")), (), ())
    assert Names.of(told, None) == COURIER
    assert Names.of(None, b"/") == SLASH
    assert Names.of(Namespaces((), (), ()), b"/") == SLASH


def test_ids_of_mailboxes() -> None:
    assert name_in_id(id_by_name(b"a&-\xffb")) == b"a&-\xffb"
    assert name_in_id(id_by_object_id("F1")) is None


@given(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_ids_of_messages(uid_validity: int, uid: int) -> None:
    message = message_id(uid_validity, uid)
    assert (uid_validity_of(message), uid_of(message)) == (uid_validity, uid)
    assert uids_of([message, message, message_id(uid_validity + 1, 3)], uid_validity) == [uid]


NUMBERS = st.integers(0, 2**32 - 1)
MODSEQ_STATES = st.builds(
    ModseqState,
    uid_validity=NUMBERS,
    uid_next=NUMBERS,
    modseq=st.integers(0, 2**63 - 1),
    messages=NUMBERS,
)
FLAGS_STATES = st.builds(
    FlagsState,
    uid_validity=NUMBERS,
    uid_next=NUMBERS,
    messages=NUMBERS,
    place=NUMBERS,
    looks=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=2).map(tuple),
)


@given(MODSEQ_STATES | FLAGS_STATES)
def test_states_are_read_back(state: ModseqState | FlagsState) -> None:
    assert from_state(state.to_state()) == state


@given(MODSEQ_STATES, MODSEQ_STATES, NUMBERS)
def test_page_states_are_read_back(since: ModseqState, until: ModseqState, told: int) -> None:
    page = PageState(since=since, until=until, told=told)
    read = from_state(page.to_state())
    assert isinstance(read, PageState)
    assert (read.since, read.told) == (since, told)
    assert read.until.modseq == until.modseq


@given(st.text(max_size=30))
def test_other_states_are_refused(text: str) -> None:
    with pytest.raises(CannotCalculateChanges):
        from_state(State("x" + text))
