"""What the program's exit code says.  docs/commands.md lists them; a test holds it to this table."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """For scripts: the reason in a number."""

    DONE = 0
    """It was done."""
    FAILED = 1
    """It could not be done; the message says why."""
    USAGE = 2
    """The command line or the settings file is wrong."""
    NOT_RUNNING = 3
    """No node runs on this data directory."""
    UNREACHABLE = 4
    """The mail server cannot be reached, or cannot prove who it is."""
    LOGIN_REFUSED = 5
    """The mail server refused the user name or password."""
    STORAGE = 6
    """The disk is full, or a file is damaged or cannot be used."""
    IN_USE = 7
    """Another mailferry uses the data directory."""
    OWN_FAULT = 70
    """A fault in mailferry itself; `--debug` shows where."""
    INTERRUPTED = 130
    """Ended by Ctrl-C."""
