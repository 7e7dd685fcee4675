from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mailferry.config import Config, ImapListener, Tls
from mailferry.net.memory import memory_pair
from mailferry.net.tls import client_tls, server_tls
from mailferry.net.tls_context import CertificateUnusable, client_context
from mailferry.node.directory import DataDirectory
from mailferry.node.served_certificate import ServedCertificate, served_certificate
from tests.lab import certificates


async def _shown_to(served: ServedCertificate, name: str) -> None:
    """Shake hands with a client that accepts this certificate only."""
    ours, theirs = memory_pair()
    context = client_context(pinned_fingerprint=served.fingerprint)
    async with asyncio.TaskGroup() as group:
        group.create_task(server_tls(ours, served.context))
        group.create_task(client_tls(theirs, context, name))


async def test_one_is_made_and_kept(tmp_path: Path) -> None:
    config, directory = Config(), DataDirectory(tmp_path)
    made = served_certificate(config, directory)
    assert made.own
    assert served_certificate(config, directory).fingerprint == made.fingerprint
    await _shown_to(made, "localhost")


async def test_the_listeners_addresses_are_in_it(tmp_path: Path) -> None:
    listeners = (ImapListener(host="10.1.2.3"), ImapListener(host="::"))
    served = served_certificate(Config(imap=listeners), DataDirectory(tmp_path))
    for name in ("localhost", "127.0.0.1", "::1", "10.1.2.3"):
        ours, theirs = memory_pair()
        async with asyncio.TaskGroup() as group:
            group.create_task(server_tls(ours, served.context))
            context = client_context(ca_file=tmp_path / "node.pem")
            group.create_task(client_tls(theirs, context, name))


async def test_the_operators_own_is_shown(tmp_path: Path) -> None:
    _, certificate, key = certificates.write(tmp_path / "given")
    config = Config(tls=Tls(certificate_file=certificate, key_file=key))
    served = served_certificate(config, DataDirectory(tmp_path))
    assert not served.own
    assert list(tmp_path.iterdir()) == [tmp_path / "given"]
    await _shown_to(served, "localhost")


def test_a_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("rubbish")
    config = Config(tls=Tls(certificate_file=rubbish, key_file=rubbish))
    with pytest.raises(CertificateUnusable, match="rubbish"):
        served_certificate(config, DataDirectory(tmp_path))
