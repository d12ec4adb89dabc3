"""How other endpoints fare while one fails."""

from __future__ import annotations

from dataclasses import replace

from exporter.model.evidence import Siblings, Tally
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily
from exporter.monitor.siblings import AGE, Census
from exporter.monitor.store import Store
from tests.examples import ACCOUNT, Clock, failure, success, target

DOWN, UP = False, True


def seen(outcome: Outcome, version: int | None = 4) -> Outcome:
    """The Outcome over a version of IP."""
    return replace(outcome, observed=replace(outcome.observed, ip_version=version))


def store_of(*results: tuple[Target, bool]) -> Store:
    """A store of targets over IPv4, up or down."""
    store = Store(Clock())
    store.configure(each for each, _ in results)
    for each, is_up in results:
        store[each.key].add(seen(success(each) if is_up else failure(each)))
    return store


def test_by_what_they_have_in_common() -> None:
    """The endpoint itself is not among the others of its host, account and provider; among the providers it is."""
    imap = target("imap", account=ACCOUNT)
    store = store_of(
        (imap, DOWN),
        (target("same-host", port=143), UP),
        (target("pop", host="pop.gmail.com", port=995, account=ACCOUNT), DOWN),
        (target("dovecot", host="mail.example.com"), UP),
        (target("cyrus", host="mail.example.org"), DOWN),
    )
    assert Census(store).siblings(seen(failure(imap))) == Siblings(
        host=Tally(1, 0), account=Tally(0, 1), provider=Tally(0, 1), providers=Tally(2, 1)
    )


def test_its_own_last_probe_does_not_count() -> None:
    """It was up a moment ago, and fails now: all endpoints of all providers are down."""
    imap, other = target("imap"), target("other", host="mail.example.com")
    store = store_of((imap, UP), (other, DOWN))
    assert Census(store).siblings(seen(failure(imap))).providers == Tally(0, 2)


def test_versions_of_ip() -> None:
    """What is up over IPv4 says nothing of IPv6; where the name did not resolve, both count."""
    four, six = target("four", IpFamily.IPV4), target("six", IpFamily.IPV6)
    store = store_of((four, UP), (six, DOWN))
    store[six.key].add(seen(failure(six), 6))
    census = Census(store)
    assert census.siblings(seen(failure(six), 6)).host == Tally()
    unresolved = target("any", host="imap.gmail.com")
    assert census.siblings(failure(unresolved, Phase.RESOLVE, Reason.DNS_ERROR)).host == Tally(1, 1)


def test_counted_once_for_all() -> None:
    """However many endpoints fail, all are counted once in a while."""
    imap, clock = target("imap"), Clock()
    store = store_of((imap, DOWN), (other := target("other", host="pop.gmail.com"), UP))
    census = Census(store, clock)
    assert census.siblings(seen(failure(imap))).provider == Tally(1, 0)
    store[other.key].add(seen(failure(other)))
    assert census.siblings(seen(failure(imap))).provider == Tally(1, 0)
    clock.advance(AGE + 0.1)
    assert census.siblings(seen(failure(imap))).provider == Tally(0, 1)
