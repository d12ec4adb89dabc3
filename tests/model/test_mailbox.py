"""Which accounts are one mailbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.address import HostPattern
from exporter.model.mailbox import Mailbox, mailboxes, provider_key, user_of
from exporter.model.outcome import Target
from exporter.model.plan import DAY, Plan
from exporter.model.settings import Account, Config, Endpoint, IpFamily, Module, Protocol, Security
from tests.examples import ACCOUNT


def account(name: str, username: str = "probe@example.com", **changes: Any) -> Account:
    """An account of that name."""
    return replace(ACCOUNT, name=name, username=username, **changes)


def endpoint(name: str, host: str, of: Account, **changes: Any) -> Endpoint:
    """An endpoint at which the account logs in."""
    values = {"protocol": Protocol.IMAP, "port": 993, **changes}
    return Endpoint(name=name, host=host, account=of, **values)


def config(*endpoints: Endpoint, accounts: tuple[Account, ...] = (), **more: Any) -> Config:
    """A configuration of endpoints and their accounts."""
    everyone = [*accounts, *(each.account for each in endpoints if each.account)]
    return Config(
        accounts={each.name: each for each in everyone}, endpoints={each.name: each for each in endpoints}, **more
    )


def groups(of: Config) -> set[frozenset[str]]:
    """The names of the accounts of each mailbox."""
    return {frozenset(each.name for each in mailbox.accounts) for mailbox in mailboxes(of)}


@pytest.mark.parametrize(
    ("username", "user"),
    [
        ("probe@gmail.com", "probe@gmail.com"),
        ("P.r.o.b.e@Gmail.com", "probe@gmail.com"),
        ("probe+any.tag+more@gmail.com", "probe@gmail.com"),
        ("PROBE@GOOGLEMAIL.COM", "probe@gmail.com"),
        (" probe@gmail.com ", "probe@gmail.com"),
        ("pro.be+tag@example.com", "pro.be+tag@example.com"),
        ("Probe@Example.com", "probe@example.com"),
        ("gmail.com", "gmail.com"),
        ("@gmail.com", "@gmail.com"),
        ("pro.be@mail.gmail.com", "pro.be@mail.gmail.com"),
        ("Probe", "probe"),
        ("probe@gmail.com.", "probe@gmail.com"),
        ("probe@Example.com.", "probe@example.com"),
        ("Probe@MÜNCHEN.example", "probe@xn--mnchen-3ya.example"),
        ("probe@mu\u0308nchen.example", "probe@xn--mnchen-3ya.example"),
        ("probe@xn--mnchen-3ya.example", "probe@xn--mnchen-3ya.example"),
        ("Andre\u0301@example.com", "andr\xe9@example.com"),
        (f"probe@{'ü' * 64}.example", f"probe@{'ü' * 64}.example"),
        ("probe@[192.0.2.1]", "probe@[192.0.2.1]"),
    ],
)
def test_user(username: str, user: str) -> None:
    """Small letters, and one spelling of the domain; at gmail.com without dots, tag and the second name of it."""
    assert user_of(account("ops", username)) == user


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("imap.gmail.com", "Google"),
        ("POP.GMAIL.COM.", "Google"),
        ("smtp-relay.gmail.com", "Google"),
        ("imap.googlemail.com", "Google"),
        ("aspmx.l.google.com", "Google"),
        ("imap.gmail.com.example.net", "imap.gmail.com.example.net"),
        ("google", "google"),
        ("Mail.Example.com.", "mail.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
    ],
)
def test_provider(host: str, provider: str) -> None:
    """One for all hosts of Google; elsewhere the host, in one spelling."""
    assert provider_key(host) == provider


def test_five_names_of_a_mailbox() -> None:
    """They are one mailbox at Google, at whichever of its hosts; the lowest ceiling holds."""
    names = ["probe@gmail.com", "Probe@gmail.com", "pro.be@gmail.com", "probe+x@gmail.com", "probe@googlemail.com"]
    hosts = ["imap.gmail.com", "pop.gmail.com", "smtp.gmail.com", "imap.googlemail.com", "smtp-relay.gmail.com"]
    accounts = [account(f"a{i}", name, max_logins_per_day=100 - i) for i, name in enumerate(names)]
    (mailbox,) = mailboxes(config(*(endpoint(f"e{i}", hosts[i], each) for i, each in enumerate(accounts))))
    assert mailbox.username == "probe@gmail.com"
    assert mailbox.providers == {"Google"}
    assert [each.name for each in mailbox.accounts] == ["a0", "a1", "a2", "a3", "a4"]
    assert mailbox.max_logins_per_day == 96


def test_the_same_user_at_two_providers() -> None:
    """Two mailboxes: of Google and of another, and of two others."""
    endpoints = [
        endpoint(f"e{i}", host, account(f"a{i}")) for i, host in enumerate(["imap.gmail.com", "a.example", "b.example"])
    ]
    assert groups(config(*endpoints)) == {frozenset({"a0"}), frozenset({"a1"}), frozenset({"a2"})}


def test_hosts_that_overlap_are_joined_through_others() -> None:
    """a.example and c.example are one provider once an account logs in at both, or at both through a third host."""
    a, b, c = account("a"), account("b"), account("c")
    apart = config(endpoint("1", "a.example", a), endpoint("2", "c.example", c))
    assert groups(apart) == {frozenset({"a"}), frozenset({"c"})}
    chain = config(
        endpoint("1", "a.example", a),
        endpoint("2", "c.example", c),
        endpoint("3", "a.example", b),
        endpoint("4", "b.example", b),
        endpoint("5", "B.example.", c),
    )
    (mailbox,) = mailboxes(chain)
    assert mailbox.providers == {"a.example", "b.example", "c.example"}
    assert {each.name for each in mailbox.accounts} == {"a", "b", "c"}


def test_hosts_of_modules_count() -> None:
    """An account that logs in through `/probe` is of the provider of its module's hosts."""
    ops, other = account("ops"), account("other")
    module = Module(name="m", protocol=Protocol.IMAP, port=993, account=ops, allow_hosts=(HostPattern("a.example"),))
    both = config(endpoint("1", "a.example", other), accounts=(ops,), modules={"m": module})
    assert groups(both) == {frozenset({"ops", "other"})}


