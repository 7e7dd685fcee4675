"""The server mechanisms and the verifier that is kept instead of a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.sasl_errors import SaslFault, SaslRejected
from mailferry.wire.sasl_server import (
    Accepted,
    Challenge,
    ServerPlain,
    ServerScramSha256,
    WantVerifier,
    server_mechanism,
)
from mailferry.wire.saslprep import saslprep
from mailferry.wire.scram import ScramVerifier, from_base64

from .test_sasl import CLIENT_FINAL, CLIENT_FIRST, CLIENT_NONCE, SERVER_FINAL, SERVER_FIRST

SALT = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==")
VERIFIER = ScramVerifier.from_password("pencil", salt=SALT)
SERVER_NONCE = SERVER_FIRST[2:].split(b",")[0].decode().removeprefix(CLIENT_NONCE)


def scram() -> ServerScramSha256:
    return ServerScramSha256(decoy_key=b"k", nonce=SERVER_NONCE)


def test_scram_example_of_rfc_7677() -> None:
    server = scram()
    assert server.step(CLIENT_FIRST) == WantVerifier("user")
    assert server.use(VERIFIER) == Challenge(SERVER_FIRST)
    assert server.step(CLIENT_FINAL) == Challenge(SERVER_FINAL)
    assert server.step(b"") == Accepted("user")


@pytest.mark.parametrize(
    "client_first",
    [
        b"",
        b"p=tls-unique,,n=user,r=abc",
        b"n,,n=user",
        b"n,,r=abc",
        b"n,,n=us=2er,r=abc",
        b"n,,m=x,n=user,r=abc",
        b"\xff",
    ],
)
def test_scram_refuses_a_wrong_first_message(client_first: bytes) -> None:
    with pytest.raises(SaslFault):
        scram().step(client_first)


@pytest.mark.parametrize(
    "client_final",
    [
        b"",
        CLIENT_FINAL.replace(b"c=biws", b"c=eSws"),
        CLIENT_FINAL.replace(b"r=rO", b"r=RO"),
        CLIENT_FINAL.split(b",p=")[0],
        CLIENT_FINAL.split(b",p=")[0] + b",p=AAAA",
    ],
)
def test_scram_refuses_a_wrong_final_message(client_final: bytes) -> None:
    server = scram()
    server.step(CLIENT_FIRST)
    server.use(VERIFIER)
    with pytest.raises(SaslFault):
        server.step(client_final)


def test_scram_refuses_a_wrong_proof() -> None:
    server = scram()
    server.step(CLIENT_FIRST)
    server.use(VERIFIER)
    with pytest.raises(SaslRejected):
        server.step(CLIENT_FINAL.replace(b"p=dH", b"p=eH"))


def test_an_unknown_login_is_asked_for_a_proof_as_any_other() -> None:
    challenges = []
    for _ in range(2):
        server = scram()
        server.step(CLIENT_FIRST)
        challenges.append(server.use(None))
    assert challenges[0] == challenges[1] != Challenge(SERVER_FIRST)


def test_nobody_acts_for_another() -> None:
    with pytest.raises(SaslRejected):
        ServerPlain(decoy_key=b"k").step(b"admin\0user\0pencil")
    with pytest.raises(SaslRejected):
        scram().step(b"n,a=admin,n=user,r=abc")


@pytest.mark.parametrize(
    "response", [b"", b"a\0b", b"\0\0pw", b"\0a\0b\0c", b"\xff", b"x" * 20_000]
)
def test_plain_refuses_a_wrong_message(response: bytes) -> None:
    with pytest.raises(SaslFault):
        ServerPlain(decoy_key=b"k").step(response)


def test_mechanisms_by_name() -> None:
    assert isinstance(server_mechanism("plain", decoy_key=b"k"), ServerPlain)
    assert server_mechanism("CRAM-MD5", decoy_key=b"k") is None


def test_verifier_as_text() -> None:
    text = VERIFIER.to_text()
    assert text.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert ScramVerifier.from_text(text) == VERIFIER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$x:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4096:*$AAAA:AAAA",
    ],
)
def test_verifier_from_wrong_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a SCRAM verifier$"):
        ScramVerifier.from_text(text)


def test_verifier_knows_the_password_only() -> None:
    assert VERIFIER.verify("pencil")
    assert not VERIFIER.verify("Pencil")
    assert not ScramVerifier.decoy("user", b"k").verify("pencil")
    assert "salt" not in repr(VERIFIER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 4013 §3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
    ],
)
def test_saslprep(text: str, expected: str) -> None:
    assert saslprep(text) == expected


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031"])
def test_saslprep_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="user name or password"):
        saslprep(text)


def test_saslprep_of_a_value_to_be_kept_wants_assigned_characters() -> None:
    assert saslprep("\u0221") == "\u0221"
    with pytest.raises(ValueError, match="user name or password"):
        saslprep("\u0221", stored=True)


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_any_bytes_are_answered_or_refused(responses: list[bytes]) -> None:
    for name in ("PLAIN", "SCRAM-SHA-256"):
        server = server_mechanism(name, decoy_key=b"k")
        assert server is not None
        try:
            for response in responses:
                if isinstance(server.step(response), WantVerifier):
                    server.use(VERIFIER)
        except (SaslFault, SaslRejected):
            pass
