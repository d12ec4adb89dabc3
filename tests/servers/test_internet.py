"""The internet of tests: the daemon finds Google's endpoints well in it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.servers.internet import IMAP, NAMES, Internet
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.network import Network

CLIENT = """
import socket, ssl, sys
authority, host, port = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
with socket.create_connection((host, int(port)), 5) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
    print(tls.recv(100).decode() if port != "443" else tls.version())
"""


def test_servers(network: Network, authority: Authority) -> None:
    """Names resolve, mail servers greet, the web speaks TLS; a server that another behaviour was given has it."""

    def say(host: str, port: int) -> str:
        return network.run("client", sys.executable, "-c", CLIENT, str(authority.ca_file), host, str(port)).strip()

    with Internet(network, authority) as internet:
        assert say("imap.gmail.com", 993).startswith("* OK Gimap")
        assert say("smtp.gmail.com", 465).startswith("220 ")
        assert say("www.google.com", 443) == "TLSv1.3"
        internet.resolver.names["imap.gmail.com"] = "nxdomain"
        found = subprocess.run(
            network.argv("client", sys.executable, "-c", CLIENT, str(authority.ca_file), "imap.gmail.com", "993"),
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert found.returncode == 1
        internet.heal()
        assert internet.resolver.names == NAMES
        assert set(IMAP) < set(NAMES["imap.gmail.com"])
        assert say("imap.gmail.com", 993).startswith("* OK Gimap")
