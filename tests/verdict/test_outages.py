"""What the sources show in outages that are real, in a network of the test: one outage at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from exporter.probing.resolve import MAX_AGE
from tests.servers.authority import Authority
from tests.servers.internet import IMAP, INCIDENT, NAMES, Internet
from tests.servers.network import Network
from tests.servers.pages import Pages, reply
from tests.waiting import PATIENCE

Found = dict[str, Any]


@pytest.fixture
def internet(network: Network, authority: Authority) -> Iterator[Internet]:
    """Google's servers, another provider's, a neutral host and two resolvers."""
    with Internet(network, authority) as made:
        yield made


def look(internet: Internet, begin: Callable[[], object] = lambda: None) -> Found:
    """Look while all is well, let the outage begin, and return what is found in it."""
    command = internet.network.argv("client", sys.executable, "-m", "tests.verdict.looker")
    environ = {"SSL_CERT_FILE": str(internet.authority.ca_file)}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "looked\n"
        begin()
        time.sleep(MAX_AGE)  # for which a name that was looked up is known
        began = time.monotonic()
        process.stdin.write("\n")
        process.stdin.flush()
        found: Found = json.loads(process.stdout.readline())
        assert time.monotonic() - began < PATIENCE
    assert process.returncode == 0
    return found


def up(found: Found) -> dict[str, bool]:
    """Return which controls are up, over which version of IP; each was up before."""
    assert all(control["was_ever_up"] for control in found["controls"])
    return {f"{control['name']}/{control['ip_version'] or '-'}": control["up"] for control in found["controls"]}


ALL_UP = {"web/4": True, "web/6": True, "near/4": True, "other/4": True}


def test_all_is_well(internet: Internet) -> None:
    """Everything is up, and says so."""
    internet.incidents = [INCIDENT]
    found = look(internet)
    assert up(found) == ALL_UP
    assert found["portal"] is False
    (opinion,) = found["opinions"]
    assert set(opinion["addresses"]) == set(NAMES["imap.gmail.com"])
    host = found["host"]
    assert (host["has_route_ipv4"], host["has_route_ipv6"], host["resolver_answers"]) == (True, True, True)
    assert abs(host["clock_skew"]) < 30
    assert host["open_files_left"] > 100
    (incident,) = found["status"]["incidents"]
    assert (incident["status"], incident["severity"]) == ("disruption", "medium")
    assert incident["text"] == "Gmail users may not be able to read mail over IMAP."


def test_the_uplink_is_cut(internet: Internet) -> None:
    """Nobody answers; the route of this host is still there."""
    found = look(internet, internet.network.cut_uplink)
    assert up(found) == dict.fromkeys(ALL_UP, False)
    assert (found["host"]["has_route_ipv4"], found["host"]["resolver_answers"]) == (True, False)
    (opinion,) = found["opinions"]
    assert (opinion["addresses"], opinion["is_reachable"]) == ([], False)
    assert found["portal"] is None


@pytest.mark.parametrize(("version", "other"), [(4, 6), (6, 4)])
def test_no_route(internet: Internet, version: int, other: int) -> None:
    """Of one version of IP; the routes of the other are there."""

    def begin() -> None:
        internet.network.run("client", "ip", f"-{version}", "route", "del", "default")

    host = look(internet, begin)["host"]
    assert (host[f"has_route_ipv{version}"], host[f"has_route_ipv{other}"]) == (False, True)


@pytest.mark.parametrize("rule", ["tcp dport 993 drop", "tcp dport 993 reject"])
def test_a_port_is_blocked(internet: Internet, rule: str) -> None:
    """The same port of another provider is down, everything else is up."""
    found = look(internet, lambda: internet.network.filter("r2", rule))
    assert up(found) == {**ALL_UP, "other/4": False}
    assert found["host"]["resolver_answers"] is True


def test_ipv6_is_broken(internet: Internet) -> None:
    """The provider's web is down over IPv6 alone."""
    found = look(internet, lambda: internet.network.filter("r2", "meta nfproto ipv6 drop"))
    assert up(found) == {**ALL_UP, "web/6": False}


def test_the_resolver_is_silent(internet: Internet) -> None:
    """The controls are up where they were before, and the second resolver knows the name."""

    def begin() -> None:
        internet.resolver.names = dict.fromkeys(NAMES, "silence")

    found = look(internet, begin)
    assert up(found) == ALL_UP
    assert found["host"]["resolver_answers"] is False
    (opinion,) = found["opinions"]
    assert set(opinion["addresses"]) == set(NAMES["imap.gmail.com"])


def test_the_resolver_lies(internet: Internet) -> None:
    """The second one has the addresses that are right."""

    def begin() -> None:
        internet.resolver.names["imap.gmail.com"] = ["10.9.0.66"]

    found = look(internet, begin)
    assert up(found) == ALL_UP
    (opinion,) = found["opinions"]
    assert set(IMAP) < set(opinion["addresses"])


def test_a_captive_portal(internet: Internet) -> None:
    """It answers the plain request, and not the handshake; it has no clock."""

    def begin() -> None:
        internet.servers["plain"].behave = Pages(reply(302, b"", {"Location": "http://login.hotel.example/"}))
        internet.servers["web"].context = internet.authority.issue("login.hotel.example").context

    found = look(internet, begin)
    assert found["portal"] is True
    assert found["host"]["clock_skew"] is None
    assert up(found) == {**ALL_UP, "web/4": False, "web/6": False}


def test_another_clock(internet: Internet) -> None:
    """This host's is a day ahead."""

    def begin() -> None:
        date = formatdate(time.time() - 86400, usegmt=True)
        internet.servers["plain"].behave = Pages(reply(204, b"", {"Date": date}))

    found = look(internet, begin)
    assert found["host"]["clock_skew"] == pytest.approx(86400, abs=30)
    assert found["portal"] is False


def test_the_status_cannot_be_read(internet: Internet) -> None:
    """It is unknown, then."""
    internet.servers["web"].behave = Pages(reply(500))
    status = look(internet)["status"]
    assert (status["fault"], status["incidents"], status["read_at"]) == ("the answer is HTTP 500", [], None)
