"""Real mail to test with: the whole corpus where MAILFERRY_CORPUS names its folder, else a sample.

The folder holds `*.tar.xz`, one file a message.  The sample is tests/data/mail.  A test reads the same
way from both, so nothing is left out silently; how many messages there are is all that differs.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SAMPLE = Path(__file__).parents[1] / "data" / "mail"
WHOLE_VARIABLE = "MAILFERRY_CORPUS"

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Mail(NamedTuple):
    """One message of the corpus."""

    name: str
    """Archive or folder and file: what a failing test prints."""
    raw: bytes
    """As published: any line ends, bare CRs, NULs."""

    @property
    def content(self) -> bytes:
        """The message as it travels: every line ends in CRLF."""
        return _LINE_END.sub(b"\r\n", self.raw)


def folder() -> Path | None:
    """Return the whole corpus' folder, None where there is only the sample.

    Raises:
        FileNotFoundError: MAILFERRY_CORPUS is set and no corpus is there.
    """
    named = os.environ.get(WHOLE_VARIABLE)
    if not named:
        return None
    path = Path(named)
    if not any(path.glob("*.tar.xz")):
        raise FileNotFoundError(f"{WHOLE_VARIABLE} names {path}, and no *.tar.xz is there")
    return path


def mails(archive: str = "*") -> Iterator[Mail]:
    """Yield the messages, one by one, in a fixed order.

    `archive` is a pattern for the archives' names without ".tar.xz"; in the sample, for its folders'.
    """
    whole = folder()
    if whole is None:
        yield from _sample(archive)
        return
    for path in sorted(whole.glob(f"{archive}.tar.xz")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield Mail(f"{path.name.removesuffix('.tar.xz')}/{member.name}", file.read())


def description() -> str:
    """Say which mail the tests run over."""
    whole = folder()
    return "the whole corpus" if whole else "the sample in tests/data/mail"


def _sample(archive: str) -> Iterator[Mail]:
    for path in sorted(SAMPLE.glob(f"{archive}/**/*.eml")):
        yield Mail(path.relative_to(SAMPLE).as_posix(), path.read_bytes())
