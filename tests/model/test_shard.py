"""The part of a configuration that a process probes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.address import HostPattern
from exporter.model.settings import Account, Config, Endpoint, Module, Protocol, SecretRef
from exporter.model.shard import MOST, Shard, key, owner

NAMES = st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,20}", fullmatch=True)
COUNTS = st.integers(1, 40)


def account(name: str) -> Account:
    """An account of that name."""
    return Account(name=name, username=f"{name}@example.com", app_password=SecretRef(file=Path("/run/secrets/x")))


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    """Endpoints with and without accounts; some accounts have several, some none."""
    accounts = {name: account(name) for name in draw(st.lists(NAMES, max_size=5, unique=True))}
    endpoints = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=20, unique=True)):
        owned = draw(st.sampled_from([None, *accounts.values()]))
        endpoints[name] = Endpoint(name=name, protocol=Protocol.IMAP, host="h", port=993, account=owned)
    values: dict[str, Any] = {"accounts": accounts, "endpoints": endpoints, "source": "x.yml", "digest": "ab" * 32}
    return Config(**values)


@given(configurations(), COUNTS)
def test_every_endpoint_is_of_exactly_one_shard(config: Config, count: int) -> None:
    """Nothing is probed twice or by nobody; an account is where its endpoints are, all of them, with its secret."""
    parts = [Shard(number, count).take(config) for number in range(count)]
    assert Counter(name for part in parts for name in part.endpoints) == Counter(list(config.endpoints))
    assert Counter(name for part in parts for name in part.accounts) == Counter(list(config.accounts))
    for part in parts:
        assert {one.account.name for one in part.endpoints.values() if one.account} <= part.accounts.keys()
        assert list(part.endpoints) == [name for name in config.endpoints if name in part.endpoints]
        assert part.digest == config.digest


@given(st.lists(NAMES, max_size=5, unique=True), COUNTS)
def test_a_module_with_an_account_is_of_one_shard_and_the_others_know_of_which(names: list[str], count: int) -> None:
    """A shard has it, or knows who does; one without an account is of all."""
    accounts = {name: account(name) for name in names}
    values: dict[str, Any] = {"protocol": Protocol.IMAP, "port": 993, "allow_hosts": (HostPattern("h"),)}
    modules = {f"m-{name}": Module(name=f"m-{name}", account=accounts[name], **values) for name in names}
    modules["open"] = Module(name="open", **values)
    config = Config(accounts=accounts, endpoints={}, modules=modules, source="x.yml", digest="ab" * 32)
    parts = {shard: shard.take(config).modules for shard in (Shard(number, count) for number in range(count))}
    for shard, part in parts.items():
        elsewhere = shard.elsewhere(config)
        assert "open" in part
        assert part.keys() | elsewhere.keys() == modules.keys()
        assert not part.keys() & elsewhere.keys()
        assert all(name in parts[its] for name, its in elsewhere.items())


@given(configurations())
def test_one_shard_is_the_whole(config: Config) -> None:
    """Nothing is taken away, and nothing is made anew."""
    assert Shard().take(config) is config


@given(NAMES, COUNTS)
def test_a_further_shard_only_takes(name: str, count: int) -> None:
    """With one shard more, a key stays where it was or goes to the new one; so with one fewer, only its keys move."""
    assert owner(name, count + 1) in {owner(name, count), count}


def test_as_few_as_possible_move_and_the_load_is_even() -> None:
    """Of 20,000 keys on 10 shards, one in 11 moves to the eleventh; no shard has 10 % more than its share."""
    keys = [f"tenant-{number}" for number in range(20_000)]
    moved = sum(owner(one, 10) != owner(one, 11) for one in keys)
    assert moved == pytest.approx(20_000 / 11, rel=0.05)
    shares = Counter(owner(one, 10) for one in keys)
    assert len(shares) == 10
    assert max(shares.values()) < 2_200


def test_owners_never_change() -> None:
    """They are the same in every process and every version: an upgrade must not move a login budget."""
    assert [owner(f"tenant-{number}", 5) for number in range(10)] == OWNERS


OWNERS = [0, 3, 4, 4, 3, 3, 3, 3, 4, 0]


def test_the_key_is_the_account_where_there_is_one() -> None:
    """By its name: a change of its secret moves nothing."""
    values: dict[str, Any] = {"protocol": Protocol.IMAP, "host": "h", "port": 993}
    assert key(Endpoint(name="imap", **values)) == "imap"
    assert key(Endpoint(name="imap", account=account("ops"), **values)) == "ops"


@pytest.mark.parametrize(("text", "shard"), [("0/1", Shard(0, 1)), ("2/3", Shard(2, 3)), (f"0/{MOST}", Shard(0, MOST))])
def test_what_is_read(text: str, shard: Shard) -> None:
    """I/N, counted from 0; it is shown as it is written."""
    assert Shard.parse(text) == shard
    assert str(shard) == text


@pytest.mark.parametrize(
    ("text", "words"),
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
def test_what_is_refused(text: str, words: str) -> None:
    """With what was wanted and what was found."""
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        Shard.parse(text)
