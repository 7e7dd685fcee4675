"""What we take for a command, and which names a pattern matches, beside Dovecot's own opinion."""

from __future__ import annotations

import itertools
import re

import pytest

from mailferry.wire.imap import mailbox_name
from mailferry.wire.imap.commands.parse import InvalidCommand, parse_command
from mailferry.wire.imap.mailbox_name import ListPattern
from tests.lab import raw_imap
from tests.lab.dovecot import Dovecot, User

pytestmark = pytest.mark.system

BOTH_TAKE = r"""
NOOP
noop
CAPABILITY
CHECK
NAMESPACE
ID NIL
ID ("name" "x" "version" NIL)
ENABLE CONDSTORE
LIST "" ""
LIST "" *
LIST "" "%"
LIST  ""  "*"
LIST (SUBSCRIBED) "" *
LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (CHILDREN)
LIST "" ("INBOX" Drafts) RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE)
LIST () "" % RETURN ()
LSUB "" *
STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ)
STATUS "inbox" (messages)
SUBSCRIBE INBOX
UNSUBSCRIBE INBOX
CREATE one/two
CREATE three (USE (\Archive))
RENAME one/two one/four
DELETE one/four
FETCH 1 ALL
FETCH 1 FAST
FETCH 1 FULL
FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ)
FETCH 1 BODY[]
FETCH 1 BODY.PEEK[]<0.10>
FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[1.MIME])
FETCH 1 BODY.PEEK[HEADER.FIELDS (Date From)]
FETCH 1 body.peek[header.fields.not ("Date" From)]<5.9>
FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT)
FETCH 1 FLAGS (CHANGEDSINCE 1)
UID FETCH 1:* (FLAGS)
FETCH 1 (FLAGS UID )
STORE 1 FLAGS (\Seen)
STORE 1 +FLAGS \Seen \Flagged
STORE 1 -FLAGS.SILENT (\Seen $Work)
STORE 1 FLAGS ()
STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Seen)
UID STORE 1:* +FLAGS (\Seen)
COPY 1 INBOX
UID COPY 1:* INBOX
SEARCH ALL
SEARCH  SEEN  NOT  DELETED
SEARCH 1:* OR SEEN (FLAGGED UNDRAFT)
SEARCH RETURN (MIN MAX COUNT ALL) SEEN
SEARCH RETURN () SEEN
SEARCH CHARSET UTF-8 SUBJECT x
SEARCH SINCE 1-Feb-1994 BEFORE "02-Feb-2094" SENTON 1-jan-2000
SEARCH HEADER Message-ID <x@y> LARGER 5 SMALLER 500000
SEARCH KEYWORD $Work UNKEYWORD x FROM a TO b CC c BCC d BODY e TEXT f
SEARCH MODSEQ 5
SEARCH MODSEQ "/flags/\\draft" all 5
SEARCH NEW OLD RECENT
UID SEARCH UID 1:* 1
UID EXPUNGE 5
EXPUNGE
"""
BOTH_REFUSE = r"""
FROB
UID NOOP
LIST
LIST "" * RETURN (FOO)
LIST (FOO) "" *
LIST (RECURSIVEMATCH) "" *
STATUS INBOX
STATUS INBOX ()
STATUS INBOX (FOO)
SELECT
RENAME one
FETCH
FETCH 1
FETCH 1 ()
FETCH 1 FOO
FETCH 1 BODY[
FETCH 1 BODY[FOO]
FETCH 1 BODY[HEADER.FIELDS]
FETCH 1 BODY[HEADER.FIELDS ()]
FETCH 1 BODY[MIME]
FETCH 1 FLAGS (FOO)
FETCH x FLAGS
FETCH 0 FLAGS
FETCH 1: FLAGS
STORE 1
STORE 1 FOO (x)
STORE 1 FLAGS ("x")
STORE 1 FLAGS (\*)
SEARCH
SEARCH FOO
SEARCH NOT
SEARCH OR SEEN
SEARCH (SEEN
SEARCH BEFORE yesterday
SEARCH LARGER x
SEARCH UID SEEN
SEARCH RETURN (FOO) SEEN
COPY 1
COPY x INBOX
UID EXPUNGE
SELECT INBOX (FOO)
"""
WE_ALONE_REFUSE = {
    'ID ("name")': "a name without a value",
    "ENABLE": "nothing to enable",
    "EXPUNGE 1": "too many arguments are left unread there",
    'LSUB "" (a b)': "a list for a name",
    "SUBSCRIBE a*": "a wildcard in a name without quotes",
    "STORE 1 FLAGS": "no flags at all",
    "FETCH 1 BODY[0]": "no part has the number 0",
    "FETCH 1 BODY[]<0>": "half a partial",
    "FETCH 1 FLAGS[]": "a section of what has none",
    "SEARCH BEFORE 31-Feb-1994": "no such day",
    "SEARCH $": "SEARCHRES, which the face does not offer",
}


def we_take(words: str) -> bool:
    try:
        parse_command(b"a1 " + words.encode())
    except InvalidCommand:
        return False
    return True


async def dovecot_takes(client: raw_imap.RawImap, words: str) -> bool:
    try:
        await client.run(words)
    except raw_imap.Refused as refused:
        return re.search(r"^\S+ BAD|^\* BAD", str(refused)) is None
    return True


async def test_the_same_is_a_command(dovecot: Dovecot, user: User) -> None:
    expected = dict.fromkeys(BOTH_TAKE.strip("\n").split("\n"), (True, True))
    expected |= dict.fromkeys(WE_ALONE_REFUSE, (False, True))
    expected |= dict.fromkeys(BOTH_REFUSE.strip("\n").split("\n"), (False, False))
    async with raw_imap.session(dovecot.host, dovecot.port, user.name, user.password) as client:
        await client.append("INBOX", b"Subject: x\r\n\r\nbody\r\n")
        await client.run("SELECT INBOX")
        found = {words: (we_take(words), await dovecot_takes(client, words)) for words in expected}
    assert found == expected


NAMES = ["a", "a/b", "a/b/c", "ab", "b", "b/a", "Zürich", "Zürich/a b", "R&D", "x*y"]
PATTERNS = ["".join(p) for n in (1, 2, 3) for p in itertools.product("a/%*", repeat=n)]
PATTERNS += [
    "inbox",
    "InB%",
    "Zürich",
    "Z%",
    "*ü*",
    "*&*",
    "R&%",
    "% %",
    "*a b",
    "",
    "x%y",
    "*/%/c",
]


async def test_patterns_match_the_same_names(dovecot: Dovecot, user: User) -> None:
    async with raw_imap.session(dovecot.host, dovecot.port, user.name, user.password) as client:
        for name in NAMES:
            await client.run(f'CREATE "{mailbox_name.encode(name).decode()}"')
        existing = {"INBOX", *NAMES} | set(await listed(client, "*"))
        for pattern in PATTERNS:
            wanted = ListPattern(pattern, "/")
            ours = {name for name in existing if wanted.matches(name)} if pattern else set()
            assert ours == set(await listed(client, pattern)), pattern


async def listed(client: raw_imap.RawImap, pattern: str) -> list[str]:
    responses = await client.run(f'LIST "" "{mailbox_name.encode(pattern).decode()}"')
    lines = [re.fullmatch(rb'\* LIST \((.*)\) "/" "?(.*?)"?', line) for line in responses]
    return [mailbox_name.decode(line[2]) for line in lines if line and line[2]]
