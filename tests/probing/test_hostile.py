"""The server's side ends at every octet of a session, or comes octet by octet: what a probe then tells."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from exporter.model.evidence import TcpFinding
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from tests.probing.conftest import ADDRESSES, Belongings
from tests.probing.prober import ENOUGH, LONGER, PROTOCOLS, SERVERS, SHORT, Prober, found, steps
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority
    from tests.servers.relay import End
    from tests.servers.scripted import ScriptedServer, Security

ENDS: Mapping[End, tuple[Reason, TcpFinding]] = {
    "reset": (Reason.RESET, TcpFinding.RESET),
    "half-close": (Reason.CLOSED, TcpFinding.CLOSED),
    "silence": (Reason.TIMEOUT, TcpFinding.SILENT),
}

PLACES = 40
"""Octets of a session with TLS at which it is ended, of some thousands; of one in the clear, at each."""

SECURITIES: list[Security] = ["none", "tls", "starttls"]


async def octets_of(prober: Prober, server: ScriptedServer, protocol: str) -> int:
    """The octets that the server sends in a whole session."""
    async with Relay(server.port) as relay:
        assert (await prober(prober.target(relay.port, protocol, server.security))).ok
        await server.wait_idle()
        return relay.passed


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("security", SECURITIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_end_at_each_octet(
    scripted: StartScripted, prober: Prober, protocol: str, security: Security, end: End, address: str
) -> None:
    """Wherever the server's octets end, the reason is that of the end, in the phase that it was in; nothing is left."""
    server = await scripted(SERVERS[protocol](), security=security)
    total = await octets_of(prober, server, protocol)
    places = range(0, total, 1 if security == "none" else total // PLACES)
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(Relay(server.port, address, most=most, end=end)) for most in places]
        before = Belongings()
        outcomes: list[Outcome] = []

        async def look(relay: Relay, most: int) -> Outcome:
            outcome = await prober(prober.target(relay.port, protocol, security, host=address, timeout=timeout))
            if relay.passed >= most and outcome.phase is not Phase.CONNECT:
                return outcome
            # The machine was too busy: the time was over before the silence began, or before there was a connection.
            return await prober(prober.target(relay.port, protocol, security, host=address, timeout=LONGER))

        timeout = SHORT if end == "silence" else ENOUGH
        for begin in range(0, len(relays), PLACES):
            batch = slice(begin, begin + PLACES)
            outcomes += await asyncio.gather(*map(look, relays[batch], places[batch]))
        await before.assert_nothing_left()
    reason, finding = ENDS[end]
    for outcome in outcomes:
        if outcome.phase is Phase.LOGOUT:  # it fails nothing; and at the end only close_notify is missing
            assert outcome.ok
            assert outcome.observed.logout in (reason, None)
        else:
            assert found(outcome) == (outcome.phase, reason)
            assert outcome.observed.tcp is not None
            assert outcome.observed.tcp.finding is finding
    phases = [list(Phase).index(outcome.phase) for outcome in outcomes]
    reached = list(dict.fromkeys(outcome.phase for outcome in outcomes))
    if security == "starttls":
        assert set(reached) <= set(map(Phase, steps(protocol, security)))
    else:
        assert phases == sorted(phases)
    if security == "none":
        assert reached == steps(protocol, security)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("security", SECURITIES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_octet_by_octet(
    scripted: StartScripted, prober: Prober, protocol: str, security: Security, address: str
) -> None:
    """A session whose every octet of the server comes alone, the handshake included, succeeds as any other."""
    server = await scripted(SERVERS[protocol](), security=security)
    async with Relay(server.port, address, single=True) as relay:
        outcome = await prober(prober.target(relay.port, protocol, security, host=address))
        await server.wait_idle()
    assert found(outcome) == (Phase.LOGOUT, Reason.OK)
    assert outcome.observed.capabilities
    assert outcome.observed.logout is None
    assert list(outcome.phases)[2:] == steps(protocol, security)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_close_within_handshake(authority: Authority, prober: Prober, protocol: str) -> None:
    """A server whose close_notify comes with the end of the handshake: only the greeting is missing."""
    context = authority.issue().old_tls_context(ssl.TLSVersion.TLSv1_2)

    async def secure_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        while received := await reader.read(1 << 14):
            incoming.write(received)
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                tls.unwrap()
            writer.write(outgoing.read())
        writer.close()

    async with await asyncio.start_server(secure_and_close, "127.0.0.1") as server:
        outcome = await prober(prober.target(server.sockets[0].getsockname()[1], protocol))
    assert found(outcome) == (Phase.GREETING, Reason.CLOSED)
