"""The dashboard as Grafana loads it, and a Prometheus with a scripted history."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grafana.dashboard import FILE
from tests.servers.life import Past
from tests.servers.process import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

RULE_FILES = sorted((Path(__file__).parents[2] / "deploy/prometheus").glob("*.yml"))
"""The rules that are shipped; other files there hold none."""


@pytest.fixture(scope="session")
def board() -> dict[str, Any]:
    """The JSON that is shipped."""
    loaded: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return loaded


@pytest.fixture(scope="session")
def past() -> Iterator[Past]:
    """A Prometheus with the scripted quarter of an hour, and what the shipped recording rules make of it."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Past())
            server.record(RULE_FILES)
        except ServerError as error:
            pytest.fail(str(error), pytrace=False)
        yield server
