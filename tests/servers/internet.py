"""An internet behind a `network.Network`: Google's servers, another provider, a neutral host and two resolvers.

They run in a thread of their own, so that a test may wait for the daemon; what they do can be changed at any time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from tests.servers.dialogues import Imap, Pop3, Smtp
from tests.servers.dns import NameServer
from tests.servers.network import RESOLVER, Network
from tests.servers.scripted import Behaviour, ScriptedServer, Security, Session
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tests.servers.authority import Authority

SECOND_RESOLVER = "8.8.8.8"
NEUTRAL = "9.9.9.9"
OTHER_PROVIDER = "imap.mail.yahoo.com"
DOMAIN, OTHER_EXCHANGE = "example.org", "mx.example.net"
IMAP = ("142.250.27.108", "142.250.27.109")
"""Both addresses of imap.gmail.com over IPv4."""

NAMES: Mapping[str, Sequence[str]] = {
    "imap.gmail.com": (*IMAP, "2a00:1450:4025::6c"),
    "pop.gmail.com": ("142.250.27.110", "2a00:1450:4025::6e"),
    "smtp.gmail.com": ("142.250.27.111", "2a00:1450:4025::6f"),
    "www.google.com": ("142.250.27.104", "2a00:1450:4025::68"),
    OTHER_PROVIDER: ("87.248.103.8",),
    # Without MX records, each is its own mail exchange.
    DOMAIN: ("87.248.103.9",),
    OTHER_EXCHANGE: ("87.248.103.10",),
}

INCIDENT: Mapping[str, Any] = {
    "id": "B5V4MfnVp97nxoTYbxdX",
    "begin": "2026-09-18T05:00:00+00:00",
    "end": None,
    "external_desc": "**Title:**\nGmail users may not be able to read mail over IMAP.",
    "severity": "medium",
    "status_impact": "SERVICE_DISRUPTION",
    "service_key": "prPt2Yra2CbGsbEm9cpC",
    "service_name": "Gmail",
    "affected_products": [{"title": "Gmail", "id": "prPt2Yra2CbGsbEm9cpC"}],
    "most_recent_update": {
        "when": "2026-09-23T02:56:03+00:00",
        "status": "SERVICE_DISRUPTION",
        "text": "**Title:**\nGmail users may not be able to read mail over IMAP.",
    },
    "uri": "incidents/B5V4MfnVp97nxoTYbxdX",
}
"""An open incident, in the form of Google's status feed."""

PORTAL_PORT, PROXY_PORT = 8080, 8993
"""At the first router, and at the second."""


