"""The fuzzer of requests finds what is wrong with an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from starlette.types import Receive, Scope, Send

from fuzz import requests
from fuzz.fuzzer import Wrong
from fuzz.mutation import SEEDS
from fuzz.requests import SENTINEL, Requests

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Application = Callable[[Scope, Receive, Send], object]


@pytest.fixture
def fuzzer(tmp_path: Path) -> Iterator[Requests]:
    """A fuzzer, whose logging ends with the test."""
    before, configured = logging.getLogger().handlers[:], structlog.get_config()
    made = Requests(tmp_path)
    yield made
    made.close()
    logging.getLogger().handlers[:] = before
    structlog.configure(**configured)


def answering(fuzzer: Requests, application: Application) -> None:
    """Put an application in place of the daemon's."""
    fuzzer._daemon._server.config.loaded_app = application


@pytest.mark.parametrize("seed", sorted((SEEDS / "requests").glob("*.http")), ids=lambda path: path.stem)
def test_every_seed_is_right(fuzzer: Requests, seed: Path) -> None:
    """The seeds are no findings, whole or cut."""
    octets = seed.read_bytes()
    for end in (0, 1, len(octets) // 2, len(octets) - 1, len(octets)):
        fuzzer.run(octets[:end])


async def _raises(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise IndexError("planted")


async def _answer(_scope: Scope, _receive: Receive, send: Send, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _status(scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(scope, receive, send, 502)


async def _secret(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"16")]})
    await send({"type": "http.response.body", "body": SENTINEL.encode()})


async def _log(scope: Scope, receive: Receive, send: Send) -> None:
    logging.getLogger("daemon").error("planted")
    await _status(scope, receive, send)


@pytest.mark.parametrize(
    ("application", "error", "text"),
    [
        (_raises, IndexError, "planted"),
        (_status, Wrong, "an answer is an error of the server's own: 502"),
        (_secret, Wrong, "an answer has a secret"),
        (_log, Wrong, "an error is logged: planted"),
    ],
)
def test_wrong_answer(fuzzer: Requests, application: Application, error: type[Exception], text: str) -> None:
    """An exception, an error's status, a secret and an error in the log are findings."""
    answering(fuzzer, application)
    with pytest.raises(error, match=f"^{text}"):
        fuzzer.run(GET)


def test_no_answer(fuzzer: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is complete is answered in time, and none goes on without its client."""

    async def wait(_scope: Scope, receive: Receive, _send: Send) -> None:
        while True:
            await receive()
            await asyncio.sleep(10)

    monkeypatch.setattr(requests, "SECONDS", 0.05)
    answering(fuzzer, wait)
    with pytest.raises(Wrong, match="^a request is not answered in time"):
        fuzzer.run(GET)
    with pytest.raises(Wrong, match="^a request goes on when its client has gone"):
        fuzzer.run(GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"))


def test_process_that_was_stopped(fuzzer: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time in which the process could not run is no finding."""

    async def stand_still(scope: Scope, receive: Receive, send: Send) -> None:
        time.sleep(2 * requests.SECONDS)  # noqa: ASYNC251 (this is what is tested)
        await asyncio.sleep(0)
        await _answer(scope, receive, send)

    monkeypatch.setattr(requests, "SECONDS", 0.1)
    answering(fuzzer, stand_still)
    fuzzer.run(GET)


@pytest.mark.parametrize("written", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nA\r\n: b\r\n\r\n"])
def test_answer_that_is_not_http(written: bytes) -> None:
    """It is a finding."""
    with pytest.raises(Wrong, match="^an answer is not HTTP"):
        requests._check(written)


def test_no_answer_at_all() -> None:
    """A client that sends no request gets none."""
    requests._check(b"")
