"""How often a body is made, and how old one may be that is answered."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException

from exporter.web.server.bodies import BURST, MAX_MADE, MAX_WAITING, RATE, SHARED_SECONDS, Bodies
from exporter.web.server.encoding import Body
from tests.examples import Clock


class Maker:
    """Makes bodies, each with its number; while the gate is closed it waits."""

    def __init__(self, cost: int = 1) -> None:
        self.clock = Clock()
        self.bodies = Bodies(self.clock)
        self.cost = cost
        self.made = 0
        self.at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, key: str = "key", seconds: float = 0.0) -> str:
        """The text of the body."""
        return (await self.bodies.get(key, self._make, seconds)).octets.decode()

    async def _make(self) -> Body:
        self.at_once += 1
        assert self.at_once == 1
        await self.gate.wait()
        self.at_once -= 1
        self.made += 1
        return Body(b"%d" % self.made, {}, self.cost)


async def test_each_request_has_its_own_body() -> None:
    """One that was made before the request does not answer it, not even a moment later."""
    maker = Maker()
    assert [await maker.get() for _ in range(3)] == ["1", "2", "3"]
    assert maker.bodies._made == {}


async def test_requests_share_a_body_that_is_being_made() -> None:
    """Also where the one that asked first disconnects."""
    maker = Maker()
    maker.gate.clear()
    first, *others = [asyncio.create_task(maker.get()) for _ in range(50)]
    await asyncio.sleep(0)
    first.cancel()
    maker.gate.set()
    assert await asyncio.gather(*others) == ["1"] * 49
    assert await maker.get() == "2"


async def test_different_bodies_are_made_one_after_the_other() -> None:
    """So that the event loop is free in between; past a number of them a request is refused."""
    maker = Maker()
    maker.gate.clear()
    asked = [asyncio.create_task(maker.get(str(number))) for number in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(HTTPException) as caught:
        await maker.get("one too many")
    assert (caught.value.status_code, caught.value.headers) == (503, {"Retry-After": "1"})
    maker.gate.set()
    assert sorted(map(int, await asyncio.gather(*asked))) == list(range(1, MAX_WAITING + 1))


async def test_a_body_answers_others_where_too_much_is_asked_for() -> None:
    """It is a second old at most; at the usual rate each request has its own again."""
    maker = Maker(cost=BURST // 2)
    assert [await maker.get() for _ in range(6)] == ["1", "2", "3", "3", "3", "3"]
    maker.clock.advance(SHARED_SECONDS + 0.01)
    assert [await maker.get() for _ in range(4)] == ["4", "5", "5", "5"]
    maker.clock.advance(2 * BURST / RATE)
    assert await maker.get() == "6"


async def test_a_body_may_be_kept_in_any_case() -> None:
    """For so many seconds, and then its memory is given back."""
    maker = Maker()
    assert [await maker.get(seconds=0.05) for _ in range(3)] == ["1", "1", "1"]
    await asyncio.sleep(0.1)
    assert maker.bodies._made == {}
    maker.clock.advance(1)
    assert await maker.get(seconds=1.0) == "2"
    for number in range(MAX_MADE):
        await maker.get(str(number), seconds=1.0)
    assert len(maker.bodies._made) == MAX_MADE
    assert await maker.get(seconds=1.0) == str(maker.made)


async def test_what_has_changed_is_made_again() -> None:
    """A body that was made, or is being made, does not answer a request after the change."""
    maker = Maker()
    assert await maker.get(seconds=10) == "1"
    maker.bodies.forget()
    maker.gate.clear()
    before = asyncio.create_task(maker.get(seconds=10))
    await asyncio.sleep(0)
    maker.bodies.forget()
    after = asyncio.create_task(maker.get(seconds=10))
    await asyncio.sleep(0)
    maker.gate.set()
    assert [await before, await after] == ["2", "3"]
    assert await maker.get(seconds=10) == "3"


async def test_a_fault_reaches_all_who_wait_and_is_over() -> None:
    """The next request makes the body again."""
    maker = Maker()

    async def fail() -> Body:
        await asyncio.sleep(0)
        raise RuntimeError("a fault")

    asked = [asyncio.create_task(maker.bodies.get("key", fail)) for _ in range(3)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["a fault"] * 3
    assert await maker.get() == "1"
