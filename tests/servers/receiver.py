"""An HTTP server that takes what is posted to it and keeps it, in order."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Generic, TypeVar

from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

Kept = TypeVar("Kept")


class Receiver(ABC, Generic[Kept]):
    """One on an ephemeral loopback port."""

    def __init__(self) -> None:
        self.received: list[Kept] = []
        take = self.take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(take(self.path, self.headers.get("Authorization", ""), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @abstractmethod
    def take(self, path: str, authorization: str, body: bytes) -> int:
        """Keep what was posted, or refuse it, and return the status of the answer."""

    @abstractmethod
    def summary(self) -> str:
        """What has come, for the message of a test that fails."""

    def wait_for(self, wanted: Callable[[Kept], object], timeout: float = PATIENCE) -> Kept:
        """Wait for what is as wanted, or take the first that has come already.

        Raises:
            TimeoutError: none within `timeout` seconds; with what has come.
        """
        deadline = time.monotonic() + timeout
        while True:
            for each in list(self.received):
                if wanted(each):
                    return each
            if time.monotonic() > deadline:
                raise TimeoutError(f"not received within {timeout} s; there came: {self.summary()}")
            time.sleep(0.05)
