"""The terminal: where results go and where messages go."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

output: Final = Console(highlight=False)
"""Results: standard output."""
errors: Final = Console(stderr=True, highlight=False)
"""Messages, questions and progress: standard error, so that results can be piped."""


def is_attended() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
