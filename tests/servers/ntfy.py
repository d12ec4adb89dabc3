"""What a telephone shows: a server that takes messages as ntfy does, with its templates and its limit.

Title and message of a request with `template=yes` are Go templates over the JSON of its body. They are run by the real
engine, Helm's. ntfy itself is no package of Debian.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import helm_python as helm

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

LIMIT = 4096
"""Octets of a message, by default and at ntfy.sh."""


@dataclass(frozen=True)
class Message:
    """A message as it is shown, the seconds of the monotonic clock at which it came, and who sent it."""

    topic: str
    title: str
    text: str
    priority: str
    tags: str
    token: str
    at: float


def go_template(text: str, data: dict[str, Any]) -> str:
    """Run a Go template.

    Raises:
        helm_python.HelmError: it is no template, or names what the data does not have.
    """
    with tempfile.TemporaryDirectory(prefix="template-") as directory:
        chart = Path(directory) / "template"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: template\nversion: 1.0.0\n")
        (chart / "templates" / "text.txt").write_text(f"{{{{ with .Values }}}}{text}{{{{ end }}}}", "utf-8")
        rendered: dict[str, str] = helm.Chart.load(str(chart)).render(data, name="release", namespace="default")
    return rendered["template/templates/text.txt"]


class Ntfy:
    """An HTTP server on an ephemeral loopback port that keeps what is to be shown, in order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refused: list[str] = []
        """What was lost, and why."""
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = take(self.path, self.headers.get("Authorization", ""), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b'{"event":"message"}')

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

    def wait_for(self, wanted: Callable[[Message], object], timeout: float = 30.0) -> Message:
        """Wait for a message that is as wanted, or take the first that has come already.

        Raises:
            TimeoutError: none within `timeout` seconds; with what has come.
        """
        deadline = time.monotonic() + timeout
        while True:
            for message in list(self.messages):
                if wanted(message):
                    return message
            if time.monotonic() > deadline:
                raise TimeoutError(f"no such message within {timeout} s: {self.messages}, refused: {self.refused}")
            time.sleep(0.05)

    def _take(self, address: str, authorization: str, body: bytes) -> int:
        """Keep a message, or refuse it, and return the status of the answer."""
        at = time.monotonic()
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if query.get("template") != "yes":
            self.refused.append("this server has no templates of its own")
            return 400
        try:
            data = json.loads(body)
            title, text = (go_template(query[name], data).strip() for name in ("title", "message"))
        except (ValueError, KeyError, helm.HelmError) as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return 400
        if len(text.encode()) > LIMIT:
            self.refused.append(f"{len(text.encode())} octets")
            return 413
        priority, tags = query.get("priority", "default"), query.get("tags", "")
        token = authorization.removeprefix("Bearer ")
        self.messages.append(Message(parts.path.strip("/"), title, text, priority, tags, token, at))
        return 200
