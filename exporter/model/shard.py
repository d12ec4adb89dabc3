"""Which part of the configuration this process probes, where several share it.

By rendezvous hashing (Thaler and Ravishankar, 1998): a key belongs to the shard whose number, hashed together with the
key, gives the largest value. An additional shard takes keys from the others, and moves none between them. The key is
the user name of the account where there is one: all endpoints of a mailbox are on one shard, and so is its login
budget, whatever its accounts are called. Mailboxes that exchange messages are on one shard, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType

from exporter.model.mailbox import user_of
from exporter.model.settings import Account, Config, Endpoint

MAX_SHARDS = 1000
"""The largest number of shards."""

_SYNTAX = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 0, of `count` parts."""

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard of a text `I/N`.

        Raises:
            ValueError: it is not of that form, or there is no such part.
        """
        match = _SYNTAX.fullmatch(text)
        if match is None:
            raise ValueError(f'must be I/N, such as 0/3 for the first of three, not "{text}"')
        number, count = int(match[1]), int(match[2])
        if not 1 <= count <= MAX_SHARDS:
            raise ValueError(f"N must be from 1 to {MAX_SHARDS}, not {count}")
        if number >= count:
            raise ValueError(f"I counts from 0: of {count} it is at most {count - 1}, not {number}")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def take(self, config: Config) -> Config:
        """Return this shard's part of a configuration. Its digest is that of the whole."""
        if self.count == 1:
            return config
        keys = Keys(config)
        modules = {n: m for n, m in config.modules.items() if not m.account or self._has(keys.of_account(m.account))}
        return replace(
            config,
            accounts=MappingProxyType({n: a for n, a in config.accounts.items() if self._has(keys.of_account(a))}),
            endpoints=MappingProxyType({n: e for n, e in config.endpoints.items() if self._has(keys.of_endpoint(e))}),
            # A module without an account is on every shard: the scrape decides what it probes.
            modules=MappingProxyType(modules),
            deliveries=MappingProxyType(
                {n: d for n, d in config.deliveries.items() if self._has(keys.of_account(d.sender))}
            ),
        )

    def modules_elsewhere(self, config: Config) -> Mapping[str, Shard]:
        """Return the modules that `take` leaves out, each with its shard: an account logs in on one shard only."""
        keys = Keys(config)
        users = {name: keys.of_account(one.account) for name, one in config.modules.items() if one.account}
        return {n: Shard(shard_number(u, self.count), self.count) for n, u in users.items() if not self._has(u)}

    def _has(self, key: str) -> bool:
        return shard_number(key, self.count) == self.number


class Keys:
    """The keys by which the accounts and the endpoints of a configuration belong to shards."""

    def __init__(self, config: Config) -> None:
        self._first: dict[str, str] = {}
        """For a user who sends or receives: the first, in the order of the alphabet, of those who go with it."""
        groups: list[set[str]] = []
        for delivery in config.deliveries.values():
            joined = {user_of(delivery.sender), user_of(delivery.recipient)}
            others = [group for group in groups if group.isdisjoint(joined)]
            groups = [*others, joined.union(*(group for group in groups if group not in others))]
        for group in groups:
            self._first |= dict.fromkeys(group, min(group))

    def of_account(self, account: Account) -> str:
        """Return the key of an account: its user name, or the name of another user with whom it exchanges messages."""
        user = user_of(account)
        return self._first.get(user, user)

    def of_endpoint(self, endpoint: Endpoint) -> str:
        """Return the key of an endpoint."""
        return self.of_account(endpoint.account) if endpoint.account else endpoint.name


def shard_number(key: str, count: int) -> int:
    """Return the number of the shard that a key belongs to: the same on every host, in every version."""
    return max(range(count), key=lambda shard: blake2b(f"{shard}/{key}".encode(), digest_size=8).digest())
