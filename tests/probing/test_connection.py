"""One connection, on real sockets and both event loops: pieces, limits, ends, and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probing.connection import Connection, ConnectionClosed, NoTLS, PlaintextInjected, connect
from exporter.probing.dialogue import MAX_LINE, ResponseTooLarge
from tests.probing.conftest import HAS_IPV6, Belongings, cut
from tests.servers import acts
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.probing.conftest import Fill
    from tests.servers.authority import Authority
    from tests.servers.scripted import Behaviour, ScriptedServer, Security, Session

ANY_BUFFER = 512 << 10
"""Octets that the buffer may have in a flood: the limit where reading pauses, and what an event loop reads at once."""


async def open_to(server: ScriptedServer, authority: Authority) -> Connection:
    """Connect to the server, with TLS where the server has it."""
    connection = await connect("127.0.0.1", server.port)
    if server.security == "tls":
        await connection.start_tls(authority.client_context, "localhost")
    return connection


async def read_lines(server: ScriptedServer, authority: Authority) -> None:
    """Connect to the server, and read lines for ever."""
    connection = await open_to(server, authority)
    try:
        while True:
            await connection.read_line()
    finally:
        connection.abort()


async def close_at_once(connection: Connection) -> None:
    """Close, and do not wait for as long as the server's close_notify may take."""
    async with asyncio.timeout(PATIENCE):
        await connection.close(60)


def has_paused(connection: Connection) -> bool:
    """Whether the connection reads no more."""
    return not connection.tcp._reading


async def feed(connection: Connection, pieces: Sequence[bytes]) -> None:
    """Deliver the pieces one after another, with a turn of the event loop before each."""
    for piece in pieces:
        await asyncio.sleep(0)
        connection.receive(piece, time.perf_counter())


LINES = st.binary(max_size=40).filter(lambda text: b"\n" not in text and not text.endswith(b"\r"))
ENDS = st.sampled_from([b"\r\n", b"\n"])


@settings(max_examples=100, deadline=None)
@given(
    content=st.lists(st.tuples(LINES, ENDS, st.binary(max_size=30)), min_size=1, max_size=6),
    places=st.lists(st.integers(min_value=0), max_size=20),
)
async def test_any_pieces(content: list[tuple[bytes, bytes, bytes]], places: list[int]) -> None:
    """Lines and counted octets are the same in any pieces; CRLF and a bare LF both end a line."""
    connection = Connection()
    data = b"".join(line + end + octets for line, end, octets in content)
    feeding = asyncio.create_task(feed(connection, cut(data, places)))
    for line, _, octets in content:
        assert await connection.read_line() == line
        assert await connection.read_bytes(len(octets)) == octets
    await feeding
    assert connection.received == len(data)


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"\r\n", b""), (b"\n", b""), (b"a\r\r\n", b"a\r"), (b"a\rb\n", b"a\rb"), (b"\0\xff\r\n", b"\0\xff")],
)
async def test_line_ends(data: bytes, line: bytes) -> None:
    """A line end has one CR at most; every other octet is a part of the line."""
    connection = Connection()
    connection.receive(data, time.perf_counter())
    assert await connection.read_line() == line


@settings(max_examples=20, deadline=None)
@given(places=st.lists(st.integers(min_value=0), max_size=4))
async def test_longest_line(places: list[int]) -> None:
    """A line of exactly the limit, its end included, is read, whatever follows it."""
    connection = Connection()
    data = b"x" * (MAX_LINE - 2) + b"\r\n" + b"y" * MAX_LINE
    feeding = asyncio.create_task(feed(connection, cut(data, places)))
    assert await connection.read_line() == b"x" * (MAX_LINE - 2)
    await feeding