class Internet:
    """The servers; each is healthy at the start, and after `heal`.

    Attributes:
        servers: each server by its name; its `behave` and `context` may change at any time.
        resolver, second: the two name servers; their `names` may change at any time.
        incidents: what the status feed says.
    """

    def __init__(self, network: Network, authority: Authority) -> None:
        self.network = network
        self.authority = authority
        self.servers: dict[str, ScriptedServer] = {}
        self.incidents: list[Mapping[str, Any]] = []
        self._good = authority.issue(*NAMES)
        self._kinds: Mapping[str, tuple[Behaviour, Security, str, int]] = {
            "imap": (Imap(), "tls", "imap.gmail.com", 993),
            "imap_second": (Imap(), "tls", IMAP[1], 993),
            "pop3": (Pop3(), "tls", "pop.gmail.com", 995),
            "smtps": (Smtp(), "tls", "smtp.gmail.com", 465),
            "submission": (Smtp(), "starttls", "smtp.gmail.com", 587),
            # What answers a mail server's address on the port of the web, to compare the path with.
            **{f"{name}_web": (self._web, "tls", name, 443) for name in ("imap.gmail.com", "pop.gmail.com")},
            "smtp_web": (self._web, "tls", "smtp.gmail.com", 443),
            "web": (self._web, "tls", "www.google.com", 443),
            "plain": (self._web, "none", "www.google.com", 80),
            "other": (Imap(), "tls", OTHER_PROVIDER, 993),
            "exchange": (Smtp(), "starttls", DOMAIN, 25),
            "other_exchange": (Smtp(), "starttls", OTHER_EXCHANGE, 25),
            "neutral": (_say_nothing, "none", NEUTRAL, 443),
        }
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="internet", daemon=True)
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def behave(self, behave: Behaviour, *names: str) -> None:
        """Let these servers do this."""
        for name in names:
            self.servers[name].behave = behave

    def intercept(self, authority: Authority) -> None:
        """Let the second router intercept IMAP over TLS, with a certificate of this authority."""
        self.servers["proxy"].context = authority.issue(*NAMES).context
        self.network.redirect("r2", f"tcp dport 993 redirect to :{PROXY_PORT}")

    def capture(self) -> None:
        """Let the first router let nobody out before a click on its own page."""
        self.network.filter("r1", "udp dport 53 accept", "ct state established accept", "reject with tcp reset")
        self.network.redirect("r1", f"tcp dport 80 redirect to :{PORTAL_PORT}")

    def heal(self) -> None:
        """Make all as it was at the start, the network, too."""
        self.network.heal()
        self.incidents = []
        for name, (behave, security, _, _) in self._kinds.items():
            self.servers[name].behave = behave
            self.servers[name].context = None if security == "none" else self._good.context
        for resolver in (self.resolver, self.second):
            resolver.names = dict(NAMES)

    def _run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)

    async def _start(self) -> None:
        for name, (behave, security, host, port) in self._kinds.items():
            addresses = [address for address in NAMES.get(host, [host]) if name != "imap" or address != IMAP[1]]
            sockets = [self.network.bind("server", address, port) for address in addresses]
            context = None if security == "none" else self._good.context
            server = ScriptedServer(behave, context=context, security=security, sockets=sockets)
            self.servers[name] = await self._stack.enter_async_context(server)
        portal = ScriptedServer(_show_portal, sockets=[self.network.bind("r1", "::", PORTAL_PORT)])
        await self._stack.enter_async_context(portal)
        proxy = ScriptedServer(
            self._relay, context=self._good.context, security="tls", sockets=[self.network.bind("r2", "::", PROXY_PORT)]
        )
        self.servers["proxy"] = await self._stack.enter_async_context(proxy)
        self.resolver = await self._stack.enter_async_context(NameServer(NAMES, self._listen_for_names(RESOLVER)))
        self.second = await self._stack.enter_async_context(NameServer(NAMES, self._listen_for_names(SECOND_RESOLVER)))

    def _listen_for_names(self, address: str) -> socket.socket:
        return self.network.bind("server", address, 53, socket.SOCK_DGRAM)

    async def _relay(self, session: Session) -> None:
        """What a proxy does that intercepts TLS: it reads each line, and passes it on."""
        upstream = self.network.make_socket("r2", socket.AF_INET)
        upstream.setblocking(False)
        await self._loop.sock_connect(upstream, (IMAP[0], 993))
        reader, writer = await asyncio.open_connection(
            sock=upstream, ssl=self.authority.client_context, server_hostname="imap.gmail.com"
        )

        async def back() -> None:
            while line := await reader.readline():
                await session.write(line)

        backwards = asyncio.create_task(back())
        try:
            while line := await session.read_line():
                writer.write(line)
            await asyncio.wait([backwards], timeout=0.1)
        finally:
            backwards.cancel()
            writer.transport.abort()

    async def _web(self, session: Session) -> None:
        """Google's web server, as much of it as the exporter asks for."""
        path = (await session.read_line()).split(b" ")[1:2]
        while (await session.read_line()).strip():
            pass
        status, body = ("200 OK", json.dumps(self.incidents)) if path != [b"/generate_204"] else ("204 No Content", "")
        head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        await session.write(f"{head}\r\n{body}".encode())


async def _say_nothing(session: Session) -> None:
    await session.wait_closed()


async def _show_portal(session: Session) -> None:
    await session.read_line()
    page = b"<h1>Welcome to the hotel</h1>"
    await session.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(page), page))
