"""How much memory a process has, and had at most, from /proc."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """In octets."""

    resident: int
    peak: int
    """The most that was resident since `forget_peak`."""
    proportional: int
    """PSS: shared pages counted by their share."""


def memory(pid: int) -> Memory:
    """Return what the kernel says about a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return Memory(_kib("VmRSS", status), _kib("VmHWM", status), _kib("Pss", rollup))


def forget_peak(pid: int) -> None:
    """Let the peak begin anew from what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _kib(name: str, text: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None, name
    return int(found[1]) * KIB