@settings(max_examples=20, deadline=None)
@given(places=st.lists(st.integers(min_value=0), max_size=4))
async def test_line_too_long(places: list[int]) -> None:
    """A line of one octet more is too large, in any pieces."""
    connection = Connection()
    feeding = asyncio.create_task(feed(connection, cut(b"x" * (MAX_LINE - 1) + b"\r\n", places)))
    with pytest.raises(ResponseTooLarge, match=f"a line of more than {MAX_LINE} octets"):
        await connection.read_line()
    await feeding


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_endless_line(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """An endless line is an error at once, and reading pauses at the limit of the buffer."""
    server = await scripted(acts.endless_line, security=security)
    connection = await open_to(server, authority)
    with pytest.raises(ResponseTooLarge):
        async with asyncio.timeout(PATIENCE):
            await connection.read_line()
    await until(lambda: has_paused(connection))
    assert len(connection._buffer) <= ANY_BUFFER
    received = connection.received
    await connection.close(0.1)
    assert connection.received == received


@pytest.mark.parametrize("what", ["tickets", "records of an octet"])
async def test_much_tls_with_little_text(
    scripted: StartScripted, authority: Authority, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error long before the deadline, for it takes as much time as text; a usual session is far from it."""

    async def act(session: Session) -> None:
        while what != "tickets":
            await session.write(b"x\n")
        await acts.silence(session)

    context = authority.issue().own_context()
    if what == "tickets":
        context.num_tickets = 250
    server = await scripted(act, security="tls", context=context)
    monkeypatch.setattr("exporter.probing.connection.MAX_REPLY", 16 << 10)
    with pytest.raises(ResponseTooLarge, match=r"^\d+ octets of TLS records with \d+ octets of text$"):
        async with asyncio.timeout(PATIENCE):
            await read_lines(server, authority)


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_reading_resumes(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """While nobody reads, the sender has to wait; then all data is read, in order."""
    lines = [b"line %d" % number for number in range(200_000)]
    server = await scripted(acts.in_order(acts.say(b"\r\n".join(lines) + b"\r\n"), acts.silence), security=security)
    connection = await open_to(server, authority)
    assert await connection.read_line() == lines[0]
    await until(lambda: has_paused(connection))
    assert 0 < len(connection._buffer) <= ANY_BUFFER
    for line in lines[1:]:
        assert await connection.read_line() == line
    connection.abort()


@pytest.mark.parametrize("security", ["none", "tls"])
@pytest.mark.parametrize("act", [acts.close, acts.truncate], ids=["close", "truncate"])
@pytest.mark.parametrize("rest", [b"", b"half a li"])
async def test_end(
    scripted: StartScripted, authority: Authority, security: Security, act: Behaviour, rest: bytes
) -> None:
    """Complete lines are read first; then each read raises the end, with or without close_notify."""
    server = await scripted(acts.in_order(acts.say(b"whole\r\n" + rest), act), security=security)
    connection = await open_to(server, authority)
    assert await connection.read_line() == b"whole"
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="the server closed the connection"):
            await connection.read_line()
    with pytest.raises(ConnectionClosed):
        await connection.read_bytes(len(rest) + 1)
    assert await connection.read_bytes(len(rest)) == rest
    await connection.close(1)


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_reset(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """A reset is raised as a reset, not as an end."""
    server = await scripted(acts.reset, security=security)
    connection = await open_to(server, authority)
    with pytest.raises(ConnectionResetError):
        await connection.read_line()
    connection.write(b"too late\r\n")
    await connection.close(1)


@pytest.mark.parametrize("security", ["none", "tls"])
@pytest.mark.parametrize("abort", [False, True])
async def test_use_after_close(scripted: StartScripted, authority: Authority, security: Security, abort: bool) -> None:
    """After `close` and after `abort` a write does nothing, and a read fails at once."""
    server = await scripted(acts.silence, security=security)
    connection = await open_to(server, authority)
    if abort:
        connection.abort()
    else:
        await connection.close(1)
    connection.write(b"too late\r\n")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectionClosed):
            await connection.read_line()
    await server.wait_idle()
    assert server.received == [b""]


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_read_while_closing(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """A read that is waiting when the connection is aborted fails."""
    server = await scripted(acts.silence, security=security)
    connection = await open_to(server, authority)
    reading = asyncio.create_task(connection.read_line())
    await asyncio.sleep(0)
    connection.abort()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectionClosed):
            await reading


async def test_start_tls(scripted: StartScripted, authority: Authority) -> None:
    """TLS starts on the same connection: data before it is plaintext, data after it is encrypted."""

    async def upgrade(session: Session) -> None:
        await session.write(b"before\r\n")
        assert await session.read_line() == b"upgrade\r\n"
        await session.start_tls()
        await session.write(b"after\r\n")
        assert await session.read_line() == b"secret\r\n"

    server = await scripted(upgrade, security="starttls")
    connection = await connect("127.0.0.1", server.port)
    assert await connection.read_line() == b"before"
    connection.write(b"upgrade\r\n")
    secured = await connection.start_tls(authority.client_context, "localhost")
    assert secured.version() == "TLSv1.3"
    assert await connection.read_line() == b"after"
    connection.write(b"secret\r\n")
    with pytest.raises(ConnectionClosed):
        await connection.read_line()
    await connection.close(1)
    await server.wait_idle()
    assert server.close_notify == [True]


async def test_plaintext_injected(scripted: StartScripted, authority: Authority) -> None:
    """Data in the buffer before TLS is never taken for encrypted data: the handshake does not begin."""
    server = await scripted(acts.in_order(acts.say(b"220 go\r\n250 evil\r\n"), acts.silence), security="starttls")
    connection = await connect("127.0.0.1", server.port)
    assert await connection.read_line() == b"220 go"
    with pytest.raises(PlaintextInjected, match="10 octets of plaintext"):
        await connection.start_tls(authority.client_context, "localhost")
    await connection.close(1)
    await server.wait_idle()
    assert server.received == [b""]


FIRST = {"before": True, "after": False}
"""Whether the server's first octets come before the client begins its handshake."""

AFTERWARDS = {"silence": acts.silence, "close": acts.close, "reset": acts.reset}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("afterwards", AFTERWARDS)
async def test_no_tls(scripted: StartScripted, authority: Authority, first: str, afterwards: str) -> None:
    """A server that speaks in the clear on a TLS port is one, whoever is first, and whatever it does afterwards."""
    said = acts.in_order(acts.say(b"* OK Dovecot ready.\r\n* more\r\n"), AFTERWARDS[afterwards])
    server = await scripted(said if FIRST[first] else in_handshake(said), security="none" if FIRST[first] else "tls")
    connection = await connect("127.0.0.1", server.port)
    if FIRST[first]:
        connection.tcp.resume()
        await until(lambda: connection._buffer)
        if afterwards != "silence":
            await until(lambda: connection._end)
    with pytest.raises(NoTLS, match=r"speaks in the clear on this port: '\* OK Dovecot ready\.'$"):
        await connection.start_tls(authority.client_context, "localhost")
    await close_at_once(connection)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("afterwards", AFTERWARDS)
async def test_injected(scripted: StartScripted, authority: Authority, first: str, afterwards: str) -> None:
    """Plaintext in place of TLS is an injection after STARTTLS, whoever is first, and whatever follows."""

    async def behave(session: Session) -> None:
        await session.write(b"220 go\r\n")
        if not FIRST[first]:
            await session._reader.read(1)
        await session.write(b"250 evil\r\n")
        await AFTERWARDS[afterwards](session)

    server = await scripted(behave)
    connection = await connect("127.0.0.1", server.port)
    assert await connection.read_line() == b"220 go"
    if FIRST[first]:
        connection.tcp.resume()
        await until(lambda: connection._buffer)
    with pytest.raises(PlaintextInjected, match=r"^10 octets of plaintext .*: '250 evil'$"):
        await connection.start_tls(authority.client_context, "localhost")
    await close_at_once(connection)


ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
"""A TLS record: the fatal alert handshake_failure."""


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("spoken", [False, True])
async def test_alert_and_close(scripted: StartScripted, authority: Authority, first: str, spoken: bool) -> None:
    """An alert is what the handshake failed of, though the server closes the connection behind it."""

    async def behave(session: Session) -> None:
        if spoken:
            await session.write(b"220 go\r\n")
        if not FIRST[first]:
            await session._reader.read(1)
        await session.write(ALERT)
        await session.close()

    server = await scripted(behave)
    connection = await connect("127.0.0.1", server.port)
    if spoken:
        assert await connection.read_line() == b"220 go"
    if FIRST[first]:
        connection.tcp.resume()
        await until(lambda: connection._end)
    with pytest.raises(ssl.SSLError) as caught:
        await connection.start_tls(authority.client_context, "localhost")
    assert caught.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"
    await close_at_once(connection)


@pytest.mark.parametrize("first", FIRST)
async def test_cut_short(scripted: StartScripted, authority: Authority, first: str) -> None:
    """The beginning of a TLS record and the end of the connection: it was closed."""
    said = acts.in_order(acts.say(ALERT[:4]), acts.close)
    server = await scripted(said if FIRST[first] else in_handshake(said), security="none" if FIRST[first] else "tls")
    connection = await connect("127.0.0.1", server.port)
    if FIRST[first]:
        connection.tcp.resume()
        await until(lambda: connection._end)
    with pytest.raises(ConnectionClosed):
        await connection.start_tls(authority.client_context, "localhost")
    await close_at_once(connection)


async def test_start_tls_after_end(scripted: StartScripted, authority: Authority) -> None:
    """A server that has closed before TLS starts: the end is raised."""
    server = await scripted(acts.close)
    connection = await connect("127.0.0.1", server.port)
    with pytest.raises(ConnectionClosed):
        await connection.start_tls(authority.client_context, "localhost")
    await connection.close(1)


def in_handshake(act: Behaviour) -> Behaviour:
    """Do `act` in place of the server's side of the handshake."""

    async def begin(session: Session) -> None:
        await session._reader.read(1)
        await act(session)

    begin.does_handshake = True  # type: ignore[attr-defined]
    return begin


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (acts.close, ConnectionClosed),
        (acts.reset, ConnectionResetError),
        (acts.in_order(acts.say(b"220 smtp.example.com ESMTP\r\n"), acts.silence), ssl.SSLError),
    ],
    ids=["close", "reset", "plain"],
)
async def test_handshake_fails(
    scripted: StartScripted, authority: Authority, act: Behaviour, expected: type[Exception]
) -> None:
    """In a handshake, end, reset and error are distinguished, and to close afterwards does not wait."""
    server = await scripted(in_handshake(act), security="tls")
    before = Belongings()
    connection = await connect("127.0.0.1", server.port)
    with pytest.raises(expected):
        await connection.start_tls(authority.client_context, "localhost")
    await close_at_once(connection)
    connection.abort()
    await before.assert_nothing_left()


