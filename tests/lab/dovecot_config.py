"""Dovecot's configuration for a throw-away directory, as root or not."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROFILES: Final[Mapping[str, str]] = {
    "full": "",
    "no-qresync": (
        "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UIDPLUS UNSELECT MOVE ESEARCH "
        "CONDSTORE LIST-EXTENDED LIST-STATUS SPECIAL-USE"
    ),
    "no-condstore": (
        "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UIDPLUS UNSELECT MOVE ESEARCH "
        "LIST-EXTENDED LIST-STATUS SPECIAL-USE"
    ),
    "old": "IMAP4rev1 NAMESPACE IDLE CHILDREN UIDPLUS LITERAL+ UNSELECT",
    "minimal": "IMAP4rev1",
}
"""What the server says after login that it can; "" is all it has.  (It carries out the rest all the same.)"""

FORMATS: Final = ("sdbox", "maildir", "mdbox")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What differs between the servers that tests ask for."""

    profile: str = "full"
    format: str = "sdbox"
    """Maildir has faults of its own under concurrent change; use it where the form matters."""
    separator: str = "/"
    prefix: str = ""
    """Of the personal namespace, e.g. "INBOX/"."""
    extra: str = ""
    """Further settings in Dovecot's syntax."""

    def __post_init__(self) -> None:
        if self.profile not in PROFILES or self.format not in FORMATS:
            raise ValueError(f"no such profile or format: {self.profile}, {self.format}")


@dataclass(frozen=True)
class Owner:
    """Whose the mail is: "nobody" when we are root (Dovecot refuses root), else ourselves."""

    name: str
    group: str
    uid: int
    gid: int


def mail_owner() -> Owner:
    """Return the owner of the mail of servers started by this process."""
    entry = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Owner(entry.pw_name, grp.getgrgid(entry.pw_gid).gr_name, entry.pw_uid, entry.pw_gid)


def text(
    settings: Settings,
    *,
    directory: Path,
    ports: Mapping[str, int],
    password: str,
    certificate: Path,
    key: Path,
) -> str:
    """Return the configuration file."""
    owner = mail_owner()
    not_root = "" if os.geteuid() == 0 else _NOT_ROOT
    capability = PROFILES[settings.profile]
    location = "Maildir" if settings.format == "maildir" else settings.format
    return f"""
protocols = imap
listen = 127.0.0.1
base_dir = {directory}/run
state_dir = {directory}/var
log_path = {directory}/dovecot.log
import_environment = TZ LD_LIBRARY_PATH
default_login_user = {owner.name}
default_internal_user = {owner.name}
default_internal_group = {owner.group}
first_valid_uid = 1
default_process_limit = 2000
default_client_limit = 8000
default_vsz_limit = 1G
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-1 scram-sha-256
auth_failure_delay = 0
# Any name logs in: a test takes a new one and has the server to itself.
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner.uid} gid={owner.gid} home={directory}/home/%n
}}
mail_location = {settings.format}:~/{location}
mail_attribute_dict = file:%h/attributes
# How often IDLE looks where the kernel has no inotify instance left (128 a user); else it is told.
mailbox_idle_check_interval = 1 s
namespace inbox {{
  inbox = yes
  separator = {settings.separator}
  prefix = {settings.prefix}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
}}
protocol imap {{
  mail_max_userip_connections = 1000
  imap_metadata = yes
  {f"imap_capability = {capability}" if capability else ""}
}}
service imap-login {{
  inet_listener imap {{
    port = {ports["imap"]}
  }}
  inet_listener imaps {{
    port = {ports["imaps"]}
    ssl = yes
  }}
  service_count = 0
  process_min_avail = 1
  client_limit = 2000
}}
{not_root}
{settings.extra}
"""


_NOT_ROOT = """
service imap-login {
  chroot =
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
"""
