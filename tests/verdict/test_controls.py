"""Controls, against servers of the test."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import pytest

from exporter.model.evidence import ControlKind, ControlState
from exporter.model.verdict_settings import Control
from exporter.probing.resolve import Resolver
from exporter.verdict.controls import AT_ONCE, FRESH, INTERVAL, Controls, timeless_context
from tests.conftest import StartScripted
from tests.probing.conftest import HAS_IPV6, Belongings, Fill
from tests.servers import acts
from tests.servers.authority import Authority
from tests.servers.dns import Failure, NameServer
from tests.servers.pages import Pages, reply
from tests.servers.scripted import ScriptedServer, Security, Session


class Now:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., Controls]


@pytest.fixture
def make(resolver: Resolver, trusting: ssl.SSLContext) -> Make:
    """Make controls that trust the tests' authority."""

    def with_these(*controls: Control, plain_port: int = 1, now: Callable[[], float] = time.monotonic) -> Controls:
        made = Controls(resolver, context=lambda: trusting, plain_port=plain_port, monotonic=now)
        made.configure(controls)
        return made

    return with_these


def neutral(port: int, host: str = "127.0.0.1", name: str = "near") -> Control:
    """Return a control by address."""
    return Control(name, ControlKind.NEUTRAL, host, port)


def same_port(port: int, host: str = "mail.example.com") -> Control:
    """Return another provider's server."""
    return Control("other", ControlKind.SAME_PORT, host, port)


def web(port: int) -> Control:
    """Return the provider's web."""
    return Control("web", ControlKind.PROVIDER_WEB, "www.google.com", port)


async def the_state(controls: Controls) -> ControlState:
    """Look at the only control there is."""
    await controls.look(0)
    (state,) = controls.states
    return state


async def test_before_the_first_look(make: Make) -> None:
    """Nothing is known, and nothing is claimed."""
    (state,) = make(neutral(1)).states
    assert state == ControlState("near", ControlKind.NEUTRAL, "127.0.0.1", 1)
    assert state.up is None


@pytest.mark.parametrize("of", [neutral, same_port])
async def test_up_by_tcp(scripted: StartScripted, make: Make, of: Callable[[int], Control]) -> None:
    """A connection is enough, and nothing is sent over it."""
    server = await scripted(acts.silence)
    controls = make(of(server.port))
    await controls.look()  # opens the resolver
    belongings, began = Belongings(), time.time()
    state = await the_state(controls)
    assert (state.up, state.was_ever_up, state.detail, state.ip_version) == (True, True, "", 4)
    assert began <= (state.at or 0) <= time.time()
    assert (state.public_root, state.date_skew, state.portal) == (None, None, None)
    await server.wait_idle(2)
    assert server.received == [b"", b""]
    if of is neutral:
        await belongings.assert_nothing_left()


async def test_up_by_tls(scripted: StartScripted, make: Make, authority: Authority) -> None:
    """The provider's web must speak TLS, with a certificate of its name; its root is looked at, as a probe's is."""
    server = await scripted(acts.silence, security="tls", context=authority.issue("www.google.com").context)
    state = await the_state(make(web(server.port)))
    assert (state.up, state.public_root) == (True, False)
    await server.wait_idle()
    assert server.received == [b""]
    assert server.close_notify == [True]


@pytest.mark.parametrize(
    ("security", "certified", "detail"),
    [
        ("tls", ("other.example.net",), "Hostname mismatch, certificate is not valid for 'www.google.com'."),
        ("none", (), "wrong version number"),
    ],
)
async def test_no_tls(
    scripted: StartScripted,
    make: Make,
    authority: Authority,
    security: Security,
    certified: tuple[str, ...],
    detail: str,
) -> None:
    """Somebody else who answers is not the provider."""

    async def speak(session: Session) -> None:
        await session.write(b"Welcome to the hotel\r\n")

    behave = acts.silence if security == "tls" else speak
    server = await scripted(behave, security=security, context=authority.issue(*certified).context)
    state = await the_state(make(web(server.port)))
    assert (state.up, state.was_ever_up) == (False, False)
    assert state.detail.startswith(detail)


