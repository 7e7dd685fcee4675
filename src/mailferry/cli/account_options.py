"""The options that describe an account, shared by `account add` and `account update`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from pydantic import ValidationError

from mailferry.cli.errors import CommandFailed
from mailferry.cli.exit_code import ExitCode
from mailferry.node.accounts import AccountSettings, BodyPolicy, Mechanism, ServerSecurity

_SERVER: Final = "Mail server"
_COPY: Final = "What is copied here"
_LOCAL: Final = "Login of mail programs at mailferry"

Host: TypeAlias = Annotated[
    str | None, typer.Option("--host", help="Name of the IMAP server.", rich_help_panel=_SERVER)
]
ServerPort: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--port",
        help="Its port; without it 993 for tls, 143 otherwise.",
        rich_help_panel=_SERVER,
    ),
]
Security: TypeAlias = Annotated[
    ServerSecurity | None,
    typer.Option(
        "--security",
        help="tls, starttls, or plain (no protection: for servers on the same machine).",
        rich_help_panel=_SERVER,
    ),
]
User: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--user", help="User name there; without it the address.", rich_help_panel=_SERVER
    ),
]
PasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read the password (or access token) from this file; - is standard input.",
        rich_help_panel=_SERVER,
    ),
]
PasswordDescriptor: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--password-fd",
        metavar="NUMBER",
        help="Read it from this open descriptor.",
        rich_help_panel=_SERVER,
    ),
]
Auth: TypeAlias = Annotated[
    Mechanism | None,
    typer.Option(
        "--mechanism",
        help="How to log in; xoauth2 and oauthbearer take an access token as password.",
        rich_help_panel=_SERVER,
    ),
]
CaFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Trust the authorities in this PEM file instead of the system's.",
        rich_help_panel=_SERVER,
    ),
]
PinnedFingerprint: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        metavar="SHA256",
        help="Trust exactly the certificate with this SHA-256 fingerprint, and no other.",
        rich_help_panel=_SERVER,
    ),
]
Bodies: TypeAlias = Annotated[
    BodyPolicy | None,
    typer.Option(
        "--bodies",
        help="Copy bodies ahead of time: of no message (list), of new ones, of all.",
        rich_help_panel=_COPY,
    ),
]
BodySizeLimit: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--body-size-limit",
        metavar="OCTETS",
        help="Leave larger bodies at the server until they are read.",
        rich_help_panel=_COPY,
    ),
]
PollInterval: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--poll-interval",
        metavar="SECONDS",
        help="How often to look into mailboxes that the server does not watch for us.",
        rich_help_panel=_COPY,
    ),
]
LocalLogin: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--local-login",
        help="User name for mail programs; without it the one at the server.",
        rich_help_panel=_LOCAL,
    ),
]
LocalPasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--local-password-file",
        metavar="FILE",
        help="Read the mail programs' password from this file; without it one is made.",
        rich_help_panel=_LOCAL,
    ),
]
LocalPasswordDescriptor: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--local-password-fd",
        metavar="NUMBER",
        help="Read it from this open descriptor.",
        rich_help_panel=_LOCAL,
    ),
]

_OPTION_OF: Final = {
    "certificate_sha256": "--fingerprint",
    "body_size_limit_octets": "--body-size-limit",
    "poll_interval_s": "--poll-interval",
    "ca_file": "--ca-file",
}


def settings_from(given: Mapping[str, Any], base: AccountSettings | None = None) -> AccountSettings:
    """Return account settings from what was given (None: not given), on top of `base`.

    Raises:
        CommandFailed: one of them cannot be; the text names the option.
    """
    fields = base.model_dump() if base is not None else {}
    fields |= {name: value for name, value in given.items() if value is not None}
    if "port" not in fields and fields.get("security") not in (None, ServerSecurity.TLS):
        fields["port"] = 143
    if fields.get("ca_file") is not None:
        fields["ca_file"] = Path(fields["ca_file"]).absolute()
    try:
        return AccountSettings.model_validate(fields)
    except ValidationError as exc:
        mistake = exc.errors()[0]
        field = str(mistake["loc"][0])
        option = _OPTION_OF.get(field, f"--{field}")
        what = mistake["msg"].removeprefix("Value error, ").replace("Input should", "should")
        what = what.replace("Field required", "is needed")
        raise CommandFailed(f"{option}: {what}", ExitCode.USAGE) from None
