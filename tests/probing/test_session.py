"""A session that goes on after its login, with scripted servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from exporter.model.outcome import Check, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Role, Security
from exporter.probing.addresses import Known
from exporter.probing.dialogue import Arrival, Credential, MessageTooLarge, Note, ReadLine, Send, Work, read_line
from exporter.probing.imap_messages import capability, idle, noop
from exporter.probing.imap_responses import command
from exporter.probing.resolve import Resolver
from exporter.probing.search import Secrets
from exporter.probing.session import Session, WorkFailed, open_session
from tests.conftest import StartScripted
from tests.examples import SENTINEL
from tests.servers.acts import close, silence
from tests.servers.dialogues import Imap
from tests.servers.scripted import ScriptedServer
from tests.waiting import PATIENCE

LOGIN = Credential("probe@example.com", SENTINEL)


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A resolver for one test."""
    resolver = Resolver()
    yield resolver
    await resolver.close()


def target(server: ScriptedServer, protocol: Protocol = Protocol.IMAP, **changes: object) -> Target:
    """A target on a scripted server in the clear."""
    values: dict[str, object] = {"security": Security.NONE, "timeout": 5.0, **changes}
    endpoint = Endpoint(name="e", protocol=protocol, host="127.0.0.1", port=server.port, **values)  # type: ignore[arg-type]
    return Target(endpoint, IpFamily.IPV4)


def opened(of: Target, resolver: Resolver) -> AbstractAsyncContextManager[Session]:
    """Open a session with the login of this test."""
    return open_session(of, resolver, LOGIN, Known(), Secrets([SENTINEL]))


async def test_work_after_the_login(scripted: StartScripted, resolver: Resolver) -> None:
    """The Outcome is that of a probe, work follows, its time is not in any phase, and a logout ends it."""
    server = await scripted(Imap(), security="none")
    async with opened(target(server, folders=(Role.INBOX,)), resolver) as session:
        assert session.is_open
        phases = dict(session.outcome.phases)
        assert session.outcome.ok
        assert session.outcome.checks[Check.FOLDERS]
        await session.do(noop(b"d1"), 5)
        assert b"IDLE" in await session.do(capability(b"d2"), 5)
        assert dict(session.outcome.phases) == phases
    (seen,) = server.sessions
    assert bytes(seen.received).endswith(b"d1 NOOP\r\nd2 CAPABILITY\r\nbye LOGOUT\r\n")


async def test_refused_login(scripted: StartScripted, resolver: Resolver) -> None:
    """Where the login is refused, the session ends in order, and nothing can be done in it."""
    server = await scripted(Imap(refusal=b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"), security="none")
    async with opened(target(server), resolver) as session:
        assert not session.is_open
        assert (session.outcome.phase, session.outcome.reason) == (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
        with pytest.raises(WorkFailed, match="the session has ended"):
            await session.do(noop(b"d1"), 5)
    (seen,) = server.sessions
    assert bytes(seen.received).endswith(b"bye LOGOUT\r\n")


async def test_hidden_folder(scripted: StartScripted, resolver: Resolver) -> None:
    """A folder of the endpoint that is hidden is a failure of the probe, and none of what follows."""
    server = await scripted(Imap(folders=(b'() "/" "INBOX"',)), security="none")
    async with opened(target(server, folders=(Role.SENT,)), resolver) as session:
        assert session.outcome.reason is Reason.FOLDER_HIDDEN
        assert session.is_open
        await session.do(noop(b"d1"), 5)


async def test_not_reached(scripted: StartScripted, resolver: Resolver) -> None:
    """A server that cannot be reached, or is silent, ends within the endpoint's timeout."""
    server = await scripted(silence, security="none")
    began = time.perf_counter()
    async with opened(target(server, timeout=0.2), resolver) as session:
        assert (session.outcome.phase, session.outcome.reason) == (Phase.GREETING, Reason.TIMEOUT)
        assert not session.is_open
    assert time.perf_counter() - began < 10


async def test_failures(scripted: StartScripted, resolver: Resolver) -> None:
    """Silence and the end of the connection are the server's fault; a refusal is told with the secret taken out."""
    server = await scripted(Imap(), security="none")
    async with opened(target(server), resolver) as session:
        with pytest.raises(WorkFailed) as caught:
            await session.do(command(b"d1", f"XYZZY {SENTINEL}".encode()), 5)
        assert (caught.value.reason, session._in_step) == (Reason.BAD_COMMAND, True)
        assert SENTINEL not in caught.value.detail
        with pytest.raises(WorkFailed) as caught:
            await session.do(too_large(), 5)
        assert (caught.value.reason, caught.value.detail) == (Reason.MESSAGE_LIMIT, "too large")
        with pytest.raises(WorkFailed) as caught:
            await session.do(waits(), 0.1)
        assert (caught.value.reason, caught.value.detail) == (Reason.TIMEOUT, "no answer within 0.1 s")
        assert caught.value.blame is Blame.PROVIDER
        with pytest.raises(WorkFailed, match="the session has ended"):
            await session.do(waits(), 0.1)


def too_large() -> Work[None]:
    """Find that a message is too large."""
    yield Note("throttled", value=True)
    raise MessageTooLarge("too large")


def waits() -> Work[bytes]:
    """Wait for a line that does not come."""
    return (yield from read_line())


async def test_lines_that_do_not_come(scripted: StartScripted, resolver: Resolver) -> None:
    """A line that is waited for is None after its time, and is there later; the time of arrival is told."""
    server = await scripted(Imap(), security="none")

    def work() -> Work[tuple[bytes | None, bytes, float]]:
        first: bytes | None = yield ReadLine(within=0.05)
        yield Send(b"d1 NOOP\r\n")
        second = yield from read_line()
        at: float = yield Arrival()
        return first, second, at

    async with opened(target(server), resolver) as session:
        first, second, at = await session.do(work(), 5)
        assert (first, second) == (None, b"d1 OK done")
        assert 0 <= time.perf_counter() - at < PATIENCE


async def test_the_end_during_idle(scripted: StartScripted, resolver: Resolver) -> None:
    """A server that closes the connection while nothing is asked is found out at once."""
    server = await scripted(Imap(at={"folders": close}), security="none")
    async with opened(target(server), resolver) as session:
        assert session.is_open or session.outcome.reason is Reason.CLOSED
        if session.is_open:
            with pytest.raises(WorkFailed):
                await session.do(idle(b"d1", 15), 5)


async def test_cancelled(scripted: StartScripted, resolver: Resolver) -> None:
    """A session that is cancelled leaves no socket open."""
    server = await scripted(Imap(), security="none")

    async def run() -> None:
        async with opened(target(server), resolver) as session:
            await session.do(waits(), 60)

    task = asyncio.create_task(run())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
