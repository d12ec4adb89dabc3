"""Which accounts of a configuration are one mailbox, and so share its login budget.

A mailbox is known by its provider and its user name, never by the name that an account or an endpoint has here:
whoever refuses a login counts those of the mailbox. The provider is Google for all of Google's hosts. Elsewhere it is
the set of hosts at which the accounts log in; accounts of one user whose sets overlap, also through others, are one
mailbox.
"""

from __future__ import annotations

import ipaddress
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain

from exporter.model.outcome import Target, TargetKey
from exporter.model.plan import DAY, PLANNED, Plan, plans
from exporter.model.reason import ANY_PROVIDER, provider_of
from exporter.model.settings import Account, Config, Endpoint

_GMAIL = ("gmail.com", "googlemail.com")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What one login budget is for."""

    username: str
    """As `user_of` returns it: one text for all spellings of one user."""
    providers: frozenset[str]
    """The name of a provider, or hosts; empty where no endpoint logs in."""
    accounts: tuple[Account, ...]
    """Those that log in to it, at least one."""
    places: Mapping[TargetKey, str] = field(default_factory=dict, hash=False)
    """For each target, what its login interval counts by: its server, whatever the endpoint is called."""

    deliveries: Plan = field(default=Plan(), hash=False)
    """Of the sessions of deliveries in a day."""
    plan: Plan = field(default=Plan(), hash=False)
    """Of the logins of a day at its endpoints, each address family for itself."""
    requests: Plan = field(default=Plan(), hash=False)
    """Of those that scrapes of `/probe` may ask for, at the `allow_hosts` of its modules."""
    planned: Mapping[TargetKey, float] = field(default_factory=dict, hash=False)
    """Where a plan is tight, or deliveries log in: for each target, the seconds from one login to the next."""

    @property
    def max_logins_per_day(self) -> int:
        """The lowest ceiling of its accounts."""
        return min(account.max_logins_per_day for account in self.accounts)

    def overlaps(self, other: Mailbox) -> bool:
        """Whether both are the same mailbox, of two configurations or of two accounts."""
        return self.username == other.username and not self.providers.isdisjoint(other.providers)

    def place(self, target: Target) -> str:
        """Return what the login interval of a target counts by, also of one that a reload has just removed."""
        return self.places.get(target.key) or _server(target)


def mailboxes(config: Config) -> tuple[Mailbox, ...]:
    """Return the mailboxes at which the accounts of a configuration log in; each account is of exactly one."""
    scheduled = _targets(config, config.endpoints.values())
    requested = _targets(config, chain.from_iterable(module.endpoints for module in config.modules.values()))
    of_user: dict[str, list[Mailbox]] = defaultdict(list)
    for name, account in config.accounts.items():
        hosts = frozenset(provider_key(of.endpoint.host) for of in chain(scheduled[name], requested[name]))
        joined = Mailbox(user_of(account), hosts, (account,))
        others = []
        for other in of_user[joined.username]:
            if joined.overlaps(other):
                joined = Mailbox(joined.username, joined.providers | other.providers, other.accounts + joined.accounts)
            else:
                others.append(other)
        of_user[joined.username] = [*others, joined]
    sessions = _sessions(config)
    return tuple(_planned(one, scheduled, requested, sessions) for found in of_user.values() for one in found)


def _planned(
    mailbox: Mailbox,
    scheduled: Mapping[str, Iterable[Target]],
    requested: Mapping[str, Iterable[Target]],
    sessions: Iterable[tuple[Endpoint, float]],
) -> Mailbox:
    """Return the mailbox with its places and its plans; `sessions` are those of deliveries, with their intervals.

    Deliveries come first, and an endpoint still has one login a day.
    """
    ceiling = mailbox.max_logins_per_day
    own = [(endpoint, seconds) for endpoint, seconds in sessions if endpoint.account in mailbox.accounts]
    at_endpoints = [target for account in mailbox.accounts for target in scheduled[account.name]]
    at_requests = [target for account in mailbox.accounts for target in requested[account.name]]
    deliveries = Plan.of((seconds for _, seconds in own), PLANNED * ceiling - len(at_endpoints))
    own = [(endpoint, deliveries.interval(seconds)) for endpoint, seconds in own]
    left = [_left(target, own) for target in at_endpoints]
    asked = [target.endpoint.login_interval for target in at_requests]
    plan, requests = plans(left, asked, ceiling, deliveries.planned)
    planned = {
        target.key: one.interval(seconds) if one.is_tight else target.endpoint.login_interval
        for one, targets, intervals in ((plan, at_endpoints, left), (requests, at_requests, asked))
        for target, seconds in zip(targets, intervals, strict=True)
        if one.is_tight or seconds != target.endpoint.login_interval
    }
    places = _places([*at_endpoints, *at_requests])
    return replace(mailbox, places=places, deliveries=deliveries, plan=plan, requests=requests, planned=planned)


def _sessions(config: Config) -> list[tuple[Endpoint, float]]:
    """The sessions of all deliveries, each with the seconds from one to the next."""
    found = []
    for delivery in config.deliveries.values():
        found += [(endpoint, delivery.interval) for endpoint in (delivery.via, *delivery.read_at)]
        found += [(delivery.sent_at, DAY)] if delivery.sent_at else []
    return found


def _left(target: Target, sessions: Iterable[tuple[Endpoint, float]]) -> float:
    """The interval of a target's logins that are left to it: the session of a delivery is one at the first target.

    The login interval counts from each session, too: as many logins as fit in between two sessions are left, however
    much of the time there that is. Those of several deliveries may all be at the same time.
    """
    endpoint = target.endpoint
    seconds = min((seconds for of, seconds in sessions if of == endpoint), default=math.inf)
    if math.isinf(seconds) or target != Target.of(endpoint)[0]:
        return endpoint.login_interval
    between = math.ceil(seconds / endpoint.login_interval - 1e-9) - 1
    return DAY / max(1.0, DAY / seconds * between)


def user_of(account: Account) -> str:
    """Return the user name in small letters, its domain in one spelling; at gmail.com, one text for all of a mailbox.

    Gmail ignores dots and what follows a plus sign, and has googlemail.com as a second name
    (https://support.google.com/mail/answer/7436150 and /answer/22370).
    """
    return user_named(account.username)


def user_named(username: str) -> str:
    """Return `user_of` for the user name of an account."""
    name = unicodedata.normalize("NFC", username.strip().lower())
    local, at, domain = name.rpartition("@")
    domain = _host(domain) if at else domain
    if local and domain in _GMAIL:
        return f"{local.partition('+')[0].replace('.', '')}@{_GMAIL[0]}"
    return f"{local}{at}{domain}"


@lru_cache(1 << 12)
def provider_key(host: str) -> str:
    """Return the name of the provider that runs a host; of any other, the host in one spelling."""
    provider = provider_of(host)
    return _host(host) if provider == ANY_PROVIDER else provider


@lru_cache(1 << 12)
def _host(host: str) -> str:
    name = host.lower().removesuffix(".")
    with suppress(UnicodeError):
        name = name if name.isascii() else name.encode("idna").decode()  # RFC 3490 §4.1
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    # ::ffff:192.0.2.1 is 192.0.2.1 (RFC 4291 §2.5.5.2), and Python versions differ in how they spell it.
    return str(getattr(address, "ipv4_mapped", None) or address)


def _places(targets: Iterable[Target]) -> dict[TargetKey, str]:
    """Number the targets of each server, so that two endpoints of one server have an interval each.

    Another name of an endpoint may exchange their numbers. It makes no new one.
    """
    servers: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        servers[_server(target)].append(target)
    return {
        target.key: server if number == 0 else f"{server}#{number + 1}"
        for server, targets in servers.items()
        for number, target in enumerate(sorted(targets, key=lambda one: one.endpoint.name))
    }


def _targets(config: Config, endpoints: Iterable[Endpoint]) -> dict[str, list[Target]]:
    """Return the targets of these endpoints, by account."""
    found: dict[str, list[Target]] = {name: [] for name in config.accounts}
    for endpoint in endpoints:
        if endpoint.account:
            found[endpoint.account.name] += Target.of(endpoint)
    return found


def _server(target: Target) -> str:
    endpoint = target.endpoint
    return f"{endpoint.protocol.value}/{_host(endpoint.host)}/{endpoint.port}/{target.ip_family.value}"
