"""The part of a configuration that one process probes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.address import HostPattern
from exporter.model.settings import Account, Config, Delivery, Endpoint, Module, Protocol, SecretRef
from exporter.model.shard import MAX_SHARDS, Keys, Shard, shard_number

NAMES = st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,20}", fullmatch=True)
COUNTS = st.integers(1, 40)


def account(name: str) -> Account:
    """An account of that name."""
    return Account(name=name, username=f"{name}@example.com", app_password=SecretRef(file=Path("/run/secrets/x")))


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    """Endpoints with and without accounts; an account has several endpoints, one or none."""
    accounts = {name: account(name) for name in draw(st.lists(NAMES, max_size=5, unique=True))}
    endpoints = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=20, unique=True)):
        owned = draw(st.sampled_from([None, *accounts.values()]))
        endpoints[name] = Endpoint(name=name, protocol=Protocol.IMAP, host="h", port=993, account=owned)
    values: dict[str, Any] = {"accounts": accounts, "endpoints": endpoints, "source": "x.yml", "digest": "ab" * 32}
    return Config(**values)


@given(configurations(), COUNTS)
def test_endpoints_and_accounts(config: Config, count: int) -> None:
    """Every endpoint and account is in exactly one shard, an account in that of its endpoints."""
    parts = [Shard(number, count).take(config) for number in range(count)]
    assert Counter(name for part in parts for name in part.endpoints) == Counter(list(config.endpoints))
    assert Counter(name for part in parts for name in part.accounts) == Counter(list(config.accounts))
    for part in parts:
        assert {one.account.name for one in part.endpoints.values() if one.account} <= part.accounts.keys()
        assert list(part.endpoints) == [name for name in config.endpoints if name in part.endpoints]
        assert part.digest == config.digest


@given(st.lists(NAMES, max_size=5, unique=True), COUNTS)
def test_modules(names: list[str], count: int) -> None:
    """A module with an account is in one shard, and the others know which; one without is in every shard."""
    accounts = {name: account(name) for name in names}
    values: dict[str, Any] = {"protocol": Protocol.IMAP, "port": 993, "allow_hosts": (HostPattern("h"),)}
    modules = {f"m-{name}": Module(name=f"m-{name}", account=accounts[name], **values) for name in names}
    modules["open"] = Module(name="open", **values)
    config = Config(accounts=accounts, endpoints={}, modules=modules, source="x.yml", digest="ab" * 32)
    parts = {shard: shard.take(config).modules for shard in (Shard(number, count) for number in range(count))}
    for shard, part in parts.items():
        elsewhere = shard.modules_elsewhere(config)
        assert "open" in part
        assert part.keys() | elsewhere.keys() == modules.keys()
        assert not part.keys() & elsewhere.keys()
        assert all(name in parts[other] for name, other in elsewhere.items())


@given(configurations())
def test_single_shard(config: Config) -> None:
    """A single shard takes the configuration itself."""
    assert Shard().take(config) is config


@given(NAMES, COUNTS)
def test_additional_shard(name: str, count: int) -> None:
    """With one more shard, a key stays in its shard or moves to the new one."""
    assert shard_number(name, count + 1) in {shard_number(name, count), count}


def test_distribution() -> None:
    """Of 20,000 keys on 10 shards, one in 11 moves to an eleventh, and no shard has 10 % more than its share."""
    keys = [f"tenant-{number}" for number in range(20_000)]
    moved = sum(shard_number(one, 10) != shard_number(one, 11) for one in keys)
    assert moved == pytest.approx(20_000 / 11, rel=0.05)
    shares = Counter(shard_number(one, 10) for one in keys)
    assert len(shares) == 10
    assert max(shares.values()) < 2_200


def test_owners_are_stable() -> None:
    """Owners are the same in every process and version: an upgrade must not move a login budget."""
    assert [shard_number(f"tenant-{number}", 5) for number in range(10)] == OWNERS


OWNERS = [0, 3, 4, 4, 3, 3, 3, 3, 4, 0]


def test_key() -> None:
    """The key of an endpoint is the user of its account, whatever the account is called, or else its own name."""
    values: dict[str, Any] = {"protocol": Protocol.IMAP, "host": "h", "port": 993}
    keys = Keys(Config())
    assert keys.of_endpoint(Endpoint(name="imap", **values)) == "imap"
    assert keys.of_endpoint(Endpoint(name="imap", account=account("ops"), **values)) == "ops@example.com"
    for name, username in (("one", "pro.be@gmail.com"), ("other", "Probe+x@googlemail.com")):
        of = replace(account(name), username=username)
        assert keys.of_endpoint(Endpoint(name="imap", account=of, **values)) == "probe@gmail.com"


def test_deliveries_join() -> None:
    """Mailboxes that exchange messages are on one shard, with their endpoints and the deliveries between them."""
    values: dict[str, Any] = {"protocol": Protocol.IMAP, "host": "h", "port": 993}
    accounts = {name: account(name) for name in "abcdefgh"}
    endpoints = {name: Endpoint(name=name, account=of, **values) for name, of in accounts.items()}

    def delivery(sender: str, recipient: str) -> Delivery:
        return Delivery(
            name=sender + recipient,
            sender=accounts[sender],
            via=endpoints[sender],
            recipient=accounts[recipient],
            read_at=(endpoints[recipient],),
        )

    deliveries = {one.name: one for one in (delivery("b", "a"), delivery("d", "e"), delivery("c", "b"))}
    config = Config(accounts=accounts, endpoints=endpoints, deliveries=deliveries)
    keys = Keys(config)
    assert {name: keys.of_account(of)[0] for name, of in accounts.items()} == {
        **dict.fromkeys("abc", "a"),
        **dict.fromkeys("de", "d"),
        **{name: name for name in "fgh"},
    }
    parts = [Shard(number, 5).take(config) for number in range(5)]
    for part in parts:
        for one in part.deliveries.values():
            assert {one.sender.name, one.recipient.name} <= part.accounts.keys()
            assert {one.via.name, one.imap.name} <= part.endpoints.keys()
    assert sorted(name for part in parts for name in part.deliveries) == ["ba", "cb", "de"]


@pytest.mark.parametrize(
    ("text", "shard"), [("0/1", Shard(0, 1)), ("2/3", Shard(2, 3)), (f"0/{MAX_SHARDS}", Shard(0, MAX_SHARDS))]
)
def test_parse(text: str, shard: Shard) -> None:
    """`I/N` is read, counted from 0, and shown as it is written."""
    assert Shard.parse(text) == shard
    assert str(shard) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3/3", "I counts from 0: of 3 it is at most 2, not 3"),
        ("0/0", "N must be from 1 to 1000, not 0"),
        ("0/1001", "N must be from 1 to 1000, not 1001"),
        ("1", 'must be I/N, such as 0/3 for the first of three, not "1"'),
        ("-1/3", 'must be I/N, such as 0/3 for the first of three, not "-1/3"'),
        ("a/b", 'must be I/N, such as 0/3 for the first of three, not "a/b"'),
        ("1/3 ", 'must be I/N, such as 0/3 for the first of three, not "1/3 "'),
        ("٣/٤", 'must be I/N, such as 0/3 for the first of three, not "٣/٤"'),
        ("", 'must be I/N, such as 0/3 for the first of three, not ""'),
    ],
)
def test_bad_shard(text: str, message: str) -> None:
    """The message has what was wanted and what was found."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Shard.parse(text)
