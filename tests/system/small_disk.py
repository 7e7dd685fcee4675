"""A disk that is soon full: a small tmpfs that only the programs in its namespace see. No root needed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class NoNamespaces(Exception):
    """This machine does not let us mount anything, not even for ourselves."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A directory with little room."""

    directory: Path
    prefix: tuple[str, ...]
    """What to put before a command that is to see it."""

    def take_room(self, octets: int) -> None:
        """Write a file of this size; less where the disk ends before."""
        ballast = self.directory / "ballast"
        with subprocess.Popen(
            [
                *self.prefix,
                "dd",
                "if=/dev/zero",
                f"of={ballast}",
                "bs=4096",
                f"count={octets // 4096}",
            ],
            stderr=subprocess.DEVNULL,
        ) as writing:
            writing.wait()

    def give_room(self) -> None:
        """Delete that file."""
        subprocess.run([*self.prefix, "rm", self.directory / "ballast"], check=True)

    def free(self) -> int:
        """Return how many octets are free."""
        command = [*self.prefix, "stat", "-f", "-c", "%a %S", str(self.directory)]
        blocks, size = subprocess.run(command, check=True, capture_output=True).stdout.split()
        return int(blocks) * int(size)


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a disk of `size` octets at `directory` for as long as the block lasts.

    Raises:
        NoNamespaces: that is not possible here.
    """
    as_root = os.geteuid() == 0
    holder = subprocess.Popen(
        [
            "unshare",
            *([] if as_root else ["--user", "--map-root-user"]),
            *("--mount", "--propagation", "private"),
            *(
                "sh",
                "-c",
                f"mount -t tmpfs -o size={size},mode=700 tmpfs {directory} && echo && cat",
            ),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    with holder, holder.stdin, holder.stdout, holder.stderr:
        if not holder.stdout.readline():
            raise NoNamespaces(holder.stderr.read().decode(errors="replace").strip())
        enter = ["nsenter", "--target", str(holder.pid), "--mount"]
        if not as_root:
            enter += ["--user", "--preserve-credentials"]
        yield SmallDisk(directory, tuple(enter))
