"""The node in front of a whole account: it shows what is there, and finds what is there."""

from __future__ import annotations

import threading

import pytest

from tests.system.account import FilledAccount, contents
from tests.system.equality import assert_equal, look
from tests.system.filling import MAILBOXES, wire_name
from tests.system.streaming_imap import Response, StreamingImap, quoted

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]

READERS = 3  # Programs that read the whole account at the same time.
FILED_IN = frozenset(MAILBOXES.values())


def test_the_node_shows_what_is_at_the_server(filled_account: FilledAccount) -> None:
    shown = look(filled_account.endpoint)
    there = {key: n for key, n in contents(shown).items() if key[0] in FILED_IN}
    assert there == filled_account.filed
    assert_equal(shown, look(filled_account.server))


def test_many_programs_read_at_the_same_time(filled_account: FilledAccount) -> None:
    found = [0] * READERS

    def read(reader: int) -> None:
        seen = look(filled_account.endpoint, only=FILED_IN)
        found[reader] = sum((contents(seen) & filled_account.filed).values())

    threads = [threading.Thread(target=read, args=(n,)) for n in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [filled_account.filed.total()] * READERS


QUERIES = [
    "ALL",
    "UNSEEN",
    "FLAGGED KEYWORD $Forwarded",
    "NOT SEEN OR FLAGGED KEYWORD zoo_keyword-7",
    "UNKEYWORD NonJunk ANSWERED",
    "SINCE 1-Oct-2002 BEFORE 1-Jan-2003",
    "ON 24-Aug-2002",
    "LARGER 20000",
    "SMALLER 1500",
    "2:20,100:120",
    "1:* NOT 5:*",
    "FROM linux",
]
SEARCHED_THOROUGHLY = [("Archive", "Fixtures"), ("開発", "openbmc"), ("Newsletters",)]
"""Not all: Dovecot too needs seconds for a text in 100 MB."""
QUERIES_OF_HEADERS = [
    'HEADER Message-ID ""',
    "HEADER List-Id openbmc",
    "TO users",
    'SUBJECT "re:"',
    "SENTSINCE 1-Jan-2001 SENTBEFORE 1-Jan-2021",
    "OR (SUBJECT obmc SEEN) (LARGER 100000 NOT DRAFT)",
]
TEXTS = [
    ("SUBJECT", "ü"),
    ("BODY", "daemon"),
    ("BODY", "für"),
    ("TEXT", "日本"),
    ("TEXT", "メール"),
]


def test_search_finds_what_the_server_finds(filled_account: FilledAccount) -> None:
    """By message number: both sides have this mail in the same order."""
    differences = []
    with (
        StreamingImap(filled_account.endpoint) as node,
        StreamingImap(filled_account.server) as server,
    ):
        for path in MAILBOXES.values():
            for session in (node, server):
                session.run(f"EXAMINE {quoted(wire_name(path))}")
            commands = [f"SEARCH {query}".encode() for query in QUERIES]
            if path in SEARCHED_THOROUGHLY:
                commands += [f"SEARCH {query}".encode() for query in QUERIES_OF_HEADERS]
                commands += [_search_text(key, text) for key, text in TEXTS]
            for command in commands:
                ours, theirs = (_numbers(session.run(command)) for session in (node, server))
                if ours != theirs:
                    differences.append(
                        f"{'/'.join(path)}: {command.decode()!r}: only the node finds "
                        f"{sorted(ours - theirs)}, only the server {sorted(theirs - ours)}"
                    )
    assert not differences, "\n".join(differences)


def _search_text(key: str, text: str) -> bytes:
    octets = text.encode()
    return b"SEARCH CHARSET UTF-8 %s {%d+}\r\n%s" % (key.encode(), len(octets), octets)


def _numbers(responses: list[Response]) -> set[int]:
    for response in responses:
        if response.text.startswith(b"* SEARCH"):
            return {int(number) for number in response.text.split()[2:]}
    return set()
