"""docs/rfc.md is held to the code: what it names exists, what the code cites is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "mailferry"
ROW = re.compile(
    r"^\| (\d{3,5}) \| ([^|]+) \| (yes|partly|no) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE
)
CITED = re.compile(r"\bRFC (\d{3,5})\b")


def rows() -> list[tuple[str, str, str, str, str]]:
    return ROW.findall((ROOT / "docs" / "rfc.md").read_text())


def cited() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in [*SOURCES.rglob("*.py"), *SOURCES.rglob("*.sql")]:
        for number in CITED.findall(path.read_text()):
            found.setdefault(number, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_line_of_the_table_can_be_read() -> None:
    text = (ROOT / "docs" / "rfc.md").read_text()
    lines = [line for line in text.splitlines() if re.match(r"\| *\d", line)]
    assert len(lines) == len(rows()) > 30


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"RFC{row[0]}")
def test_what_the_table_names_exists(row: tuple[str, str, str, str, str]) -> None:
    _number, _title, status, where, _note = row
    modules = re.findall(r"`([^`]+)`", where)
    assert bool(modules) == (status != "no"), "a supported RFC names its modules, another none"
    for module in modules:
        assert (SOURCES / module).exists(), f"{module} does not exist"


def test_no_rfc_is_listed_twice() -> None:
    numbers = [row[0] for row in rows()]
    assert len(numbers) == len(set(numbers))


def test_every_rfc_that_the_code_cites_is_in_the_table() -> None:
    listed = {row[0] for row in rows()}
    missing = {number: sorted(files) for number, files in cited().items() if number not in listed}
    assert not missing
