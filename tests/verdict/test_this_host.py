"""This host's own facts, and what other resolvers say."""

from __future__ import annotations

import resource
import socket
from collections.abc import Sequence
from contextlib import suppress

import pytest

from exporter.model.address import Address
from exporter.model.evidence import ControlKind, ControlState, SecondOpinion
from exporter.model.settings import IpFamily
from exporter.probing.resolve import Resolver
from exporter.verdict import this_host
from exporter.verdict.this_host import answers, host_facts, open_files_left, opinions
from tests.servers.dns import Failure, NameServer


def control(skew: float | None) -> ControlState:
    """Return a control whose clock is off by so much."""
    return ControlState("web", ControlKind.PROVIDER_WEB, "www.google.com", 443, up=True, date_skew=skew)


@pytest.mark.parametrize(
    ("skews", "skew"),
    [([], None), ([None], None), ([5.0, None], 5.0), ([-86400.0, 5.0], 5.0), ([5.0, 86400.0, 6.0], 6.0)],
)
def test_the_clock(skews: Sequence[float | None], skew: float | None) -> None:
    """One control whose clock is wrong does not count among two or three."""
    assert host_facts(None, map(control, skews), resolver_answers=None).clock_skew == skew


def test_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the server's own address in its version of IP, to nowhere in particular in the other; nothing is sent."""
    asked: list[tuple[int, str]] = []

    def has_route(kind: int, address: str) -> bool:
        asked.append((kind, address))
        return kind == socket.AF_INET

    monkeypatch.setattr(this_host, "has_route", has_route)
    facts = host_facts("192.0.2.7", (), resolver_answers=True)
    assert (facts.has_route_ipv4, facts.has_route_ipv6, facts.resolver_answers) == (True, False, True)
    host_facts("2001:db8::7", (), resolver_answers=True)
    assert asked == [
        (socket.AF_INET, "192.0.2.7"),
        (socket.AF_INET6, "2001:db8::1"),
        (socket.AF_INET, "192.0.2.1"),
        (socket.AF_INET6, "2001:db8::7"),
    ]


def test_files_that_are_left() -> None:
    """Each one that is opened leaves one less; where none is left, no route is known, either."""
    before = open_files_left()
    assert before is not None
    with socket.socket():
        assert open_files_left() == before - 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[socket.socket] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        with suppress(OSError):
            while True:
                taken.append(socket.socket())
        facts = host_facts("192.0.2.1", (), resolver_answers=None)
        assert (facts.open_files_left, facts.has_route_ipv4, facts.has_route_ipv6) == (0, None, None)
    finally:
        for one in taken:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_what_is_not_asked_without_files(
    resolver: Resolver, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up that fails for want of a file says nothing of a resolver."""
    monkeypatch.setattr(this_host, "open_files_left", lambda: this_host.FEW_FILES - 1)
    assert await answers(resolver, ["imap.gmail.com"]) is None
    assert await opinions([address_of(names)], "imap.gmail.com", IpFamily.ANY) == ()
    assert names.questions == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], None),
        (["192.0.2.1", "::1"], None),
        (["imap.gmail.com"], True),
        (["none.example"], True),
        (["mail.example.com", "192.0.2.1"], True),
        (["fails.example"], False),
        (["refused.example", "silent.example"], False),
        (["silent.example", "imap.gmail.com"], True),
        (["none.example", "imap.gmail.com"], True),
        (["none.example", "nowhere.example"], False),
        (["none.example", "silent.example"], False),
    ],
)
async def test_whether_the_resolver_answers(
    resolver: Resolver,
    names: NameServer,
    monkeypatch: pytest.MonkeyPatch,
    asked: Sequence[str],
    expected: bool | None,
) -> None:
    """That there is no such name is an answer for one name, not for all; that it failed, or nothing, is none."""
    monkeypatch.setattr(this_host, "PATIENCE", 0.5)
    names.names |= {"fails.example": "servfail", "refused.example": "refused", "silent.example": "silence"}
    assert await answers(resolver, asked) is expected


def address_of(names: NameServer) -> Address:
    """Return where a name server listens."""
    host, _, port = names.address.partition(":")
    return Address(host, int(port))


async def test_second_opinions(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each resolver is asked by itself, and one that is silent holds nobody up."""
    monkeypatch.setattr(this_host, "PATIENCE", 0.5)
    first = address_of(names)
    names.names["two.example"] = ["192.0.2.5"]
    async with NameServer({"imap.gmail.com": ["192.0.2.9", "2001:db8::9"], "two.example": "silence"}) as other:
        second, nobody = address_of(other), Address("127.0.0.1", 1)
        found = await opinions([first, second, nobody], "imap.gmail.com", IpFamily.ANY)
        assert found[:2] == (
            SecondOpinion(str(first), "imap.gmail.com", ("127.0.0.1",)),
            SecondOpinion(str(second), "imap.gmail.com", ("2001:db8::9", "192.0.2.9")),
        )
        assert (found[2].is_reachable, found[2].addresses) == (False, ())
        assert found[2].failure
        silent = await opinions([first, second], "two.example", IpFamily.IPV4)
    assert silent == (
        SecondOpinion(str(first), "two.example", ("192.0.2.5",)),
        SecondOpinion(str(second), "two.example", (), "no answer in time", is_reachable=False),
    )


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        ("nxdomain", "Domain name not found"),
        ("servfail", "DNS server returned general failure"),
        ("refused", "DNS server refused query"),
    ],
)
async def test_an_opinion_that_there_is_none(names: NameServer, failure: Failure, text: str) -> None:
    """It is one, too."""
    names.names["imap.gmail.com"] = failure
    (found,) = await opinions([address_of(names)], "imap.gmail.com", IpFamily.ANY)
    assert (found.addresses, found.failure, found.is_reachable) == ((), text, True)


async def test_no_opinion_of_an_address(names: NameServer) -> None:
    """Nobody is asked for what needs no name."""
    assert await opinions([address_of(names)], "192.0.2.1", IpFamily.ANY) == ()
    assert names.questions == []
