"""A webhook that Alertmanager notifies: what a telephone would show, by receiver and in order."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self


@dataclass(frozen=True)
class Notification:
    """One request: the path that the receiver's address has, and the body as Alertmanager documents it."""

    path: str
    body: Mapping[str, Any]

    @property
    def status(self) -> str:
        """`firing` while any of its alerts is, else `resolved`."""
        return str(self.body["status"])

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Its alerts: `labels`, `annotations`, `status`, `startsAt` and so on."""
        alerts: list[dict[str, Any]] = self.body["alerts"]
        return alerts

    @property
    def names(self) -> set[str]:
        """The names of its alerts."""
        return {alert["labels"]["alertname"] for alert in self.alerts}


class Webhook:
    """An HTTP server on an ephemeral loopback port that takes every notification and keeps it."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        keep = self.notifications.append

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                keep(Notification(self.path, json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
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

    def wait_for(self, wanted: Callable[[Notification], object], timeout: float = 30.0) -> Notification:
        """Wait for a notification that is as wanted, or take the first that has come already.

        Raises:
            TimeoutError: none within `timeout` seconds; with what has come.
        """
        deadline = time.monotonic() + timeout
        while True:
            for notification in list(self.notifications):
                if wanted(notification):
                    return notification
            if time.monotonic() > deadline:
                came = [(each.path, each.status, sorted(each.names)) for each in self.notifications]
                raise TimeoutError(f"no such notification within {timeout} s; there came: {came}")
            time.sleep(0.05)
