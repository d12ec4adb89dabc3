"""A part that fails."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from exporter.web.server.application import application
from exporter.web.server.faults import FAULT, Faults
from tests.examples import SENTINEL
from tests.waiting import PATIENCE
from tests.web.conftest import Serve


class Failing:
    """A part whose routes fail."""

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [Route("/at-once", self.fail), Route("/later", self.begin)]

    async def fail(self, _request: Request) -> Response:
        """Fail before there is an answer."""
        raise RuntimeError(SENTINEL)

    async def begin(self, _request: Request) -> Response:
        """Fail in the middle of an answer."""

        async def pieces() -> object:
            yield b"x"
            raise RuntimeError(SENTINEL)

        return StreamingResponse(pieces())  # type: ignore[arg-type]  # an async generator


async def test_a_fault_is_one_clear_line(serve: Serve) -> None:
    """500 with the usual headers; the traceback is in the log alone, once."""
    port = (await serve(application(Failing()))).port
    with capture_logs() as logs:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/at-once")
    assert (answer.status_code, answer.text) == (500, FAULT)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [(line["log_level"], line["event"], line["path"]) for line in logs] == [
        ("error", "fault while a request was answered", '"/at-once"')
    ]


async def test_a_fault_in_the_middle_of_an_answer_ends_the_connection(serve: Serve) -> None:
    """Nothing is added to the answer."""
    port = (await serve(application(Failing()))).port
    with capture_logs() as logs:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{port}/later")
    assert len(logs) == 1


async def test_a_fault_outside_of_the_routes_is_answered(serve: Serve) -> None:
    """As one of them is."""

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError(SENTINEL)

    port = (await serve(Faults(fail))).port
    with capture_logs() as logs:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/{'x' * 300}")
    assert (answer.status_code, answer.text) == (500, FAULT)
    assert len(logs) == 1
    assert len(logs[0]["path"]) < 100
