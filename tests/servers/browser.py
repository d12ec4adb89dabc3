"""Debian's Chromium, and a site in a thread of its own for it to look at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from playwright.sync_api import Browser, sync_playwright
from starlette.types import ASGIApp

from exporter.web.server.listening import listen
from exporter.web.server.server import Server
from tests.servers.process import find_program
from tests.waiting import PATIENCE

T = TypeVar("T")

FLAGS = [
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    Raises:
        ServerError: it is not installed.
    """
    program = find_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Site:
    """An application on an ephemeral port of 127.0.0.1, in an event loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._server = Server(app)
        self._sockets = listen(["127.0.0.1:0"])
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="site")

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop.result(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop.result()).result(PATIENCE)
            self._thread.join(PATIENCE)

    def do(self, work: Callable[[], T]) -> T:
        """Do something in the site's event loop, as a probe would, and return what it returns."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 (raised where it is waited for)
                done.set_exception(error)

        self._loop.result().call_soon_threadsafe(run)
        return done.result(PATIENCE)

    async def _serve(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self._server.serve(self._sockets)
