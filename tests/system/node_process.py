"""`mailferry` as its users run it: a program of its own, driven by its command line alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import msgspec

from mailferry.node.control import ask
from mailferry.node.control_messages import AskStatus
from tests.system.endpoint import HOST, Endpoint

START_S = 20.0
STOP_S = 30.0
COMMAND_S = 60.0
ASK_AGAIN_S = 0.05
SETTLE_S = 60.0  # How long a whole corpus may take to be copied, or a queue to be worked off.
LOCAL_PASSWORD = "shown-once-and-typed-in"
PROGRAM = Path(sys.executable).parent / "mailferry"

_SETTINGS = """
[[imap]]
host = "127.0.0.1"
port = 0
security = "starttls"

[[imap]]
host = "127.0.0.1"
port = 0
security = "tls"
"""


class CommandFailed(Exception):
    """A command of mailferry ended with an error; the text is all that it wrote."""

    def __init__(self, exit_code: int, wrote: str) -> None:
        super().__init__(f"exit {exit_code}: {wrote}")
        self.exit_code = exit_code
        self.wrote = wrote


class NodeProcess:
    """One node with its data in `directory`; may be started, stopped and killed again and again.

    A context manager: the node is ended at its end.
    """

    def __init__(self, directory: Path, *, prefix: Sequence[str] = ()) -> None:
        """`prefix` is put before every command: what makes its surroundings."""
        self.directory = directory
        self._program = [*prefix, str(PROGRAM)]
        self._has_surroundings = bool(prefix)
        self.data = directory / "data"
        self._settings = directory / "mailferry.toml"
        self._settings.write_text(_SETTINGS)
        self._environment = os.environ | {
            "MAILFERRY_DATA": str(self.data),
            "MAILFERRY_CONFIG": str(self._settings),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        self._starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            if error is None:
                self.stop()
            else:
                error.add_note(f"The node's log ends with:\n{self.log()[-4000:]}")
                self.kill()

    @property
    def port(self) -> int:
        """IMAP in the clear, with STARTTLS."""
        return self._ports["starttls"]

    @property
    def tls_port(self) -> int:
        """IMAP in TLS."""
        return self._ports["tls"]

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def command(self, *arguments: str | Path, secret: str = "") -> str:
        """Run a command on this node's data and return what it wrote; `secret` is its input.

        Raises:
            CommandFailed: it ended with an error.
        """
        done = subprocess.run(
            [*self._program, *arguments],
            input=secret,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(done.returncode, f"{done.stdout.strip()}\n{done.stderr.strip()}")
        return done.stdout

    def add_account(
        self,
        server: Endpoint,
        *options: str | Path,
        name: str = "boat",
        bodies: str = "all",
        port: int | None = None,
        security: str = "plain",
    ) -> NodeAccount:
        """Add an account at `server`, reached at `port` where a relay is in between.

        Raises:
            CommandFailed: it was not added.
        """
        secrets = self.directory / f"{name}.local"
        secrets.write_text(LOCAL_PASSWORD + "\n")
        secrets.chmod(0o600)
        self.command(
            *("account", "add", name),
            *("--host", server.host, "--port", str(port or server.port), "--security", security),
            *("--user", server.user, "--password-file", "-"),
            *("--local-login", name, "--local-password-file", secrets),
            *("--bodies", bodies, "--body-size-limit", str(2**40)),
            *options,
            secret=server.password + "\n",
        )
        return NodeAccount(self, server, name)

    def start(self) -> None:
        """Run the node and wait until it says that it is ready.

        Raises:
            CommandFailed: it ended before that; the text is its log.
        """
        self._starts += 1
        with self._log_file().open("wb") as log:
            self._process = subprocess.Popen(
                [*self._program, "run", "--json"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready:
            raise CommandFailed(self._end(signal.SIGTERM), self.log())
        told = json.loads(ready)
        self._ports = {one["security"]: one["port"] for one in told["listeners"]}

    def stop(self) -> None:
        """End it with SIGTERM; it has to end cleanly."""
        assert self._end(signal.SIGTERM) == 0, self.log()

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def log(self) -> str:
        """Return what the node wrote on its standard error since its last start."""
        return self._log_file().read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        """Return what `mailferry status` says.

        Asked for as the command does it, but without starting a program: waiting asks often.
        Where the node has surroundings of its own, only a program can enter them.
        """
        if self._has_surroundings:
            return cast("dict[str, Any]", json.loads(self.command("status", "--json")))
        (answer,) = ask(self.data / "control.socket", AskStatus())
        return cast("dict[str, Any]", msgspec.to_builtins(answer))

    def _log_file(self) -> Path:
        return self.directory / f"log-{self._starts}"

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        try:
            return self._process.wait(STOP_S)
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


class NodeAccount:
    """One account of a node: what mail programs connect to, with `server` behind it."""

    def __init__(self, node: NodeProcess, server: Endpoint, name: str) -> None:
        self.node = node
        self.server = server
        self.name = name

    @property
    def endpoint(self) -> Endpoint:
        """Where mail programs connect now; the port changes with every start."""
        return Endpoint(
            host=HOST,
            port=self.node.port,
            user=self.name,
            password=LOCAL_PASSWORD,
            name="the node",
        )

    def status(self) -> dict[str, Any]:
        """Return what `mailferry status` says about this account."""
        (account,) = (a for a in self.node.status()["accounts"] if a["name"] == self.name)
        assert isinstance(account, dict)
        return account

    def settle(self) -> None:
        """Return when everything that was asked for is at the server."""
        self.wait_for(lambda now: now["pending"] == 0 and now["state"] == "ready", "settled")

    def wait_until_copied(self) -> None:
        """Return when the replica has everything, bodies too."""
        self.wait_for(
            lambda now: now["state"] == "ready" and now["bodies"] == now["messages"] > 0, "copied"
        )

    def wait_until_listed(self) -> None:
        """Return when the replica has every message's summary."""
        self.wait_for(
            lambda now: now["state"] == "ready" and now["messages_listed"] == now["messages"] > 0,
            "listed",
        )

    def wait_for_state(self, state: str) -> dict[str, Any]:
        """Return the status when the account is in this state."""
        return self.wait_for(lambda now: now["state"] == state, state)

    def wait_for(
        self, reached: Callable[[dict[str, Any]], object], what: str = "there"
    ) -> dict[str, Any]:
        """Return the status when `reached` says so; ask again and again until then."""
        deadline = time.monotonic() + SETTLE_S
        while not reached(now := self.status()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {what} after {SETTLE_S:.0f} s: {now}\n{self.node.log()}")
            time.sleep(ASK_AGAIN_S)
        return now
