"""Which mailbox of the server's list is which of ours."""

from __future__ import annotations

from mailferry.mail.mailbox import Mailbox, MailboxId
from mailferry.sync.mailbox_match import ListMatch, OurMailbox, match_mailboxes


def ours(key: int, path: str, remote: str | None, *, at_server: bool = True) -> OurMailbox:
    return OurMailbox(key, (path,), None if remote is None else MailboxId(remote), at_server)


def theirs(remote: str, path: str) -> Mailbox:
    return Mailbox(id=MailboxId(remote), path=(path,))


def placed(match: ListMatch) -> dict[int, str]:
    return {key: mailbox.id for key, mailbox in match.placed}


def test_by_id_though_the_name_changed() -> None:
    match = match_mailboxes([ours(1, "Old", "x")], [theirs("x", "New")])
    assert placed(match) == {1: "x"}
    assert match.missing == ()


def test_by_name_where_the_id_is_not_known() -> None:
    match = match_mailboxes([ours(1, "A", None)], [theirs("x", "A")])
    assert placed(match) == {1: "x"}


def test_what_was_made_here_and_is_there_by_now() -> None:
    match = match_mailboxes([ours(1, "A", None, at_server=False)], [theirs("x", "A")])
    assert placed(match) == {1: "x"}
    match = match_mailboxes([ours(1, "A", None, at_server=False)], [])
    assert match == ListMatch((), (), ())


def test_new_and_missing() -> None:
    match = match_mailboxes(
        [ours(1, "A", "x"), ours(2, "B", "y")], [theirs("y", "B"), theirs("z", "C")]
    )
    assert placed(match) == {2: "y"}
    assert [each.id for each in match.new] == ["z"]
    assert match.missing == (1,)


def test_another_mailbox_under_an_old_name_is_another_one() -> None:
    match = match_mailboxes([ours(1, "A", "x")], [theirs("z", "A")])
    assert [each.id for each in match.new] == ["z"]
    assert match.missing == (1,)


def test_the_id_goes_before_the_name() -> None:
    match = match_mailboxes(
        [ours(1, "A", "x"), ours(2, "B", None)], [theirs("x", "B"), theirs("y", "B2")]
    )
    assert placed(match) == {1: "x"}
    assert match.missing == (2,)
