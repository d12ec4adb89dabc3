"""Which part of the configuration this process probes, where several share it.

By rendezvous hashing (Thaler and Ravishankar, 1998): of all shards, a key belongs to the one whose hash together with
the key is the largest. So one shard more takes from each of the others what it gets, and moves nothing between them.
The key is the account where there is one: its endpoints stay together, and with them its one login budget.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType

from exporter.model.settings import Config, Endpoint

MOST = 1000
"""Shards at most."""

_SYNTAX = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, from 0, of `count` parts."""

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `I/N`.

        Raises:
            ValueError: it is not of that form, or there is no such part.
        """
        match = _SYNTAX.fullmatch(text)
        if match is None:
            raise ValueError(f'must be I/N, such as 0/3 for the first of three, not "{text}"')
        number, count = int(match[1]), int(match[2])
        if not 1 <= count <= MOST:
            raise ValueError(f"N must be from 1 to {MOST}, not {count}")
        if number >= count:
            raise ValueError(f"I counts from 0: of {count} it is at most {count - 1}, not {number}")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def take(self, config: Config) -> Config:
        """Return the part of a configuration that is this shard's. Its digest stays that of the whole."""
        if self.count == 1:
            return config
        modules = {n: m for n, m in config.modules.items() if not m.account or self._has(m.account.name)}
        return replace(
            config,
            accounts=MappingProxyType({n: a for n, a in config.accounts.items() if self._has(n)}),
            endpoints=MappingProxyType({n: e for n, e in config.endpoints.items() if self._has(key(e))}),
            # A module without an account is on every shard: the scrape decides what it probes.
            modules=MappingProxyType(modules),
        )

    def elsewhere(self, config: Config) -> Mapping[str, Shard]:
        """Return the modules that `take` leaves out, and whose they are: an account logs in on one shard only."""
        accounts = {name: module.account.name for name, module in config.modules.items() if module.account}
        return {n: Shard(owner(a, self.count), self.count) for n, a in accounts.items() if not self._has(a)}

    def _has(self, of: str) -> bool:
        return owner(of, self.count) == self.number


def key(endpoint: Endpoint) -> str:
    """What decides where an endpoint belongs."""
    return endpoint.account.name if endpoint.account else endpoint.name


def owner(of: str, count: int) -> int:
    """Return the number of the shard that a key belongs to: the same on every host, in every version."""
    return max(range(count), key=lambda shard: blake2b(f"{shard}/{of}".encode(), digest_size=8).digest())
