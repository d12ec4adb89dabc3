"""A person is asked: for a password, and whether it may go to a host that only the DNS names."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence

from exporter.commands.mail_servers import Servers


def ask_for_password(address: str) -> str:
    """Return what a person types, without showing it; "" where there is no terminal, or nobody answers."""
    if not sys.stdin.isatty():
        return ""
    try:
        return getpass.getpass(f"Password, or app password, of {address} (empty: no login): ")
    except EOFError:
        return ""


def may_send(servers: Servers, hosts: Sequence[str]) -> bool:
    """Whether the password may go to these hosts: they do not depend on the DNS, or a person says so."""
    if servers.origin.is_sure:
        return True
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"The servers are {servers.phrase}: {', '.join(hosts)}. Send the password there? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
