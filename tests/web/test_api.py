"""The JSON API conforms to its schema and its documentation; `/metrics` negotiates its format."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from exporter.exposition import cache
from exporter.exposition.text import Lines, Samples, render
from exporter.model.login import Denial
from exporter.model.outcome import Phase
from exporter.model.reason import Blame
from exporter.model.settings import Protocol, Security
from exporter.views.state import State
from exporter.web import time_slices
from exporter.web.server.encoding import SMALL
from tests.examples import ACCOUNT, target
from tests.scenes import every_failure, every_state, many
from tests.views.test_document import SCHEMA as OUTCOME
from tests.views.test_document import strict
from tests.web.conftest import Site
from tests.web.test_deliveries import tables_of_deliveries

DOCS = Path(__file__).parent.parent.parent / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "api.schema.json").read_text("utf-8"))
ITEM = SCHEMA["properties"]["endpoints"]["items"]["properties"]
REGISTRY: Registry[Any] = Registry().with_resource(
    "https://gmail-exporter.invalid/outcome.schema.json", Resource.from_contents(strict(OUTCOME))
)
VALIDATOR = Draft202012Validator(strict(SCHEMA), registry=REGISTRY)


async def ask(site: Site, path: str) -> Any:
    """The answer of the API, checked against the schema."""
    answer = await site.request(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = json.loads(answer.text, parse_constant=pytest.fail)
    VALIDATOR.validate(document)
    return document


async def test_all_endpoints(site: Site) -> None:
    """All endpoints are there with their states, a summary and counts, without histories."""
    site.show(every_state().store)
    document = await ask(site, "endpoints")
    assert document["summary"].startswith("2 of 5 endpoints are up; ")
    assert document["counts"] == {"down": 1, "login": 1, "overdue": 1, "pending": 1, "up": 1}
    states = {each["endpoint"]: each["state"] for each in document["endpoints"]}
    assert states == {"imap": "up", "imap-legacy": "login", "submission": "down", "pop3": "overdue", "smtps": "pending"}
    assert all(each["history"] is each["failures"] is None for each in document["endpoints"])
    legacy = document["endpoints"][1]
    assert legacy["failing"][0]["reason"] == "disabled_for_account"
    assert (legacy["login"]["held_by"], legacy["login"]["next_at"]) == ("hold", None)
    assert legacy["last"]["dialogue"] is None


async def test_filters(site: Site) -> None:
    """A query selects endpoints as on the page; the counts are of all."""
    site.show(every_state().store)
    document = await ask(site, "endpoints?state=down")
    assert [each["endpoint"] for each in document["endpoints"]] == ["submission"]
    assert sum(document["counts"].values()) == 5
    assert (await ask(site, "endpoints?q=nothing-like-it"))["endpoints"] == []


async def test_one_endpoint(site: Site) -> None:
    """One endpoint has its history, failures and dialogues; one with two address families is two entries."""
    site.show(every_failure().store)
    entries = (await ask(site, "endpoints/password"))["endpoints"]
    assert len(entries) == 1
    assert len(entries[0]["history"]) == 61
    assert [each["reason"] for each in entries[0]["failures"]] == ["timeout", "timeout", "auth_invalid_credentials"]
    assert entries[0]["last_success"]["dialogue"][0].endswith(
        "S: * OK Gimap ready for requests from 192.0.2.7 x8mb9314711wmq"
    )
    assert entries[0]["login"]["account_logins_of_day"] == 34
    assert (entries[0]["login"]["consecutive_failures"], entries[0]["login"]["interval_seconds"]) == (1, 900.0)
    families = (await ask(site, "endpoints/both"))["endpoints"]
    assert [each["ip_family"] for each in families] == ["ipv4", "ipv6"]


async def test_pending_and_unknown_endpoints(site: Site) -> None:
    """What is not known yet is null; an unknown name is answered with 404."""
    site.store.configure([target("new", account=ACCOUNT)])
    (new,) = (await ask(site, "endpoints/new"))["endpoints"]
    assert new["last"] is new["since"] is new["login"]["next_at"] is None
    assert (new["state"], new["history"], new["failures"]) == ("pending", [], [])
    answer = await site.request("/api/v1/endpoints/unknown")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no endpoint 'unknown'"})


async def test_many_endpoints(site: Site) -> None:
    """Many endpoints are in one valid answer."""
    site.show(many(300, 100).store)
    assert len((await ask(site, "endpoints"))["endpoints"]) == 300


def test_schema() -> None:
    """The schema is valid, and has exactly the values of the program."""
    Draft202012Validator.check_schema(SCHEMA)
    assert ITEM["state"]["enum"] == list(State)
    assert ITEM["protocol"]["enum"] == list(Protocol)
    assert ITEM["security"]["enum"] == list(Security)
    failing = ITEM["failing"]["items"]["properties"]
    assert (failing["phase"]["enum"], failing["blame"]["enum"]) == (list(Phase), list(Blame))
    held = ITEM["login"]["properties"]["held_by"]["enum"]
    assert {one for one in held if one} == {denial for denial in Denial if denial.protects}


async def test_documentation(site: Site) -> None:
    """Documentation and answer have the keys of the schema in its order, the documentation also its texts."""
    documentation = (DOCS / "api.md").read_text("utf-8")
    tables = [
        SCHEMA["properties"],
        ITEM,
        SCHEMA["properties"]["domains"]["items"]["properties"],
        ITEM["failing"]["items"]["properties"],
        ITEM["probes"]["properties"],
        ITEM["login"]["properties"],
        ITEM["login"]["properties"]["cause"]["properties"],
        ITEM["history"]["items"]["properties"],
        *tables_of_deliveries(),
    ]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", documentation, re.MULTILINE)
    expected = [(key, value["description"]) for table in tables for key, value in table.items()]
    assert [(key, text.replace("[reasons](reasons.md)", "docs/reasons.md")) for key, text in rows] == expected
    site.show(every_state().store)
    document = await ask(site, "endpoints/imap")
    assert list(document) == list(SCHEMA["properties"])
    assert list(document["endpoints"][0]) == list(ITEM)


async def test_metrics_as_text(site: Site) -> None:
    """The default format is text 0.0.4, with its exact content type."""
    site.store.configure([target()])
    answer = await site.request("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'gmail_probes_total{endpoint="imap"' in answer.text
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


async def test_metrics_of_new_endpoints(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that a reload has added are rendered in time slices, between which probes have their turn."""
    turns, at = 0, []

    def noting(base: str, of_target: Iterable[Samples]) -> Lines:
        at.append(turns)
        return render(base, of_target)

    async def work() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(time_slices, "SLICE", 0.0)
    monkeypatch.setattr(cache, "render", noting)
    site.store.configure([target(f"e{number}") for number in range(20)])
    other = asyncio.create_task(work())
    answer = await site.request("/metrics")
    other.cancel()
    assert len(at) == len(set(at)) == 20
    assert answer.text.count("gmail_endpoint_info{") == 20


