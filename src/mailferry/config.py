"""The settings of a node: a TOML file into typed values, with the place of every mistake.

There need not be a file: the defaults serve mail programs on the same machine.  Accounts are not
here; they live in the journal file (docs/decisions/0005) and are made by `mailferry account add`.

The docstring of a field is its documentation: `mailferry config describe` prints them as an
annotated file (`config_text`), which is itself a valid file with all the defaults.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FILE_NAME: Final = "mailferry.toml"
SYSTEM_FILE: Final = Path("/etc/mailferry") / FILE_NAME
FILE_LENGTH_MAX: Final = 1024 * 1024  # Octets: a settings file is a page; more is a mistake.

Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigError(Exception):
    """A settings file cannot be used.  The text names file, line and field, and what to do."""


class ListenerSecurity(StrEnum):
    """How a connection of a mail program is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    PLAIN = "plain"


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


class ImapListener(_Table):
    """Where mail programs reach the node with IMAP.  Give the table as often as you like."""

    host: str = "127.0.0.1"
    """Address to listen on: "127.0.0.1" serves this machine only, "0.0.0.0" and "::" all networks."""
    port: Port = 1143
    """TCP port; 0 takes any free one, which `run` then tells."""
    security: ListenerSecurity = ListenerSecurity.STARTTLS
    """"tls": TLS from the first octet.  "starttls": the mail program asks for TLS; without it, it may
    log in from this machine only.  "plain": no TLS at all, on this machine only."""

    @model_validator(mode="after")
    def _plain_stays_at_home(self) -> ImapListener:
        if self.security is ListenerSecurity.PLAIN and not is_loopback(self.host):
            raise ValueError(
                f'security = "plain" would send passwords in the clear on {self.host}; '
                'use "tls" or "starttls", or host = "127.0.0.1"'
            )
        return self


class Tls(_Table):
    """The certificate that mail programs see."""

    certificate_file: Path | None = None
    """PEM file with the certificate and its chain.  Without it, mailferry makes one of its own
    in the data directory on first start and shows its fingerprint."""
    key_file: Path | None = None
    """PEM file with the private key of that certificate; it must be readable by mailferry alone."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Tls:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both or neither")
        return self


class Limits(_Table):
    """How much the node takes on."""

    connections_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Connections of mail programs at the same time; more are turned away with a word."""
    message_size_max_octets: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    """The largest message that a mail program may put into a mailbox."""
    disk_reserve_octets: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    """`doctor` and `status` warn when the data directory has less room than this."""
    stop_timeout_s: Annotated[float, Field(ge=1, le=300)] = 15.0
    """How long the node may take to say goodbye to mail servers and programs when it is stopped."""


class Config(_Table):
    """All settings of a node."""

    data_directory: Path | None = None
    """Where the journal, the replicas and the keys are.  Without it: $XDG_DATA_HOME/mailferry, that
    is ~/.local/share/mailferry.  `--data` and MAILFERRY_DATA come before it."""
    imap: tuple[ImapListener, ...] = (
        ImapListener(port=1143, security=ListenerSecurity.STARTTLS),
        ImapListener(port=1993, security=ListenerSecurity.TLS),
    )
    tls: Tls = Tls()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _ports_differ(self) -> Config:
        taken = [(listener.host, listener.port) for listener in self.imap if listener.port]
        if len(set(taken)) < len(taken):
            raise ValueError("two [[imap]] listeners have the same host and port")
        return self


def is_loopback(host: str) -> bool:
    """Whether `host` is an address that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_file(option: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the settings file: the option's, MAILFERRY_CONFIG's, the user's or the system's.

    None when nobody named one and there is none.
    """
    if option is not None:
        return option
    if named := environ.get("MAILFERRY_CONFIG"):
        return Path(named)
    users = _xdg(environ, "XDG_CONFIG_HOME", ".config") / "mailferry" / FILE_NAME
    return next((path for path in (users, SYSTEM_FILE) if path.exists()), None)


def find_data_directory(option: Path | None, config: Config, environ: Mapping[str, str]) -> Path:
    """Return where the data is: the option's, MAILFERRY_DATA's, the file's, or the user's own place."""
    if option is not None:
        return option
    if named := environ.get("MAILFERRY_DATA"):
        return Path(named)
    if config.data_directory is not None:
        return config.data_directory.expanduser()
    return _xdg(environ, "XDG_DATA_HOME", ".local/share") / "mailferry"


