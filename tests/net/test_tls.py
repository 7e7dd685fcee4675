"""What TLS adds: who is trusted, what a hostile peer achieves, and in which words it is told."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
import trustme

from mailferry.net import tls
from mailferry.net.memory import memory_pair
from mailferry.net.stream import ByteStream
from mailferry.net.tls import client_tls, server_tls
from mailferry.net.tls_context import (
    CertificateUnusable,
    ClientContext,
    client_context,
    fingerprint,
)
from mailferry.net.tls_context import server_context as server_context_of_files
from mailferry.net.tls_errors import TlsError, TlsFault
from tests.lab import certificates
from tests.net import ends

CLIENT_HELLO_START = b"\x16\x03\x01"


def shown(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


async def handshake(
    accepted: ClientContext, context: ssl.SSLContext, name: str = "localhost"
) -> tuple[ByteStream | BaseException, ByteStream | BaseException]:
    here, there = memory_pair()
    return await asyncio.gather(
        client_tls(here, accepted, name), server_tls(there, context), return_exceptions=True
    )


async def refusal(
    accepted: ClientContext, context: ssl.SSLContext, name: str = "localhost"
) -> TlsError:
    outcome, _ = await handshake(accepted, context, name)
    assert isinstance(outcome, TlsError)
    assert name in outcome.what
    assert outcome.advice in str(outcome)
    return outcome


async def test_unknown_authorities_are_refused_and_the_server_hears_of_it() -> None:
    stranger = trustme.CA().issue_cert("localhost")
    outcomes = await handshake(ends.client_context(), shown(stranger))
    faults = [outcome.fault for outcome in outcomes if isinstance(outcome, TlsError)]
    assert faults == [TlsFault.UNTRUSTED, TlsFault.REFUSED]


async def test_a_certificate_of_other_names_is_refused() -> None:
    for name in "mail.example.org", "192.0.2.1":
        refused = await refusal(ends.client_context(), ends.server_context(), name)
        assert refused.fault is TlsFault.HOSTNAME
        assert not refused.temporary


async def test_a_certificate_out_of_its_time_is_refused() -> None:
    now = dt.datetime.now(dt.UTC)
    expired = certificates.authority().issue_cert(
        "localhost", not_before=now - dt.timedelta(days=2), not_after=now - dt.timedelta(days=1)
    )
    early = certificates.authority().issue_cert("localhost", not_before=now + dt.timedelta(days=1))
    assert (await refusal(ends.client_context(), shown(expired))).fault is TlsFault.EXPIRED
    refused = await refusal(ends.client_context(), shown(early))
    assert refused.fault is TlsFault.NOT_YET_VALID
    assert "clock" in refused.advice


async def test_a_pinned_certificate_is_accepted_alone_and_under_any_name() -> None:
    stranger = trustme.CA().issue_cert("localhost")
    pem = stranger.cert_chain_pems[0].bytes().decode()
    pin = fingerprint(ssl.PEM_cert_to_DER_cert(pem))
    colons = "SHA256 Fingerprint=" + ":".join(pin[i : i + 2] for i in range(0, 64, 2)).upper()
    for spelled in pin, colons:
        client, server = await handshake(
            client_context(pinned_fingerprint=spelled), shown(stranger), "10.0.0.1"
        )
        assert not isinstance(client, BaseException)
        assert not isinstance(server, BaseException)
    other = client_context(pinned_fingerprint="0" * 64)
    refused = await refusal(other, shown(stranger))
    assert refused.fault is TlsFault.FINGERPRINT
    assert pin in refused.what


@pytest.mark.parametrize("text", ["", "12", "g" * 64, "0" * 63, "0" * 65])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(CertificateUnusable, match="not a SHA-256 fingerprint"):
        client_context(pinned_fingerprint=text)


def test_old_versions_are_not_offered() -> None:
    assert client_context().ssl.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_peer_that_knows_old_versions_only_is_refused() -> None:
    new = client_context(pinned_fingerprint="0" * 64)
    new.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    old = ends.server_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await refusal(new, old)).fault is TlsFault.VERSION


def test_unusable_files_are_named(tmp_path: Path) -> None:
    _, certificate, key = certificates.write(tmp_path)
    server_context_of_files(certificate, key)
    other = tmp_path / "other.key"
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(other)
    with pytest.raises(CertificateUnusable, match=r"other\.key: they do not belong together"):
        server_context_of_files(certificate, other)
    other.write_text("no key")
    with pytest.raises(CertificateUnusable, match="no PEM file"):
        server_context_of_files(certificate, other)
    with pytest.raises(CertificateUnusable, match="holds no CA certificates"):
        client_context(ca_file=other)
    with pytest.raises(FileNotFoundError):
        client_context(ca_file=tmp_path / "missing")


@pytest.mark.parametrize(
    "what", [b"* OK IMAP4rev1 ready\r\n", b"+OK\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"]
)
async def test_a_server_that_speaks_plain_text_is_recognised(what: bytes) -> None:
    here, there = memory_pair()
    shaking = asyncio.create_task(client_tls(here, ends.client_context(), "localhost"))
    assert (await there.read()).startswith(CLIENT_HELLO_START)
    await there.write(what)
    with pytest.raises(TlsError) as refused:
        await shaking
    assert refused.value.fault is TlsFault.NOT_TLS


@pytest.mark.parametrize("what", [b"a1 LOGIN x y\r\n", b"GET / HTTP/1.1\r\n\r\n", bytes(64)])
async def test_a_client_that_speaks_plain_text_is_recognised(what: bytes) -> None:
    here, there = memory_pair()
    await here.write(what)
    with pytest.raises(TlsError) as refused:
        await server_tls(there, ends.server_context())
    assert refused.value.fault is TlsFault.NOT_TLS
    assert await here.read() == b""


async def test_nothing_that_came_in_the_clear_survives_into_tls() -> None:
    here, there = memory_pair()
    with pytest.raises(TlsError) as refused:
        await server_tls(there, ends.server_context(), already_read=b"a2 injected\r\n")
    assert refused.value.fault is TlsFault.CLEAR_TEXT
    assert await here.read() == b""

    here, there = memory_pair()
    await there.write(b"* CAPABILITY injected\r\n")
    with pytest.raises(TlsError) as refused:
        await client_tls(here, ends.client_context(), "localhost")
    assert refused.value.fault is TlsFault.CLEAR_TEXT


async def test_a_peer_that_leaves_during_the_handshake_is_told_apart() -> None:
    here, there = memory_pair()
    shaking = asyncio.create_task(client_tls(here, ends.client_context(), "localhost"))
    await there.read()
    await there.aclose()
    with pytest.raises(TlsError) as refused:
        await shaking
    assert refused.value.fault is TlsFault.INTERRUPTED
    assert refused.value.temporary

    here, there = memory_pair()
    shaking = asyncio.create_task(client_tls(here, ends.client_context(), "localhost"))
    await there.read()
    there.abort()
    with pytest.raises(ConnectionResetError):
        await shaking


async def test_a_peer_that_says_nothing_is_left_in_time() -> None:
    here, there = memory_pair()
    with pytest.raises(TimeoutError):
        await client_tls(here, ends.client_context(), "localhost", timeout_s=0.05)
    assert (await there.read()).startswith(CLIENT_HELLO_START)
    with pytest.raises(ConnectionResetError):
        await there.read()


async def test_a_handshake_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_LENGTH_MAX", 500)
    here, there = memory_pair()
    outcomes = await asyncio.gather(
        client_tls(here, ends.client_context(), "localhost"),
        server_tls(there, ends.server_context()),
        return_exceptions=True,
    )
    assert any(isinstance(o, TlsError) and "has no end" in o.what for o in outcomes)


async def test_a_cancelled_handshake_leaves_nothing_behind() -> None:
    here, there = memory_pair()
    shaking = asyncio.create_task(client_tls(here, ends.client_context(), "localhost"))
    await there.read()
    shaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shaking
    with pytest.raises(ConnectionResetError):
        await there.read()


async def connected() -> tuple[ByteStream, ByteStream, ByteStream]:
    """Return a client, its server, and the stream below the client."""
    here, there = memory_pair()
    client, server = await asyncio.gather(
        client_tls(here, ends.client_context(), "localhost"),
        server_tls(there, ends.server_context()),
    )
    await server.write(b"ready")  # TLS 1.3 sends its tickets first; let them pass.
    assert await client.read() == b"ready"
    return client, server, here


async def test_tampered_records_break_the_connection() -> None:
    _, server, below = await connected()
    await below.write(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsError) as broken:
        await server.read()
    assert broken.value.fault is TlsFault.OTHER
    with pytest.raises(ConnectionError):
        await server.write(b"x")


async def test_the_end_comes_with_goodbye_or_without() -> None:
    client, server, below = await connected()
    await client.write(b"last words")
    await client.aclose()
    assert [await server.read(), await server.read()] == [b"last words", b""]

    client, server, below = await connected()
    await client.write(b"last words")
    await below.aclose()
    assert [await server.read(), await server.read()] == [b"last words", b""]


async def test_a_goodbye_in_the_middle_of_talk_loses_nothing() -> None:
    client, server, _ = await connected()
    await client.write(b"on its way")
    await server.send_eof()
    assert await client.read() == b""
    await client.write(b", and more")
    await client.aclose()
    received = b""
    while data := await server.read(4):
        received += data
    assert received == b"on its way, and more"
    with pytest.raises(BrokenPipeError):
        await server.write(b"x")


async def test_what_is_unsent_counts_the_records_too() -> None:
    client, server, below = await connected()
    data = bytes(100_000)
    writing = asyncio.create_task(client.write(data))
    await asyncio.sleep(0)
    on_the_way = client.unsent + server.unread
    assert client.unsent == below.unsent
    assert 100_000 < on_the_way < 100_000 + 10 * 64
    received = 0
    while received < len(data):
        received += len(await server.read())
    await writing
    assert client.unsent == client.undelivered == 0


@pytest.mark.parametrize("how", ["close", "abort", "peer aborts"])
async def test_the_next_connection_resumes_the_session(how: str) -> None:
    accepted, context = ends.client_context(), ends.server_context()

    async def octets_to_connect() -> int:
        here, there = memory_pair()
        client, server = await asyncio.gather(
            client_tls(here, accepted, "localhost"), server_tls(there, context)
        )
        await server.write(b"ready")
        assert await client.read() == b"ready"
        moved = here.moved
        if how == "peer aborts":
            server.abort()
            with pytest.raises(ConnectionResetError):
                await client.read()
        if how == "close":
            await client.aclose()
        client.abort()
        server.abort()
        return moved

    first = await octets_to_connect()
    assert [await octets_to_connect() < first - 500 for _ in range(2)] == [True, True]


async def test_a_session_is_not_resumed_with_another_server() -> None:
    accepted = ends.client_context()
    outcomes = await handshake(accepted, ends.server_context())
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException)
        outcome.abort()
    stranger = trustme.CA().issue_cert("localhost")
    refused = await refusal(accepted, shown(stranger))
    assert refused.fault is TlsFault.UNTRUSTED
