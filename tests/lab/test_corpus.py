from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.lab import corpus


def test_reads_the_whole_corpus_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "some.tar.xz", "w:xz") as tar:
        raw = b"a\nb\r\nc\r"
        info = tarfile.TarInfo("1.eml")
        info.size = len(raw)
        tar.addfile(info, io.BytesIO(raw))
    monkeypatch.setenv(corpus.WHOLE_VARIABLE, str(tmp_path))
    (mail,) = corpus.mails()
    assert mail.name == "some/1.eml"
    assert mail.content == b"a\r\nb\r\nc\r\n"
    assert list(corpus.mails("other*")) == []


def test_a_wrong_name_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(corpus.WHOLE_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no \*\.tar\.xz is there"):
        list(corpus.mails())