def load_config(path: Path | None) -> Config:
    """Read a settings file; the defaults when there is none.

    Raises:
        ConfigError: it cannot be read or used.
    """
    if path is None:
        return Config()
    try:
        if path.stat().st_size > FILE_LENGTH_MAX:
            raise ConfigError(f"{path}: longer than {FILE_LENGTH_MAX} octets: not a settings file")
        text = path.read_text("utf-8")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not text in UTF-8") from exc
    return parse_config(text, str(path))


def parse_config(text: str, file: str) -> Config:
    """Read settings from `text`; `file` is what mistakes call it.

    Raises:
        ConfigError: every mistake, one a line.
    """
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{file}: not TOML: {exc}") from None
    except ValidationError as exc:
        mistakes = exc.errors(include_url=False, include_context=True)
        raise ConfigError("\n".join(_in_words(text, file, one) for one in mistakes)) from None


def config_text() -> str:
    """Return an annotated settings file that holds every setting with its default."""
    lines = _comment(
        "Settings of a mailferry node.  Every line shows the default; all may be left out."
    )
    lines += ["", *_comment(_documentation(Config, "data_directory")), "# data_directory = ..."]
    defaults = Config()
    for index, listener in enumerate(defaults.imap):
        lines += ["", *(_comment(ImapListener.__doc__ or "") if index == 0 else ())]
        lines += ["[[imap]]", *_assignments(listener, documented=index == 0)]
    for name, table in (("tls", defaults.tls), ("limits", defaults.limits)):
        lines += ["", *_comment(type(table).__doc__ or ""), f"[{name}]"]
        lines += _assignments(table, documented=True)
    return "\n".join(lines) + "\n"


def _assignments(table: BaseModel, *, documented: bool) -> list[str]:
    lines: list[str] = []
    for name in type(table).model_fields:
        if documented:
            lines += _comment(_documentation(type(table), name))
        value = getattr(table, name)
        lines.append(f"# {name} = ..." if value is None else f"{name} = {_toml(value)}")
    return lines


def _documentation(model: type[BaseModel], field: str) -> str:
    return model.model_fields[field].description or ""


def _comment(text: str) -> list[str]:
    return [f"# {line.strip()}" for line in text.splitlines()]


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    given = environ.get(variable, "")
    # The XDG specification wants relative paths ignored.
    return Path(given) if os.path.isabs(given) else Path.home() / fallback


def _in_words(text: str, file: str, mistake: Mapping[str, Any]) -> str:
    location: tuple[str | int, ...] = mistake["loc"]
    match mistake["type"]:
        case "extra_forbidden":
            what = _unknown_setting(location)
        case "tuple_type":
            what = "write each listener as a table of its own, with two brackets: [[imap]]"
        case "path_type":
            what = 'a path is written in quotes: "/var/lib/mailferry"'
        case _:
            what = mistake["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if not location:
        return f"{file}: {what}"
    return f"{file}:{_line_of(text, location)}: {_dotted(location)}: {what}"


def _unknown_setting(location: tuple[str | int, ...]) -> str:
    tables: dict[str, type[BaseModel]] = {"imap": ImapListener, "tls": Tls, "limits": Limits}
    model = tables.get(str(location[0]), Config) if len(location) > 1 else Config
    known = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return f"there is no such setting; {hint}"


def _dotted(location: tuple[str | int, ...]) -> str:
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _line_of(text: str, location: tuple[str | int, ...]) -> int:
    """Return the line (from 1) of a setting; of its table where the setting itself is not there."""
    names = [part for part in location if isinstance(part, str)]
    nth_wanted = next((part for part in location if isinstance(part, int)), 0)
    seen: Counter[str] = Counter()
    table, table_line = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith("["):
            table = words.strip("[] ")
            seen[table] += 1
        key = words.partition("=")[0].strip(' "')
        if not table or seen[table] - 1 == nth_wanted:
            if [name for name in (table, key) if name] == names:
                return number
            if words.startswith("[") and table == names[0]:
                table_line = number
    return table_line
