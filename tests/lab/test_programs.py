from __future__ import annotations

import os
import subprocess

import pytest

from tests.lab import packages, programs

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("name", "option", "says"),
    [
        ("dovecot", "--version", "2.3"),
        ("mutt", "-v", "Mutt 2"),
        ("mbsync", "--version", "isync 1"),
        ("curl", "--version", "imap"),
    ],
)
def test_each_program_starts(name: str, option: str, says: str) -> None:
    program = programs.find(name)
    done = subprocess.run(
        [program.path, option],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | program.environment,
    )
    assert says in done.stdout + done.stderr


def test_a_missing_program_is_a_failure_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs, "UNPACKED_ONLY", True)
    monkeypatch.setattr(packages, "tree", lambda name: None)
    with pytest.raises(programs.ProgramMissing, match=r"make test.* or install isync"):
        programs.find("mbsync")
