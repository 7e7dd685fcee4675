"""Logging in: what is tried, what is believed, and what is told when it fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mailferry.mail.errors import (
    AuthenticationFailed,
    MailError,
    NotSupported,
    ProtocolFault,
    SourceUnavailable,
)
from mailferry.sources.imap.settings import ImapSettings, Security
from mailferry.sources.imap.source import ImapSource
from mailferry.wire.sasl import AccessToken, Credential
from tests.lab.dovecot import Dovecot, User
from tests.sources.imap.conftest import QUICK, Open, OpenScripted, giving, trusting
from tests.sources.imap.scripted import LOGOUT, scripted

SETTLED = '> LIST "" ""\n< TAG OK done\n'


async def test_capabilities_are_asked_for_when_nobody_tells(opened_at: OpenScripted) -> None:
    script = """
        < * OK ready
        > CAPABILITY
        < * CAPABILITY IMAP4rev1
        < TAG OK done
        > LOGIN u p
        < TAG OK in
        > CAPABILITY
        < * CAPABILITY IMAP4rev1 IDLE
        < TAG OK done
        """
    async with scripted(script + SETTLED + LOGOUT) as server:
        source = opened_at(server.port)
        await source.check_login()
        assert source.capabilities == {"IMAP4REV1", "IDLE"}
        await source.aclose()


async def test_capabilities_told_at_login_are_not_asked_for_again(opened_at: OpenScripted) -> None:
    script = """
        < * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
        > AUTHENTICATE PLAIN AHUAcA==
        < * CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC ID NAMESPACE
        < TAG OK in
        > ID ("name" "mailferry")
        < * ID ("name" "Test" "version" "1")
        < TAG OK done
        > ENABLE QRESYNC
        < * ENABLED QRESYNC
        < TAG OK done
        > NAMESPACE
        < * NAMESPACE (("" "/")) NIL NIL
        < TAG OK done
        """
    async with scripted(script + LOGOUT) as server:
        source = opened_at(server.port)
        await source.check_login()
        assert source.round_trips == 3
        await source.aclose()


async def test_capabilities_can_be_disabled(opened_at: OpenScripted) -> None:
    script = """
        < * OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC] ready
        > LOGIN u p
        < TAG OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC] in
        """
    settings = replace(QUICK, disabled_capabilities=frozenset({"QRESYNC"}))
    async with scripted(script + SETTLED + LOGOUT) as server:
        source = opened_at(server.port, settings)
        await source.check_login()
        assert "QRESYNC" not in source.capabilities
        await source.aclose()


async def test_plain_follows_a_refused_scram_where_nobody_listens(opened_at: OpenScripted) -> None:
    script = """
        < * OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR] ready
        > AUTHENTICATE SCRAM-SHA-256 ...
        < TAG NO [AUTHENTICATIONFAILED] no such secret
        > AUTHENTICATE PLAIN AHUAcA==
        < TAG OK [CAPABILITY IMAP4rev1] in
        """
    async with scripted(script + SETTLED + LOGOUT) as server:
        source = opened_at(server.port)
        await source.check_login()
        await source.aclose()


async def test_a_server_without_proof_is_refused(opened_at: OpenScripted) -> None:
    script = """
        < * OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR] ready
        > AUTHENTICATE SCRAM-SHA-256 ...
        < TAG OK in
        """
    async with scripted(script) as server:
        source = opened_at(server.port)
        with pytest.raises(AuthenticationFailed, match="did not prove"):
            await source.check_login()


async def test_only_mechanisms_that_may_be_used(opened_at: OpenScripted) -> None:
    script = "< * OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN] ready\n"
    settings = replace(QUICK, mechanisms=frozenset({"SCRAM-SHA-256", "LOGIN"}))
    async with scripted(script) as server:
        source = opened_at(server.port, settings)
        with pytest.raises(NotSupported, match="no way to log in with a password"):
            await source.check_login()


REFUSALS: list[tuple[str, str, type[MailError], str]] = [
    ("< * BYE too many connections", "", SourceUnavailable, "too many connections"),
    ("< HTTP/1.1 400 Bad Request", "", SourceUnavailable, "does not keep to IMAP"),
    (
        "< * OK [CAPABILITY IMAP4rev1] ready",
        "> LOGIN u p\n< TAG NO [AUTHENTICATIONFAILED] Wrong.",
        AuthenticationFailed,
        "Wrong.",
    ),
    (
        "< * OK [CAPABILITY IMAP4rev1] ready",
        "> LOGIN u p\n< TAG NO no code",
        AuthenticationFailed,
        "no code",
    ),
    (
        "< * OK [CAPABILITY IMAP4rev1] ready",
        "> LOGIN u p\n< TAG NO [UNAVAILABLE] LDAP is away",
        SourceUnavailable,
        "LDAP is away",
    ),
    (
        "< * OK [CAPABILITY IMAP4rev1] ready",
        "> LOGIN u p\n! close",
        SourceUnavailable,
        "closed the connection",
    ),
    ("< * OK ready", "> CAPABILITY\n< TAG OK done", ProtocolFault, "what it can"),
]


@pytest.mark.parametrize(("greeting", "rest", "error", "words"), REFUSALS)
async def test_refusals_are_told_apart(
    opened_at: OpenScripted, greeting: str, rest: str, error: type[MailError], words: str
) -> None:
    async with scripted(f"{greeting}\n{rest}") as server:
        source = opened_at(server.port)
        with pytest.raises(error, match=words):
            await source.check_login()
        # Nobody is asked again at once, and the reason is remembered.
        with pytest.raises(error, match="the next attempt is in"):
            await source.mailboxes()


async def test_wrong_credentials_are_not_tried_again_soon(opened_at: OpenScripted) -> None:
    script = "< * OK [CAPABILITY IMAP4rev1] ready\n> LOGIN u p\n< TAG NO wrong"
    async with scripted(script) as server:
        source = opened_at(server.port, replace(QUICK, backoff_max_s=100.0))
        with pytest.raises(AuthenticationFailed) as caught:
            await source.check_login()
        assert not caught.value.temporary
        with pytest.raises(AuthenticationFailed, match=r"the next attempt is in (\d\d|1\d\d) s"):
            await source.check_login()


async def test_nobody_there(opened_at: OpenScripted) -> None:
    async with scripted() as server:
        port = server.port
    source = opened_at(port)
    with pytest.raises(SourceUnavailable, match=f"cannot connect to 127.0.0.1:{port}"):
        await source.check_login()


async def test_starttls_is_not_begun_where_somebody_is_in_between(
    opened_at: OpenScripted,
) -> None:
    settings = replace(QUICK, security=Security.STARTTLS)
    async with asyncio.TaskGroup() as tasks:
        for script, error in (
            ("< * PREAUTH [CAPABILITY IMAP4rev1] in", ProtocolFault),
            ("< * OK [CAPABILITY IMAP4rev1] ready\n> STARTTLS\n< TAG NO never", NotSupported),
            (
                "< * OK ready\n> STARTTLS\n< TAG OK go\\r\\n* OK slipped in",
                NotSupported,
            ),
        ):
            async with scripted(script) as server:
                at = replace(settings, host="127.0.0.1", port=server.port)
                source = ImapSource(at, giving(User("u", "p")), trusting(), tasks)
                with pytest.raises(error):
                    await source.check_login()
                await source.aclose()


async def test_a_token_comes_from_outside_at_every_login() -> None:
    asked = 0

    async def credential() -> Credential:
        nonlocal asked
        asked += 1
        return AccessToken("u", f"token{asked}")

    script = """
        < * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN] ready
        > AUTHENTICATE XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHRva2VuMQEB
        < + eyJzdGF0dXMiOiI0MDAifQ==
        > raw:
        < TAG NO [AUTHENTICATIONFAILED] expired
        """
    again = """
        < * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN] ready
        > AUTHENTICATE XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHRva2VuMgEB
        < TAG OK [CAPABILITY IMAP4rev1] in
        """
    async with scripted(script, again + SETTLED + LOGOUT) as server, asyncio.TaskGroup() as tasks:
        settings = ImapSettings(
            host="127.0.0.1", port=server.port, security=Security.PLAIN, backoff_max_s=0.0
        )
        source = ImapSource(settings, credential, trusting(), tasks)
        with pytest.raises(AuthenticationFailed, match="expired"):
            await source.check_login()
        await source.check_login()
        await source.aclose()


async def test_trouble_with_getting_a_token_is_passed_on() -> None:
    async def credential() -> Credential:
        raise SourceUnavailable("the token server does not answer")

    async with asyncio.TaskGroup() as tasks:
        source = ImapSource(ImapSettings(host="localhost", port=1), credential, trusting(), tasks)
        with pytest.raises(SourceUnavailable, match="token server"):
            await source.check_login()
        await source.aclose()


@pytest.mark.parametrize("security", list(Security))
async def test_every_kind_of_protection(dovecot: Dovecot, opened: Open, security: Security) -> None:
    source = opened(dovecot, dovecot.new_user(), replace(QUICK, security=security))
    assert await source.mailboxes()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
async def test_every_mechanism(dovecot: Dovecot, opened: Open, mechanism: str) -> None:
    settings = replace(QUICK, mechanisms=frozenset({mechanism}))
    source = opened(dovecot, dovecot.new_user(), settings)
    assert await source.mailboxes()


async def test_a_server_whose_certificate_nobody_vouches_for(dovecot: Dovecot) -> None:
    async with asyncio.TaskGroup() as tasks:
        settings = ImapSettings(host="localhost", port=dovecot.tls_port)
        source = ImapSource(settings, giving(User("u", "p")), trusting(), tasks)
        with pytest.raises(NotSupported, match="was not issued by an authority known here"):
            await source.check_login()
        await source.aclose()
