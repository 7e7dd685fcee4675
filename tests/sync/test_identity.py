"""Who is who when the server's numbers have changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from mailferry.sync.identity import Identity, identify, match_born, match_unique

KEY = b"k" * 32
DATE = datetime(2026, 3, 1, 12, 30, 15, tzinfo=timezone(timedelta(hours=9)))
FIELDS = b"Message-ID: <a@b>\r\nSubject: Hello\r\n there\r\n\r\n"


def identity(
    *,
    email_id: str | None = None,
    size: int | None = 100,
    date: datetime | None = DATE,
    fields: bytes | None = FIELDS,
    key: bytes = KEY,
) -> Identity:
    return identify(key, email_id=email_id, size=size, internal_date=date, header_fields=fields)


def test_the_same_message_has_the_same_identity() -> None:
    assert identity() == identity()
    assert identity(date=DATE.astimezone(UTC)) == identity()
    assert identity(fields=b"Message-ID:  <a@b>\r\nSubject: Hello there\r\n\r\n") == identity()


def test_any_difference_makes_another() -> None:
    others = [
        identity(size=101),
        identity(date=DATE + timedelta(seconds=1)),
        identity(fields=FIELDS.replace(b"Hello", b"hello")),
        identity(fields=FIELDS.replace(b"<a@b>", b"<a@c>")),
        identity(key=b"x" * 32),
    ]
    assert all(other.content != identity().content for other in others)


def test_without_a_message_id_nobody_is_known() -> None:
    assert identity(fields=b"Subject: Hello\r\n\r\n").content is None
    assert identity(fields=b"Message-ID: \r\nSubject: Hello\r\n\r\n").content is None
    assert identity(size=None).content is None
    assert identity(fields=None).content is None


def test_a_folded_message_id_is_read() -> None:
    assert identity(fields=b"Message-ID:\r\n <a@b>\r\n\r\n").content is not None


A, B, C = (Identity(None, bytes([n])) for n in range(3))


def test_only_the_unique_are_matched() -> None:
    assert match_unique({1: A, 2: B, 3: C}, {11: B, 12: A, 13: A}) == {11: 2}
    assert match_unique({1: A, 2: A}, {11: A}) == {}


def test_email_id_decides_first() -> None:
    ours = {1: Identity(b"x", b"same"), 2: Identity(b"y", b"same")}
    theirs = {11: Identity(b"y", b"same"), 12: Identity(b"x", b"same")}
    assert match_unique(ours, theirs) == {11: 2, 12: 1}


def test_where_email_id_is_not_unique_content_may_be() -> None:
    ours = {1: Identity(b"x", b"1"), 2: Identity(b"x", b"2")}
    theirs = {11: Identity(b"x", b"2"), 12: Identity(b"x", b"1")}
    assert match_unique(ours, theirs) == {11: 2, 12: 1}


def test_equal_ones_that_were_made_here_are_paired_in_order() -> None:
    assert match_born({5: A, 3: A, 4: B}, {12: A, 11: A}) == {11: 3, 12: 5}
    assert match_born({5: A}, {12: A, 11: A}) == {11: 5}
    assert match_born({5: Identity(None, None)}, {11: Identity(None, None)}) == {}


IDENTITIES = st.builds(
    Identity,
    st.none() | st.sampled_from([b"p", b"q", b"r"]),
    st.none() | st.sampled_from([b"1", b"2", b"3"]),
)
SIDES = st.dictionaries(st.integers(0, 9), IDENTITIES, max_size=8)


@given(SIDES, SIDES)
def test_a_match_is_one_to_one_and_never_of_strangers(
    ours: dict[int, Identity], theirs: dict[int, Identity]
) -> None:
    for pairs in (match_unique(ours, theirs), match_born(ours, theirs)):
        assert len(set(pairs.values())) == len(pairs)
        for their, our in pairs.items():
            one, other = theirs[their], ours[our]
            same_email = one.email_id is not None and one.email_id == other.email_id
            same_content = one.content is not None and one.content == other.content
            assert same_email or same_content
