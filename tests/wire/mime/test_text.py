from __future__ import annotations

import base64

import pytest

from mailferry.wire.mime.fold import fold
from mailferry.wire.mime.scanner import scan
from mailferry.wire.mime.text import Kind, TextReader, read_text
from tests.lab import corpus

BODY = "吾輩は猫である。\r\n名前はまだ無い。"

MESSAGE = (
    b"Subject: =?utf-8?b?5pel5pys?=\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
    b"--b\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
    + BODY.encode("iso-2022-jp")
    + b"\r\n--b\r\nContent-Type: text/html; charset=shift_jis\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes("<b>ﾈｺ</b>".encode("cp932")).replace(b"\n", b"\r\n")
    + b"--b\r\nContent-Type: application/pdf; name*=utf-8''%e7%8c%ab.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nc2VjcmV0\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n"
    b"--b--\r\nepilogue\r\n"
)


def test_bodies() -> None:
    text = read_text(scan(MESSAGE), MESSAGE, Kind.BODY)
    for present in (BODY, "ネコ", "<B>", "inner text", "status: 5.1.1"):
        assert fold(present) in text
    for absent in ("secret", "c2VjcmV0", "preamble", "epilogue", "subject", "日本", "text/plain"):
        assert fold(absent) not in text


def test_headers() -> None:
    text = read_text(scan(MESSAGE), MESSAGE, Kind.HEADER)
    for present in ("日本", "Subject: inner", "猫.pdf", "multipart/mixed"):
        assert fold(present) in text
    assert fold("inner text") not in text


def test_nothing_is_found_across_parts() -> None:
    text = read_text(scan(MESSAGE), MESSAGE, Kind.BODY)
    assert fold("無い。 <b>") not in text
    assert fold("無い。<b>") not in text


def test_done_when_nothing_with_text_follows() -> None:
    reader = TextReader(scan(MESSAGE))
    end = MESSAGE.index(b"\r\n--b--")
    assert not reader.done
    reader.feed(MESSAGE[:end])
    assert reader.done


@pytest.mark.parametrize("length", [1, 7, 64])
def test_any_chunks_give_the_same(length: int) -> None:
    messages = [MESSAGE]
    for number, mail in enumerate(corpus.mails()):
        if number == 100:
            break
        messages.append(mail.content[:5_000])
    for message in messages:
        part = scan(message)
        reader = TextReader(part)
        pieces = [
            piece
            for start in range(0, len(message), length)
            for piece in reader.feed(message[start : start + length])
        ]
        for kind in Kind:
            assert "".join(text for k, text in pieces if k is kind) == read_text(
                part, message, kind
            )
        assert reader.done
