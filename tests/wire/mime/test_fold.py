from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.mime.fold import Finder, Folder, fold

CUTS = st.lists(st.integers(0, 10), max_size=20)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("aA ß\n\r\t\u3000e\u0301\u3099ｶﾞがか한ᄒ\u1161\u11ab\ufdfaﾟİ\u0345", max_size=40),
)


def folded_in_pieces(text: str, cuts: list[int]) -> list[str]:
    folder = Folder()
    out = []
    for cut in cuts:
        out.append(folder.feed(text[:cut]))
        text = text[cut:]
    return [*out, folder.feed(text), folder.close()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello", "hELLO"),
        ("Straße", "STRASSE"),
        ("ＡＢＣ１２３", "abc123"),
        ("ﾒｰﾙﾌｪﾘｰ", "メールフェリー"),
        ("ｶﾞｷﾞ", "ガギ"),
        ("か\u3099", "が"),
        ("e\u0301", "É"),
        ("㈱", "(株)"),
        ("①", "1"),
        ("one \r\n\t two", "one two"),
        ("東京\u3000都", "東京 都"),
        ("ΣΟΦΟΣ", "σοφος"),
        ("ﬁne", "FINE"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("ひ", "ヒ"), ("é", "e"), ("は", "ば"), ("ab", "a b")])
def test_not_the_same(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(TEXTS, CUTS)
def test_any_cutting_gives_the_same(text: str, cuts: list[int]) -> None:
    assert "".join(folded_in_pieces(text, cuts)) == fold(text)


@given(TEXTS)
def test_folding_again_changes_nothing_for_a_search(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_memory_is_bounded() -> None:
    folder = Folder()
    for _ in range(100):
        folder.feed("\u0301" * 1000)
        assert len(folder._held) <= 64


@given(st.text("ab", max_size=60), st.frozensets(st.text("ab", max_size=6), max_size=4), CUTS)
def test_patterns_are_found_across_borders(
    text: str, patterns: frozenset[str], cuts: list[int]
) -> None:
    finder = Finder(patterns)
    for piece in folded_in_pieces(text, cuts):
        finder.feed(piece)
    assert finder.found == {pattern for pattern in patterns if pattern in text}
    assert finder.found | finder.missing == patterns
    assert len(finder._tail) < 6
