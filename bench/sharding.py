"""100,000 endpoints on several shards: how even they are, and how many one more shard moves; also with hashmod."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import md5

from bench.result import Lab, Result, Table
from exporter.model.shard import shard_number

ENDPOINTS, TENANTS = 100_000, 25_000
"""A tenant has an account with four endpoints."""

COUNTS = (4, 10, 20)


def hashmod(key: str, count: int) -> int:
    """Return the shard by Prometheus' relabelling: the last 8 octets of an MD5, modulo `count`."""
    return int.from_bytes(md5(key.encode(), usedforsecurity=False).digest()[8:]) % count


async def measure(lab: Lab) -> Result:
    """Simulate both ways."""
    result = Result("sharding")
    rows = []
    tenants = range(0, TENANTS, 10 if lab.quick else 1)
    ways: dict[str, Callable[[str, int], int]] = {"--shard, by account": shard_number, "hashmod, by address": hashmod}
    for name, place in ways.items():
        keys = (
            [f"tenant-{n}" for n in tenants]
            if place is shard_number
            else [f"mail-{n}.example:993" for n in range(len(tenants) * 4)]
        )
        weight = ENDPOINTS / TENANTS if place is shard_number else 1
        for count in COUNTS:
            before = [place(key, count) for key in keys]
            fullest = max(Counter(before).values()) * weight
            moved = sum(place(key, count + 1) != old for key, old in zip(keys, before, strict=True)) / len(keys)
            share = len(keys) * weight / count
            result.data[f"{name} {count}"] = {"fullest": fullest, "moved": moved}
            rows.append(
                [
                    name,
                    f"{count}",
                    f"{fullest:,.0f}",
                    f"{fullest / share:.3f}",
                    f"{moved:.1%}",
                    f"{1 / (count + 1):.1%}",
                ]
            )
    head = ["way", "shards", "endpoints of the fullest", "of the mean", "moved by one shard more", "least possible"]
    result.tables.append(Table("Sharding 100,000 endpoints", head, rows, "A simulation: nothing is probed."))
    return result