async def test_metrics_as_openmetrics(site: Site) -> None:
    """The Accept header of Prometheus selects OpenMetrics."""
    answer = await site.request("/metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=abc", True),
        ("application/openmetrics-text; version=2.0.0", True),
        ("application/openmetrics-text;version=1.0.0;q=0", False),
        ("text/plain; version=1.0.0", False),
        (";;,,=", False),
    ],
)
async def test_unusual_accept_header(site: Site, accept: str, openmetrics: bool) -> None:
    """An unusual Accept header is answered in one of the two formats."""
    answer = await site.request("/metrics", accept=accept)
    assert answer.status_code == 200
    kind = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("count", [1, 200], ids=["small", "large"])
async def test_compressed_metrics(site: Site, count: int) -> None:
    """Small bodies are compressed in the event loop and large ones in a thread, with the same content."""
    site.store.configure([target(f"e{number}") for number in range(count)])
    plain = (await site.request("/metrics")).content
    assert (len(plain) > SMALL) is (count > 1)
    async with httpx.AsyncClient(transport=site.transport, base_url="http://exporter") as client:
        request = client.build_request("GET", "/metrics", headers={"accept-encoding": "gzip"})
        answer = await client.send(request, stream=True)
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    ours = [line for line in gzip.decompress(raw).splitlines() if b'endpoint="' in line]
    assert ours == [line for line in plain.splitlines() if b'endpoint="' in line]
