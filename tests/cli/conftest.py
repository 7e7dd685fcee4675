from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def mailferry(tmp_path: Path) -> Program:
    """Return the program, with a data directory that does not exist yet."""
    return Program(tmp_path)
