"""mutt, mbsync and curl, unchanged, through the node; both sides are equal afterwards."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path as FilePath

import pytest

from tests.system.account import FilledAccount, contents
from tests.system.curl import CurlFailed, curl, mailbox_in_url
from tests.system.equality import look
from tests.system.filling import fill, wanted, wire_name
from tests.system.mbsync import fingerprint, kept, mailbox_directory, run_mbsync, tree
from tests.system.mutt import run_mutt
from tests.system.streaming_imap import StreamingImap, quoted

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def test_mutt(filled_account: FilledAccount, tmp_path: FilePath) -> None:
    path, saved = ("mutt", "Arbeit"), ("mutt", "Ablage")
    name = filled_account.workplace(path, 15)
    piped = tmp_path / "piped"
    run_mutt(
        filled_account.endpoint,
        name,
        [
            "<first-entry>",
            f"<pipe-message>cat > {piped}<enter>",
            "<display-message><exit>",
            "<next-entry><flag-message>",
            f"<jump>3<enter><copy-message>={'/'.join(saved)}<enter>",
            f"<jump>4<enter><save-message>={'/'.join(saved)}<enter>",
            "<jump>5<enter><delete-message>",
            "<jump>6<enter><set-flag>r",
            "<jump>7<enter><clear-flag>N<set-flag>N",
            "<sync-mailbox>",
            # A group is tagged and moved; a draft is written and kept.
            "<tag-pattern>~m 9-12<enter>",
            f"<tag-prefix><save-message>={'/'.join(saved)}<enter>",
            "<sync-mailbox>",
            "<mail>harbour@lab.test<enter>Draft from mutt<enter><postpone-message>",
            "<quit>",
        ],
        tmp_path,
    )
    filled_account.assert_both_sides_equal(path, saved, ("Drafts",))

    inbox = {key[1] for key in filled_account.filed if key[0] == ("INBOX",)}
    assert fingerprint(piped.read_bytes()) in {
        fingerprint(content) for content in _contents_of(filled_account, "INBOX", "1:15")
    }
    seen = look(filled_account.endpoint, only=[path, saved])
    assert {digest for _, digest in contents(seen)} <= inbox
    assert seen.mailboxes[path].messages.total() == 15 - 2 - 4
    assert seen.mailboxes[saved].messages.total() == 2 + 4
    marks = Counter(flag for m in seen.mailboxes[path].messages.elements() for flag in m.flags)
    assert marks["\\flagged"] >= 1
    assert marks["\\answered"] >= 1
    with StreamingImap(filled_account.server) as session:
        session.run("EXAMINE Drafts")
        (answer, _) = session.run('SEARCH SUBJECT "Draft from mutt"')
        assert answer.text.split()[2:] == [b"1"]


def test_mutt_finds_and_reads_a_name_in_japanese(
    filled_account: FilledAccount, tmp_path: FilePath
) -> None:
    piped = tmp_path / "piped"
    run_mutt(
        filled_account.endpoint,
        "開発/openbmc",
        ["<search>~b the<enter>", "<last-entry>", f"<pipe-message>cat > {piped}<enter>", "<exit>"],
        tmp_path,
    )
    (last,) = _contents_of(filled_account, wire_name(("開発", "openbmc")), "*")
    assert fingerprint(piped.read_bytes()) == fingerprint(last)
    filled_account.assert_both_sides_equal(("開発", "openbmc"))


def test_mbsync_two_ways(filled_account: FilledAccount, tmp_path: FilePath) -> None:
    path = ("mbsync", "Zwei Wege", "天気")
    filled_account.workplace(path, 12)
    run_mbsync(filled_account.endpoint, tmp_path)
    first = tree(tmp_path)
    assert _maildir(tmp_path) == _mailboxes(filled_account)

    run_mbsync(filled_account.endpoint, tmp_path)
    assert tree(tmp_path) == first, "a second run changed something"

    # In the Maildir: one message deleted, one marked, one new one, one new mailbox.
    here = mailbox_directory(tmp_path, *path)
    by_uid = sorted(kept(here), key=lambda one: one.uid)
    by_uid[0].path.unlink()
    marked = by_uid[1].path
    marked.rename(here / "cur" / (marked.name.partition(":2,")[0] + ":2,FRS"))
    (here / "new" / "1795363983.1_1.vm").write_bytes(b"Subject: From the Maildir\n\nHello.\n")
    fresh = mailbox_directory(tmp_path, "mbsync", "Neu")
    for sub in ("cur", "new", "tmp"):
        (fresh / sub).mkdir(parents=True)
    # At the server: one deleted, one marked, one new one.
    with StreamingImap(filled_account.server) as session:
        session.run(f"SELECT {quoted(wire_name(path))}")
        session.run(r"STORE 12 +FLAGS (\Deleted)")
        session.run("EXPUNGE")
        session.run(r"STORE 11 FLAGS (\Flagged \Answered)")
    fill(filled_account.server, wanted(path, 1, subject="Arrived"))

    run_mbsync(filled_account.endpoint, tmp_path)
    filled_account.front.settle()
    assert _maildir(tmp_path) == _mailboxes(filled_account)
    seen = look(filled_account.server, only=[path, ("mbsync", "Neu")])
    assert seen.mailboxes[path].messages.total() == 12
    assert ("mbsync", "Neu") in seen.mailboxes
    letters = {one.flags for one in kept(here)}
    assert {"FRS", "FR"} <= letters

    third = tree(tmp_path)
    run_mbsync(filled_account.endpoint, tmp_path)
    assert tree(tmp_path) == third, "the last run changed something"
    filled_account.assert_both_sides_equal(path, ("mbsync", "Neu"))


def test_curl(filled_account: FilledAccount, tmp_path: FilePath) -> None:
    path = ("curl", "Größen")
    filled_account.workplace(path, 8)
    endpoint, mailbox = filled_account.endpoint, mailbox_in_url("/".join(path))

    listed = curl(endpoint, "").decode()
    assert all(wire_name(p).rpartition("/")[2] in listed for p in (path, ("INBOX",)))
    (first,) = _contents_of(filled_account, wire_name(path), "1")
    assert curl(endpoint, f"{mailbox};MAILINDEX=1") == first
    header, gap, text = first.partition(b"\r\n\r\n")
    assert curl(endpoint, f"{mailbox};MAILINDEX=1;SECTION=HEADER") == header + gap
    assert curl(endpoint, f"{mailbox};MAILINDEX=1;SECTION=TEXT") == text
    found = re.search(rb"\* SEARCH([ 0-9]*)", curl(endpoint, f"{mailbox}?ALL"))
    assert found is not None
    assert found[1].split() == [b"%d" % n for n in range(1, 9)]
    assert curl(endpoint, f"{mailbox}?SUBJECT%20nothing-like-this").split() == [b"*", b"SEARCH"]

    letter = tmp_path / "letter.eml"
    letter.write_bytes(next(wanted(path, 1, subject="By curl")).content)
    curl(endpoint, mailbox, "--upload-file", letter)
    assert curl(endpoint, f"{mailbox};MAILINDEX=9") == letter.read_bytes()
    answer = curl(endpoint, mailbox, "--request", r"STORE 1:3 +FLAGS (\Flagged $Curl)")
    assert answer.count(b"$Curl") == 3
    curl(endpoint, mailbox, "--request", r"STORE 8 +FLAGS.SILENT (\Deleted)")
    curl(endpoint, mailbox, "--request", "EXPUNGE")
    curl(endpoint, "", "--request", f"CREATE {quoted(wire_name(('curl', 'Neu')))}")
    status = curl(endpoint, "", "--request", f"STATUS {quoted(wire_name(path))} (MESSAGES)")
    assert b"MESSAGES 8" in status
    with pytest.raises(CurlFailed):
        curl(endpoint, f"{mailbox_in_url('curl/missing')};MAILINDEX=1")
    filled_account.assert_both_sides_equal(path, ("curl", "Neu"))


def _contents_of(account: FilledAccount, name: str, numbers: str) -> list[bytes]:
    """Return some bodies as the server has them."""
    found = []
    with StreamingImap(account.server, literal_kept_max=4 * 1024 * 1024) as session:
        session.run(f"EXAMINE {quoted(name)}")
        for response in session.run(f"FETCH {numbers} BODY.PEEK[]"):
            found += [literal.kept or b"" for literal in response.literals]
    return found


def _maildir(directory: FilePath) -> Counter[tuple[str, str]]:
    """Return how often each content is in each mailbox of the Maildir."""
    found: Counter[tuple[str, str]] = Counter()
    root = directory / "mail"
    for cur in root.rglob("cur"):
        for one in kept(cur.parent):
            name = cur.parent.relative_to(root).as_posix()
            found[name, fingerprint(one.path.read_bytes())] += 1
    return found


def _mailboxes(account: FilledAccount) -> Counter[tuple[str, str]]:
    """Return the same for the server, straight from it.

    Without what mbsync 1.4 does not carry: a message whose header does not end.
    """
    found: Counter[tuple[str, str]] = Counter()
    for path, mailbox in look(account.server, bodies=False).mailboxes.items():
        name = wire_name(path)
        if not mailbox.messages:
            continue
        for content in _contents_of(account, name, "1:*"):
            if b"\r\n\r\n" in content:
                found[name, fingerprint(content)] += 1
    return found