def test_accounts_that_log_in_nowhere() -> None:
    """Each is a mailbox of no provider."""
    found = mailboxes(config(accounts=(account("a"), account("b"))))
    assert [(len(each.accounts), each.providers) for each in found] == [(1, frozenset())] * 2


HOSTS = st.sampled_from(["a.example", "b.example", "c.example", "imap.gmail.com", "pop.gmail.com"])


@given(st.dictionaries(st.sampled_from("uvwxyz"), st.lists(HOSTS, max_size=3), min_size=1))
def test_any_configuration(hosts: dict[str, list[str]]) -> None:
    """Each account is of exactly one mailbox; no two mailboxes of a user have a provider in common, in any order."""
    made = [endpoint(f"{name}{i}", host, account(name)) for name, its in hosts.items() for i, host in enumerate(its)]
    accounts = tuple(account(name) for name in hosts)
    found = mailboxes(config(*made, accounts=accounts))
    assert sorted(each.name for mailbox in found for each in mailbox.accounts) == sorted(hosts)
    for one in found:
        assert not any(one.overlaps(other) for other in found if other is not one)
    turned = mailboxes(config(*reversed(made), accounts=accounts[::-1]))
    assert {(each.providers, frozenset(each.accounts)) for each in found} == {
        (each.providers, frozenset(each.accounts)) for each in turned
    }


def places(*endpoints: Endpoint) -> dict[str, str]:
    """The place of each target, by the endpoint's name and the address family."""
    (mailbox,) = mailboxes(config(*endpoints))
    return {"/".join(target): place for target, place in mailbox.places.items()}


