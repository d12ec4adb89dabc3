"""Whose request is next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from exporter.web.server.turns import Turns


class Line:
    """Requests, and the names of those that went on, by iteration of the event loop."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.gone_on: list[str] = []

    def ask(self, client: str, names: Iterable[str]) -> list[asyncio.Task[None]]:
        """Requests of a client, which wait for their turns."""
        return [asyncio.create_task(self._ask(client, name)) for name in names]

    async def _ask(self, client: str, name: str) -> None:
        await self.turns.take(client)
        self.gone_on.append(name)


async def test_one_goes_on_in_each_iteration() -> None:
    """The first at once; something else runs between any two of them."""
    line = Line()
    tasks = line.ask("crowd", "abcde")
    most = 0
    while len(line.gone_on) < len(tasks):
        before = len(line.gone_on)
        await asyncio.sleep(0)
        most = max(most, len(line.gone_on) - before)
    assert most == 1
    assert line.gone_on == [*"abcde"]
    await asyncio.gather(*tasks)


async def test_clients_take_turns() -> None:
    """One that sends little is not behind all that another one has sent."""
    line = Line()
    tasks = line.ask("crowd", "abcdefgh") + line.ask("prometheus", "P") + line.ask("other", "xy")
    await asyncio.gather(*tasks)
    assert "".join(line.gone_on) == "abPxcydefgh"


async def test_one_that_has_gone_loses_its_turn() -> None:
    """The next one has it."""
    line = Line()
    tasks = line.ask("crowd", "abcd")
    await asyncio.sleep(0)
    for task in tasks[1:3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert "".join(line.gone_on) == "ad"
    assert line.turns._queues == {}
    await asyncio.gather(*line.ask("crowd", "e"))
    assert "".join(line.gone_on) == "ade"
