"""Which addresses are tried, in which order and for how long."""

from __future__ import annotations

import asyncio
import socket

import pytest

from exporter.probing.addresses import MAX_COUNTED, Count, Known, dead_after, in_order, share
from tests.probing.conftest import Belongings, Fill

A, B, C, D, E = ((socket.AF_INET, f"127.0.0.{number}") for number in range(1, 6))
NAMES = {"A": A, "B": B, "C": C, "D": D, "E": E}


@pytest.mark.parametrize(
    ("addresses", "dead", "retry", "order"),
    [
        ("ABC", "", False, "ABC"),
        ("ABC", "", True, "ABC"),
        ("ABC", "A", False, "BCA"),
        ("ABC", "B", False, "ACB"),
        ("ABC", "A", True, "ABC"),
        ("ABC", "B", True, "BAC"),
        ("ABC", "CA", False, "BCA"),
        ("ABC", "CA", True, "CBA"),
        ("ABC", "ABC", False, "ABC"),
        ("ABC", "CAB", True, "ABC"),
        ("A", "A", False, "A"),
        ("AB", "DE", True, "AB"),
    ],
)
def test_order(addresses: str, dead: str, retry: bool, order: str) -> None:
    """What did not connect comes last; now and then the one tried the longest ago comes first."""
    known = Known([NAMES[name][1] for name in dead], retry)
    assert in_order([NAMES[name] for name in addresses], known) == [NAMES[name] for name in order]


@pytest.mark.parametrize(
    ("dead", "failed", "served", "after"),
    [
        ("", "", "A", ""),
        ("", "A", "B", "A"),
        ("A", "", "B", "A"),
        ("A", "", "A", ""),
        ("AB", "A", "C", "BA"),
        ("AB", "AB", "", "AB"),
        ("AE", "", "B", "A"),
        ("A", "BB", "C", "AB"),
    ],
)
def test_dead_after(dead: str, failed: str, served: str, after: str) -> None:
    """An address is dead until it connects, or is no address of the name any more."""
    known = Known([NAMES[name][1] for name in dead])
    found = dead_after([A, B, C, D], known, [NAMES[n][1] for n in failed], NAMES[served][1] if served else None)
    assert found == [NAMES[name][1] for name in after]


@pytest.mark.parametrize(
    ("left", "addresses", "seconds"),
    [(12, 1, None), (12, 2, 4), (12, 3, 4), (12, 4, 3), (9, 3, 3), (6, 2, 3), (1, 2, 0.5)],
)
def test_share(left: float, addresses: int, seconds: float | None) -> None:
    """An even share of what is left, at most a third of the timeout of 12 s; the last one has no limit of its own."""
    assert share(left, addresses, 12) == seconds


async def test_count(free_port: int, fill_backlog: Fill) -> None:
    """What refuses and what does not answer in time does not connect; nothing stays open."""
    listening = await asyncio.start_server(lambda _, writer: writer.close(), A[1], free_port)
    fill_backlog(B[1], free_port)
    before = Belongings()
    count = Count([A, B, C], free_port, 0.3)
    assert sorted(await count.dead(5)) == [B[1], C[1]]
    assert count.is_complete
    await before.assert_nothing_left()
    listening.close()
    await listening.wait_closed()


async def test_count_ended(free_port: int, fill_backlog: Fill) -> None:
    """What is not known when the time is over is not dead, and the count is not complete; nothing is left of it."""
    fill_backlog(A[1], free_port)
    before = Belongings()
    count = Count([A, C], free_port, 60)
    assert await count.dead(0.2) == [C[1]]
    assert not count.is_complete
    count.cancel()
    await before.assert_nothing_left()


async def test_count_is_bounded(free_port: int) -> None:
    """A name with a thousand addresses does not make a thousand connections."""
    many = [(socket.AF_INET, f"127.0.1.{number}") for number in range(200)]
    assert len(await Count(many, free_port, 1).dead(5)) == MAX_COUNTED


async def test_no_other_address(free_port: int) -> None:
    """A name with one address has none to count beside it."""
    count = Count([], free_port, 1)
    assert (await count.dead(0), count.is_complete) == ([], True)