def test_a_place_is_the_server() -> None:
    """Its protocol, host and port, and the address family, whatever the endpoint is called, or its labels."""
    ops = account("ops")
    of = {"ip_family": IpFamily.BOTH, "labels": {"tenant": "a"}}
    assert places(endpoint("imap", "Mail.example", ops), endpoint("smtp", "mail.example", ops, port=465, **of)) == {
        "imap/any": "imap/mail.example/993/any",
        "smtp/ipv4": "imap/mail.example/465/ipv4",
        "smtp/ipv6": "imap/mail.example/465/ipv6",
    }
    renamed = places(endpoint("renamed", "mail.example", ops, security=Security.STARTTLS))
    assert renamed == {"renamed/any": "imap/mail.example/993/any"}


def test_several_endpoints_of_one_server_have_a_place_each() -> None:
    """Also of two accounts of the mailbox. Another name makes no new place."""
    one, other = account("one"), account("other")
    of = [("a", one), ("b", one), ("c", other)]
    before = places(*(endpoint(name, "mail.example", owner) for name, owner in of))
    assert len(set(before.values())) == 3
    after = places(*(endpoint(f"x{name}", "mail.example", owner) for name, owner in reversed(of)))
    assert set(after.values()) == set(before.values())


def test_the_place_of_a_target_that_is_not_configured() -> None:
    """That of its server: a reload may have removed it during its probe."""
    of = endpoint("imap", "mail.example", account("ops"))
    mailbox = Mailbox("probe@example.com", frozenset({"mail.example"}), (account("ops"),))
    assert mailbox.place(Target(of, IpFamily.ANY)) == "imap/mail.example/993/any"


def test_plan_of_a_mailbox() -> None:
    """Endpoints of all its accounts share the lowest ceiling; each address family logs in for itself."""
    one = account("a", "probe@gmail.com", max_logins_per_day=1000)
    other = account("b", "p.robe@gmail.com")
    both = endpoint("both", "imap.gmail.com", one, ip_family=IpFamily.BOTH)
    single = endpoint("single", "pop.gmail.com", other, login_interval=3600.0)
    (mailbox,) = mailboxes(config(both, single))
    assert mailbox.plan == Plan.of([900, 900, 3600], 160)
    keys = [target.key for of in (both, single) for target in Target.of(of)]
    assert mailbox.planned == dict(zip(keys, [DAY / 71, DAY / 71, DAY / 17], strict=True))
    (mailbox,) = mailboxes(config(replace(both, ip_family=IpFamily.IPV6)))
    assert mailbox.planned == {}


@pytest.mark.parametrize(
    ("endpoints", "hosts", "planned"),
    [
        (0, 1, {}),
        (0, 4, {"probe": DAY / 45}),  # 180 logins
        (1, 1, {"probe": DAY / 84}),  # 180 less the 96 of the endpoint
        (4, 1, {"e": DAY / 40, "probe": DAY / 20}),  # 180 less 160
        (4, 4, {"e": DAY / 40, "probe": DAY / 5}),
        (4, 30, {"e": DAY / 40, "probe": DAY}),  # one a day in any case
    ],
)
def test_modules_have_what_the_endpoints_leave(endpoints: int, hosts: int, planned: dict[str, float]) -> None:
    """What scrapes may ask for does not make an endpoint log in less often, and never brings it to the ceiling."""
    of = account("ops", "probe@gmail.com")
    allowed = tuple(HostPattern.parse(f"h{number}.gmail.com") for number in range(hosts))
    module = Module(name="m", protocol=Protocol.IMAP, port=993, account=of, allow_hosts=allowed)
    regular = [endpoint(f"e{number}", f"h{number}.gmail.com", of) for number in range(endpoints)]
    (mailbox,) = mailboxes(config(*regular, accounts=(of,), modules={"m": module}))
    assert len(mailbox.places) == endpoints + hosts
    found = {name.split("/")[0].rstrip("0123456789"): seconds for (name, _), seconds in mailbox.planned.items()}
    assert found == pytest.approx(planned)
    assert len(mailbox.planned) == endpoints * ("e" in planned) + hosts * ("probe" in planned)