@pytest.mark.parametrize("kind", ["expired", "not_yet_valid"])
async def test_a_clock_that_is_wrong(
    scripted: StartScripted, resolver: Resolver, authority: Authority, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The provider's web is up whatever time it is here; its name and its issuer are verified all the same."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    timeless_context.cache_clear()
    context = getattr(authority, kind).context
    server = await scripted(acts.silence, security="tls", context=context)
    controls = Controls(resolver)
    controls.configure([replace(web(server.port), host="localhost"), replace(web(server.port), name="other")])
    await controls.look()
    by_name = {state.name: state for state in controls.states if state.ip_version == 4}
    assert by_name["web"].up
    assert not by_name["other"].up
    assert by_name["other"].detail.startswith("Hostname mismatch")
    timeless_context.cache_clear()


async def test_no_more_files(make: Make, scripted: StartScripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process may open no more, the last look stays: it is not the control that fails."""
    server = await scripted(acts.silence)
    controls = make(neutral(server.port))
    monkeypatch.setattr("exporter.verdict.controls.files_are_scarce", lambda: True)
    assert (await the_state(controls)).up is None
    assert server.connections == 0
    monkeypatch.undo()
    assert (await the_state(controls)).up


async def test_down(make: Make, free_port: int) -> None:
    """A control that was never up says so: it proves nothing."""
    state = await the_state(make(neutral(free_port)))
    assert (state.up, state.was_ever_up, state.detail) == (False, False, "Connection refused")


async def test_silent(make: Make, free_port: int, fill_backlog: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look ends in time."""
    monkeypatch.setattr("exporter.verdict.controls.PATIENCE", 0.4)
    fill_backlog("127.0.0.1", free_port)
    belongings, began = Belongings(), time.monotonic()
    state = await the_state(make(neutral(free_port)))
    assert (state.up, state.detail) == (False, "no answer in time")
    assert time.monotonic() - began < 30
    await belongings.assert_nothing_left()


async def test_goes_down_and_up(scripted: StartScripted, make: Make, free_port: int) -> None:
    """That it was up is remembered, until its place in the configuration changes."""
    server = await scripted(acts.silence)
    control = neutral(server.port)
    controls = make(control)
    assert (await the_state(controls)).up
    await server.__aexit__(None, None, None)
    state = await the_state(controls)
    assert (state.up, state.was_ever_up) == (False, True)
    controls.configure([control, neutral(free_port, name="new")])
    assert [(each.name, each.up) for each in controls.states] == [("near", False), ("new", None)]
    controls.configure([replace(control, port=free_port)])
    state = await the_state(controls)
    assert (state.up, state.was_ever_up) == (False, False)


@pytest.mark.parametrize(
    ("failure", "detail"),
    [
        ("nxdomain", "its name cannot be looked up: Domain name not found"),
        ("silence", "its name cannot be looked up: no answer from the resolver"),
    ],
)
async def test_no_name(
    scripted: StartScripted,
    make: Make,
    names: NameServer,
    monkeypatch: pytest.MonkeyPatch,
    failure: Failure,
    detail: str,
) -> None:
    """A control is looked at where it was before: that names fail is known of the resolver."""
    monkeypatch.setattr("exporter.verdict.controls.LOOK_UP", 0.5)
    monkeypatch.setattr("exporter.probing.resolve.MAX_AGE", 0.0)
    server = await scripted(acts.silence)
    names.names["mail.example.com"] = failure
    controls = make(same_port(server.port), neutral(server.port))
    await controls.look(0)
    other, near = controls.states
    assert (other.up, other.was_ever_up, other.ip_version, other.detail) == (False, False, None, detail)
    assert near.up
    names.names["mail.example.com"] = ["127.0.0.1"]
    await controls.look(0)
    names.names["mail.example.com"] = failure
    await controls.look(0)
    assert [(state.up, state.was_ever_up, state.ip_version) for state in controls.states] == [(True, True, 4)] * 2


async def test_each_version_of_ip(scripted: StartScripted, make: Make) -> None:
    """A look is made over each that the name has an address of and this host a route for."""
    both = await scripted(acts.silence, ipv6=HAS_IPV6)
    only4 = await scripted(acts.silence)
    controls = make(same_port(both.port, "both.example"), replace(same_port(only4.port, "both.example"), name="four"))
    await controls.look()
    expected = [("other", 6, True), ("other", 4, True), ("four", 6, False), ("four", 4, True)]
    found = [(each.name, each.ip_version, each.up) for each in controls.states]
    assert found == [one for one in expected if one[1] == 4 or HAS_IPV6]


async def test_the_next_address(scripted: StartScripted, make: Make, names: NameServer) -> None:
    """One address that answers is enough."""
    server = await scripted(acts.silence)
    names.names["mail.example.com"] = ["127.0.0.9", "127.0.0.1"]
    assert (await the_state(make(same_port(server.port)))).up


async def test_when_a_look_is_made(scripted: StartScripted, make: Make) -> None:
    """Every quarter of an hour; while something fails, once in ten seconds, however much fails."""
    now = Now()
    server = await scripted(acts.silence)
    controls = make(neutral(server.port), now=now)
    await asyncio.gather(*(controls.look() for _ in range(100)))
    assert server.connections == 1
    now.now += INTERVAL - 1
    await controls.look()
    assert server.connections == 1
    now.now += 1
    await controls.look()
    assert server.connections == 2
    # A look that was made while all was well had no plain request.
    for _ in range(6):
        await asyncio.gather(*(controls.look(FRESH, plain=True) for _ in range(1000)))
        now.now += FRESH / 2
    assert server.connections == 5


async def test_a_plain_request_only_while_something_fails(
    scripted: StartScripted, make: Make, authority: Authority
) -> None:
    """Only to the provider's web: it shows a clock, and a portal."""
    server = await scripted(acts.silence, security="tls", context=authority.issue("www.google.com").context)
    pages = Pages(reply(204, b"", {"Date": formatdate(time.time() - 3600, usegmt=True)}))
    plain = await scripted(pages)
    controls = make(web(server.port), same_port(server.port), plain_port=plain.port)
    await controls.look()
    assert pages.requests == []
    await controls.look(0, plain=True)
    first, second = controls.states
    assert first.date_skew == pytest.approx(3600, abs=30)
    assert (first.portal, second.portal, second.date_skew) == (False, None, None)
    assert len(pages.requests) == 1
    pages.answer = reply(302, b"", {"Location": "http://portal.hotel.example/"})
    await controls.look(0, plain=True)
    assert (controls.states[0].portal, controls.states[0].date_skew) == (True, None)


async def test_a_plain_request_where_a_look_without_one_is_under_way(
    scripted: StartScripted, make: Make, authority: Authority
) -> None:
    """As where `check` begins to look, and a connection is refused at once: one more look follows, for all who wait."""
    server = await scripted(acts.silence, security="tls", context=authority.issue("www.google.com").context)
    pages = Pages(reply(302, b"", {"Location": "http://portal.hotel.example/"}))
    controls = make(web(server.port), plain_port=(await scripted(pages)).port)
    looking = asyncio.create_task(controls.look())
    await asyncio.sleep(0)
    await asyncio.gather(*(controls.look(FRESH, plain=True) for _ in range(3)))
    assert (looking.done(), controls.states[0].portal, len(pages.requests)) == (True, True, 1)


async def test_bounded(make: Make, scripted: StartScripted) -> None:
    """However many there are, only so many are looked at at the same time."""
    most = running = 0
    server: ScriptedServer

    class Slow(Controls):
        async def _over(self, control: Control, version: int, addresses: object) -> ControlState:
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            return ControlState(control.name, control.kind, control.host, control.port, up=True)

    server = await scripted(acts.silence)
    controls = Slow(make()._resolver)
    controls.configure([neutral(server.port, name=f"n{number}") for number in range(50)])
    await controls.look()
    assert most == AT_ONCE
    assert all(state.up for state in controls.states)


async def test_closed_while_somebody_looks(make: Make, free_port: int, fill_backlog: Fill) -> None:
    """At the end of the daemon nothing is left."""
    fill_backlog("127.0.0.1", free_port)
    controls = make(neutral(free_port))
    belongings = Belongings()
    looking = asyncio.create_task(controls.look())
    await asyncio.sleep(0.05)
    await controls.close()
    with pytest.raises(asyncio.CancelledError):
        await looking
    await belongings.assert_nothing_left()
