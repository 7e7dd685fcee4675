from __future__ import annotations

import pytest

from mailferry.wire.imap.commands.listing import List, ListReturn, ListSelection, Lsub
from mailferry.wire.imap.commands.mailbox import StatusItem
from mailferry.wire.imap.commands.parse import Command
from tests.wire.imap.commands.parsing import parsed, refused

SUBSCRIBED = ListSelection.SUBSCRIBED
REMOTE = ListSelection.REMOTE
RECURSIVE = ListSelection.RECURSIVE_MATCH


def extended(
    *patterns: str,
    selection: set[ListSelection] | None = None,
    returns: set[ListReturn] | None = None,
    status: tuple[StatusItem, ...] = (),
) -> List:
    return List(
        reference="",
        patterns=patterns,
        selection=frozenset(selection or ()),
        returns=frozenset(returns or ()),
        status_items=status,
        extended=True,
    )


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (b'LIST "" ""', List(reference="", patterns=("",))),
        (b'LIST #news.comp.mail.misc ""', List(reference="#news.comp.mail.misc", patterns=("",))),
        (b"LIST ~/Mail/ %", List(reference="~/Mail/", patterns=("%",))),
        (b'LIST "" *', List(reference="", patterns=("*",))),
        (b'LIST "" &U,BTFw-/%', List(reference="", patterns=("台北/%",))),
        (b'LIST "" {1}\r\n%', List(reference="", patterns=("%",))),
        (b'LSUB "#news." "comp.mail.*"', Lsub("#news.", "comp.mail.*")),
        # RFC 5258 §5 and RFC 9051 §6.3.9.7.
        (b'LIST (SUBSCRIBED) "" "*"', extended("*", selection={SUBSCRIBED})),
        (b'LIST () "" "%" RETURN (CHILDREN)', extended("%", returns={ListReturn.CHILDREN})),
        (b'LIST (REMOTE SUBSCRIBED) "" "*"', extended("*", selection={REMOTE, SUBSCRIBED})),
        (
            b'LIST (REMOTE) "" "*" RETURN (SUBSCRIBED)',
            extended("*", selection={REMOTE}, returns={ListReturn.SUBSCRIBED}),
        ),
        (b'LIST "" ("INBOX" "Drafts" "Sent/%")', extended("INBOX", "Drafts", "Sent/%")),
        (b'LIST "" (% music/rock)', extended("%", "music/rock")),
        (
            b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%" RETURN (CHILDREN)',
            extended("%", selection={SUBSCRIBED, RECURSIVE}, returns={ListReturn.CHILDREN}),
        ),
        (b'LIST (SPECIAL-USE) "" "*"', extended("*", selection={ListSelection.SPECIAL_USE})),
        (b'LIST "" "*" RETURN ()', extended("*")),
        # RFC 5819 §2, and iOS.
        (
            b'LIST "" % RETURN (STATUS (MESSAGES UNSEEN))',
            extended(
                "%",
                returns={ListReturn.STATUS},
                status=(StatusItem.MESSAGES, StatusItem.UNSEEN),
            ),
        ),
        (
            b'list "" "*" return (special-use status (unseen))',
            extended(
                "*",
                returns={ListReturn.SPECIAL_USE, ListReturn.STATUS},
                status=(StatusItem.UNSEEN,),
            ),
        ),
    ],
)
def test_commands(words: bytes, command: Command) -> None:
    assert parsed(words) == command


@pytest.mark.parametrize(
    "words",
    [
        b"LIST",
        b'LIST ""',
        b'LIST "" (',
        b'LIST "" ()',
        b'LIST (FOO) "" *',
        b'LIST (RECURSIVEMATCH) "" *',
        b'LIST (RECURSIVEMATCH REMOTE) "" *',
        b'LIST "" * RETURN',
        b'LIST "" * RETURN (FOO)',
        b'LIST "" * RETURN (STATUS)',
        b'LIST "" * RETURN (STATUS ())',
        b'LIST "" * FOO ()',
        b'LIST "" * x',
        b'LSUB "" (a b)',
    ],
)
def test_refused(words: bytes) -> None:
    refused(words)
