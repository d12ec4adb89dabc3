"""What a telephone shows: a server that takes messages as ntfy does, with its templates and its limit.

Title and message of a request with `template=yes` are Go templates over the JSON of its body. They are run by the real
engine, Helm's. ntfy itself is no package of Debian.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import helm_python as helm

from tests.servers.receiver import Receiver

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


class Ntfy(Receiver[Message]):
    """Keeps what is to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        """What was lost, and why."""

    def summary(self) -> str:
        """As every receiver does."""
        return f"{self.received}, refused: {self.refused}"

    def take(self, path: str, authorization: str, body: bytes) -> int:
        """As every receiver does."""
        at = time.monotonic()
        parts = urlsplit(path)
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
        self.received.append(Message(parts.path.strip("/"), title, text, priority, tags, token, at))
        return 200
