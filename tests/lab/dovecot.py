"""A real Dovecot in a throw-away directory, which can be stopped, killed and started again.

All methods block for a moment; a test with a busy event loop calls them by asyncio.to_thread.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab import certificates, dovecot_config, processes, programs, reaper
from tests.lab.dovecot_config import Settings

STARTS_MAX = 3  # A port that was free a moment ago may be taken when the server comes to it.


@dataclass(frozen=True)
class User:
    """Somebody with an account at the server."""

    name: str
    password: str


class Dovecot:
    """One server; every user name can log in with the same password."""

    host = processes.HOST
    password = "correct-horse"

    def __init__(self, settings: Settings | None = None) -> None:
        """Make the directory; nothing is started yet."""
        self.settings = settings or Settings()
        # Not pytest's tmp_path: the path has to be short (Unix sockets: 108) and open to nobody.
        self.directory = Path(tempfile.mkdtemp(prefix="mailferry-lab-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.ca_file, self._certificate, self._key = certificates.write(self.directory / "tls")
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}

    @property
    def port(self) -> int:
        """IMAP in the clear, with STARTTLS."""
        return self._ports["imap"]

    @property
    def tls_port(self) -> int:
        """IMAP in TLS; the certificate is the laboratory's, see `ca_file`."""
        return self._ports["imaps"]

    def new_user(self) -> User:
        """Return somebody who was never here before."""
        return User(f"user{next(self._names)}", self.password)

    def start(self) -> None:
        """Start; on the same ports as before when it was started before.

        Raises:
            RuntimeError: Dovecot ended at once; the text has its log.
        """
        for _ in range(STARTS_MAX):
            self._ports = self._ports or {n: processes.free_port() for n in ("imap", "imaps")}
            try:
                self._start()
            except ChildProcessError:
                if "Address already in use" not in self.log():
                    break
                self._ports = {}
            else:
                return
        raise RuntimeError(f"Dovecot did not start:\n{self.log()}")

    def stop(self) -> None:
        """End it properly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End all its processes at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """End it and delete everything."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        """Return what it has logged, and what it said before it could log."""
        files = (self.directory / n for n in ("stderr", "dovecot.log"))
        return "".join(f.read_text(errors="replace") for f in files if f.exists())

    def _start(self) -> None:
        owner = dovecot_config.mail_owner()
        for name in ("home", "run", "var"):
            (self.directory / name).mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.directory / "home", owner.uid, owner.gid)
        configuration = self.directory / "dovecot.conf"
        configuration.write_text(
            dovecot_config.text(
                self.settings,
                directory=self.directory,
                ports=self._ports,
                password=self.password,
                certificate=self._certificate,
                key=self._key,
            )
        )
        (self.directory / "run/master.pid").unlink(missing_ok=True)  # Left by a killed one.
        program = programs.find("dovecot")
        with (self.directory / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                [program.path, "-F", "-c", configuration],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=os.environ | program.environment,
                start_new_session=True,
            )
        reaper.watch(self._process.pid, self.directory)
        for port in self._ports.values():
            processes.wait_for_port(port, alive=self._process.pid)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            processes.end_tree(self._process.pid, how)
            self._process.wait()
            reaper.forget(self._process.pid)
            self._process = None
