"""The client mechanisms, against the examples of the RFCs and against our own server side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.sasl import (
    AccessToken,
    ClientMechanism,
    Login,
    OAuthBearer,
    Password,
    Plain,
    ScramSha256,
    XOAuth2,
    client_mechanisms,
)
from mailferry.wire.sasl_errors import SaslFault, SaslRejected
from mailferry.wire.sasl_server import Accepted, Challenge, WantVerifier, server_mechanism
from mailferry.wire.scram import ScramVerifier

CREDENTIAL = Password("user", "pencil")

# RFC 7677 §3.
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_scram_example_of_rfc_7677() -> None:
    client = ScramSha256(CREDENTIAL, nonce=CLIENT_NONCE)
    assert client.initial() == CLIENT_FIRST
    assert client.step(SERVER_FIRST) == CLIENT_FINAL
    assert client.step(SERVER_FINAL) == b""
    client.finish()


@pytest.mark.parametrize(
    "server_first",
    [
        b"",
        b"\xff",
        b"r=someone-else,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        CLIENT_FIRST[3:] + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        SERVER_FIRST.replace(b"i=4096", b"i=1"),
        SERVER_FIRST.replace(b"i=4096", b"i=99999999"),
        SERVER_FIRST.replace(b"i=4096", b"i=x"),
        SERVER_FIRST.replace(b"s=", b"s=*"),
        b"m=extension," + SERVER_FIRST,
        SERVER_FIRST + b"," + b"x" * 20_000,
    ],
)
def test_scram_refuses_a_wrong_first_message(server_first: bytes) -> None:
    client = ScramSha256(CREDENTIAL, nonce=CLIENT_NONCE)
    with pytest.raises(SaslFault):
        client.step(server_first)


@pytest.mark.parametrize("server_final", [b"e=invalid-proof", b"v=AAAA", b"v="])
def test_scram_refuses_a_server_that_does_not_know_the_password(server_final: bytes) -> None:
    client = ScramSha256(CREDENTIAL, nonce=CLIENT_NONCE)
    client.step(SERVER_FIRST)
    with pytest.raises(SaslRejected):
        client.step(server_final)
    with pytest.raises(SaslRejected):
        client.finish()


def test_scram_refuses_success_without_proof() -> None:
    with pytest.raises(SaslRejected):
        ScramSha256(CREDENTIAL).finish()


def test_plain_example_of_rfc_4616() -> None:
    assert Plain(Password("tim", "tanstaaftanstaaf")).initial() == b"\0tim\0tanstaaftanstaaf"
    with pytest.raises(SaslFault):
        Plain(CREDENTIAL).step(b"")


def test_login_goes_by_the_order_of_challenges() -> None:
    login = Login(CREDENTIAL)
    assert login.initial() is None
    assert [login.step(b"User Name\0"), login.step(b"Password\0")] == [b"user", b"pencil"]
    with pytest.raises(SaslFault):
        login.step(b"More?")


def test_oauthbearer_example_of_rfc_7628() -> None:
    credential = AccessToken("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    client = OAuthBearer(credential, host="server.example.com", port=143)
    assert client.initial() == (
        b"n,a=user@example.com,\1host=server.example.com\1port=143\1"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
    )
    assert client.step(b'{"status":"invalid_token","scope":"example_scope"}') == b"\1"
    assert client.server_error == "invalid_token"


def test_xoauth2_answers_an_error_with_an_empty_line() -> None:
    client = XOAuth2(AccessToken("u@x", "abc"))
    assert client.initial() == b"user=u@x\1auth=Bearer abc\1\1"
    assert client.step(b'{"status":"400"}') == b""
    assert client.server_error == "400"
    assert client.step(b"not json") == b""


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ({"PLAIN"}, ["PLAIN"]),
        ({"LOGIN"}, ["LOGIN"]),
        ({"PLAIN", "SCRAM-SHA-256", "LOGIN"}, ["SCRAM-SHA-256", "PLAIN"]),
        ({"XOAUTH2", "GSSAPI"}, []),
    ],
)
def test_mechanisms_for_a_password(offered: set[str], expected: list[str]) -> None:
    assert [m.name for m in client_mechanisms(CREDENTIAL, offered)] == expected


def test_mechanisms_for_a_token() -> None:
    offered = {"PLAIN", "XOAUTH2", "OAUTHBEARER"}
    names = [m.name for m in client_mechanisms(AccessToken("u", "t"), offered)]
    assert names == ["OAUTHBEARER", "XOAUTH2"]


def test_no_secret_in_a_repr() -> None:
    for value in (CREDENTIAL, AccessToken("user", "pencil"), Plain(CREDENTIAL)):
        assert "pencil" not in repr(value)


def converse(client: ClientMechanism, verifier: ScramVerifier | None) -> str:
    """Join a client and our server side; return the login that was accepted."""
    server = server_mechanism(client.name, decoy_key=b"k")
    assert server is not None
    response = client.initial()
    assert response is not None
    for _ in range(4):
        step = server.step(response)
        if isinstance(step, WantVerifier):
            step = server.use(verifier)
        if isinstance(step, Accepted):
            client.finish()
            return step.login
        assert isinstance(step, Challenge)
        response = client.step(step.data)
    raise AssertionError("no end")


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize(
    ("user", "password"),
    [("user", "pencil"), ("a,b=c", "x,y=z"), ("jürgen", "\u00aa\u2168\u00a0Straße"), ("u", "n=,,")],
)
def test_client_and_server_agree(name: str, user: str, password: str) -> None:
    [client] = client_mechanisms(Password(user, password), {name})
    assert converse(client, ScramVerifier.from_password(password)) == user


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("verifier", [None, ScramVerifier.from_password("other")])
def test_server_refuses_wrong_password_and_unknown_login(
    name: str, verifier: ScramVerifier | None
) -> None:
    [client] = client_mechanisms(CREDENTIAL, {name})
    with pytest.raises(SaslRejected):
        converse(client, verifier)


@given(st.binary(max_size=200))
def test_any_challenge_is_answered_or_refused(challenge: bytes) -> None:
    client = ScramSha256(CREDENTIAL, nonce=CLIENT_NONCE)
    with pytest.raises((SaslFault, SaslRejected)):
        client.step(challenge)
