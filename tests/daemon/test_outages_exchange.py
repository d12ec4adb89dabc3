"""Port 25 is blocked, as many networks do, or the exchange of a domain is down: what is told of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.daemon.outages import BY_DEFAULT, TRACE, Watcher
from tests.daemon.test_outages import alerts, is_settled, not_inhibited
from tests.servers.authority import Authority
from tests.servers.internet import DOMAIN, NEUTRAL, OTHER_EXCHANGE, Internet
from tests.servers.network import Network
from tests.waiting import settle

ENDPOINTS = {"imap": {"protocol": "smtp", "domain": DOMAIN}}
"""Its name is that of the endpoint which a `Watcher` asks for."""

CONTROLS = {
    "neutral": {"kind": "neutral", "host": NEUTRAL, "port": 443},
    "other": {"kind": "same_port", "host": OTHER_EXCHANGE, "port": 25},
}


class World:
    """The internet, and two daemons at the client: one with a control at the same port, one by default."""

    def __init__(self, internet: Internet, full: Watcher, plain: Watcher) -> None:
        self.internet = internet
        self.full = full
        self.plain = plain

    def heal(self) -> None:
        """Make all as it was, and wait until that is known."""
        self.internet.heal()
        for watcher in (self.full, self.plain):
            watcher.wait_for(partial(is_up, watcher))


def is_up(watcher: Watcher) -> bool:
    """Whether the domain is."""
    return watcher.values("gmail_mx_up") == {"imap": 1.0}


@pytest.fixture(scope="module")
def world(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all outages."""
    directory = tmp_path_factory.mktemp("exchange")
    (directory / "trusted.pem").write_bytes(authority.ca_file.read_bytes())
    with Network() as network, Internet(network, authority) as internet, ExitStack() as stack:
        full, plain = (
            stack.enter_context(Watcher(internet, directory, name, verdict, ENDPOINTS))
            for name, verdict in (("full", {"controls": CONTROLS, "trace": TRACE}), ("plain", BY_DEFAULT))
        )
        world = World(internet, full, plain)
        world.heal()
        full.wait_for(lambda: full.values("gmail_control_up", "control") == {"neutral": 1.0, "other": 1.0})
        yield world


def test_port_25_is_blocked(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a control at the same port it is that; without one nothing tells it from an exchange that is down."""
    world.heal()
    world.internet.network.filter("r2", "tcp dport 25 drop")
    world.full.wait_for_verdict("port_blocked")
    world.plain.wait_for(lambda: is_settled(world.plain))
    world.full.wait_for(lambda: world.full.failing_for() > 5)
    directory = tmp_path_factory.mktemp("alerts")

    def is_told() -> None:
        found, by_default = world.full.verdict(), world.plain.verdict()
        assert found is not None
        assert by_default is not None
        assert world.full.values("gmail_verdict_info", "blame") == {"network": 1.0}
        assert any("mx.example.net:25" in fact and "answered before" in fact for fact in found["facts"]), found["facts"]
        assert world.full.values("gmail_mx_up") == {"imap": 0.0}
        assert by_default["name"] == "unknown"
        assert world.plain.values("gmail_verdict_info", "blame") == {"unknown": 1.0}
        fired = alerts(world.full, directory)
        assert not_inhibited(fired) == {"GmailPortBlocked"}, fired

    settle(is_told)


def test_the_exchange_is_down(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The control at the same port answers: it is the provider of the domain."""
    world.heal()
    world.internet.network.filter("server", "ip daddr 87.248.103.9 tcp dport 25 drop")
    world.full.wait_for_verdict("provider_down")
    world.full.wait_for(lambda: world.full.failing_for() > 5)
    directory = tmp_path_factory.mktemp("alerts")

    def is_alerted() -> None:
        fired = alerts(world.full, directory)
        assert not_inhibited(fired) == {"GmailDomainDown"}, fired

    settle(is_alerted)
