from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.discovery.autoconfig import PAGE_LENGTH_MAX, PLACES, fetch, parse, url_of
from mailferry.discovery.candidate import Candidate, Origin
from mailferry.store.account_settings import ServerSecurity
from tests.lab import certificates

PAGE = b"""<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="example.org">
    <domain>example.org</domain>
    <incomingServer type="pop3">
      <hostname>pop.example.org</hostname><port>995</port><socketType>SSL</socketType>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>imap.%EMAILDOMAIN%</hostname>
      <port> 993 </port>
      <socketType>SSL</socketType>
      <username>%EMAILLOCALPART%</username>
      <authentication>OAuth2</authentication>
      <authentication>password-cleartext</authentication>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>oauth.example.org</hostname><port>143</port><socketType>STARTTLS</socketType>
      <authentication>OAuth2</authentication>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>bare.example.org</hostname><port>143</port><socketType>plain</socketType>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>bad.example.org</hostname><port>99999</port><socketType>SSL</socketType>
    </incomingServer>
    <incomingServer type="imap"><hostname/></incomingServer>
  </emailProvider>
</clientConfig>
"""


def test_a_page_names_imap_servers_with_tls() -> None:
    assert parse(PAGE, "mina@example.org", Origin.AUTOCONFIG) == [
        Candidate(
            host="imap.example.org",
            port=993,
            security=ServerSecurity.TLS,
            user="mina",
            origin=Origin.AUTOCONFIG,
        ),
        Candidate(
            host="oauth.example.org",
            port=143,
            security=ServerSecurity.STARTTLS,
            user="mina@example.org",
            origin=Origin.AUTOCONFIG,
            oauth2=True,
        ),
    ]


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + PAGE


@pytest.mark.parametrize(
    "page", [b"", b"<html><p>404", b"\xff\xfe", BOMB, PAGE + b" " * PAGE_LENGTH_MAX]
)
def test_what_is_no_such_page_names_nobody(page: bytes) -> None:
    assert parse(page, "mina@example.org", Origin.DIRECTORY) == []


@given(st.binary(max_size=200))
def test_any_octets_name_nobody_or_are_refused(page: bytes) -> None:
    assert parse(page, "mina@example.org", Origin.DIRECTORY) == []


def test_the_directory_never_learns_the_address() -> None:
    urls = {origin: url_of(place, "mina+x@example.org") for origin, place in PLACES}
    assert urls[Origin.DIRECTORY] == "https://autoconfig.thunderbird.net/v1.1/example.org"
    assert all(url.startswith("https://") for url in urls.values())
    assert url_of(PLACES[0][1], "a&b=c@example.org").endswith("=a%26b%3Dc%40example.org")


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/page":
                self._answer(200, PAGE)
            case "/moved":
                self.send_response(302)
                self.send_header("Location", "/page")
                self.end_headers()
            case "/clear":
                self.send_response(302)
                self.send_header("Location", "http://localhost:1/page")
                self.end_headers()
            case "/endless":
                self._answer(200, b" " * (PAGE_LENGTH_MAX + 1))
            case _:
                self._answer(404, b"not here")

    def _answer(self, status: int, page: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args: object) -> None:
        del args


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address of an HTTPS server and the authority to trust."""
    ca, certificate, key = certificates.write(tmp_path_factory.mktemp("pages"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", ca
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "page"),
    [("/page", PAGE), ("/moved", PAGE), ("/clear", None), ("/endless", None), ("/none", None)],
)
def test_pages_come_over_https_only(
    pages: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, path: str, page: bytes | None
) -> None:
    address, ca = pages
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    assert fetch(address + path) == page


def test_a_server_that_cannot_prove_itself_is_not_asked(pages: tuple[str, Path]) -> None:
    assert fetch(pages[0] + "/page") is None


def test_nobody_there_is_no_error() -> None:
    assert fetch("https://localhost:1/page") is None