async def test_handshake_cancelled(scripted: StartScripted, authority: Authority) -> None:
    """A cancelled handshake leaves no socket open."""
    server = await scripted(in_handshake(acts.silence), security="tls")
    before = Belongings()
    connection = await connect("127.0.0.1", server.port)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.start_tls(authority.client_context, "localhost"), 0.05)
    await connection.close(5)
    connection.abort()
    await before.assert_nothing_left()


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_close(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """To close sends what was written and, with TLS, close_notify; it waits only for the server's answer."""
    server = await scripted(acts.silence, security=security)
    before = Belongings()
    connection = await open_to(server, authority)
    connection.write(b"LOGOUT\r\n")
    await close_at_once(connection)
    await server.wait_idle()
    assert (server.received, server.close_notify) == ([b"LOGOUT\r\n"], [security == "tls"])
    await before.assert_nothing_left()


async def test_close_unanswered(scripted: StartScripted, authority: Authority) -> None:
    """A server that never answers close_notify is waited for no longer than the grace."""
    answer = asyncio.Event()

    async def hold(_session: Session) -> None:
        await answer.wait()

    server = await scripted(hold, security="tls")
    before = Belongings()
    connection = await open_to(server, authority)
    async with asyncio.timeout(PATIENCE):
        await connection.close(0.1)
    answer.set()
    await before.assert_nothing_left()


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_abort(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """To abort closes at once, and sends nothing; a second abort, or a close, does nothing."""
    server = await scripted(acts.silence, security=security)
    before = Belongings()
    connection = await open_to(server, authority)
    connection.abort()
    connection.abort()
    await close_at_once(connection)
    await server.wait_idle()
    assert server.close_notify == [False]
    await before.assert_nothing_left()


MUCH = b"x" * (8 << 20)
"""More than both sides' buffers of loopback hold."""


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_write_blocks(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """A server that reads nothing: a deadline ends the wait for its answer; to close waits no longer than it may."""
    ended = asyncio.Event()

    async def read_nothing(session: Session) -> None:
        session._writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ended.wait()
        session.abort()

    server = await scripted(read_nothing, security=security)
    before = Belongings()
    connection = await open_to(server, authority)
    connection.write(MUCH)
    assert connection.tcp._unsent
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connection.read_line()
    async with asyncio.timeout(PATIENCE):
        await connection.close(0.1)
    ended.set()
    await before.assert_nothing_left()


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_reset_while_a_write_blocks(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """A server that reads nothing, and then resets: that is what the next read raises."""
    server = await scripted(acts.reset, security=security)
    before = Belongings()
    connection = await open_to(server, authority)
    connection.write(MUCH)
    with pytest.raises(ConnectionResetError):
        await connection.read_line()
    await close_at_once(connection)
    await before.assert_nothing_left()


async def test_never_connected() -> None:
    """Without a transport there is no round-trip time, a write does nothing, and a close returns."""
    connection = Connection()
    assert connection.tcp.rtt is None
    connection.write(b"nowhere")
    connection.abort()
    await connection.close(1)


async def test_connection_facts(scripted: StartScripted) -> None:
    """The kernel's round-trip time of loopback is in seconds; the local address is that of this side."""
    server = await scripted(acts.silence, ipv6=True)
    for address in ["127.0.0.1", *(["::1"] if HAS_IPV6 else [])]:
        connection = await connect(address, server.port)
        assert connection.tcp.local_address() == address
        rtt = connection.tcp.rtt
        assert rtt is not None
        assert 0 < rtt < 1
        connection.abort()


async def test_times_are_of_arrival() -> None:
    """The time of the last octet is that of its arrival, even if this process was busy when it came."""
    sent_at = []

    def serve(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        with accepted:
            time.sleep(0.05)
            sent_at.append(time.perf_counter())
            accepted.sendall(b"hello\r\n")
            sent_at.append(time.perf_counter())
            accepted.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        asked = time.perf_counter()
        connection = await connect("127.0.0.1", listening.getsockname()[1])
        connected = time.perf_counter()
        time.sleep(0.3)  # noqa: ASYNC251 (the event loop is to be busy)
        assert await connection.read_line() == b"hello"
        connection.abort()
        server.join()
    assert asked <= connection.tcp.connected_at <= connected
    assert sent_at[0] - 0.01 < connection.received_at < sent_at[1] + 0.01


async def test_refused(free_port: int) -> None:
    """A port without a listener: the connection is refused."""
    with pytest.raises(ConnectionRefusedError):
        await connect("127.0.0.1", free_port)


async def test_connect_cancelled(free_port: int, fill_backlog: Fill) -> None:
    """A connect that hangs can be cancelled, and leaves no socket open."""
    fill_backlog("127.0.0.1", free_port)
    before = Belongings()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connect("127.0.0.1", free_port)
    await before.assert_nothing_left()
