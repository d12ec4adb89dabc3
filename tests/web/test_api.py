"""The JSON API is what its schema and its documentation say."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from exporter.model.login import Denial
from exporter.model.outcome import Phase
from exporter.model.reason import Blame
from exporter.model.settings import Protocol, Security
from exporter.views.state import State
from exporter.web.server.encoding import SMALL
from tests.examples import ACCOUNT, target
from tests.scenes import every_failure, every_state, many
from tests.views.test_document import SCHEMA as OUTCOME
from tests.views.test_document import strict
from tests.web.conftest import Site

DOCS = Path(__file__).parent.parent.parent / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "api.schema.json").read_text("utf-8"))
ITEM = SCHEMA["properties"]["endpoints"]["items"]["properties"]
REGISTRY: Registry[Any] = Registry().with_resource(
    "https://gmail-exporter.invalid/outcome.schema.json", Resource.from_contents(strict(OUTCOME))
)
VALIDATOR = Draft202012Validator(strict(SCHEMA), registry=REGISTRY)


async def ask(site: Site, path: str) -> Any:
    """What the API answers, which is valid."""
    answer = await site.request(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = json.loads(answer.text, parse_constant=pytest.fail)
    VALIDATOR.validate(told)
    return told


async def test_all_endpoints(site: Site) -> None:
    """In every state, with a sentence and counts; without their past."""
    site.show(every_state().store)
    told = await ask(site, "endpoints")
    assert told["summary"].startswith("2 of 5 endpoints are up; ")
    assert told["counts"] == {"down": 1, "login": 1, "overdue": 1, "pending": 1, "up": 1}
    states = {each["endpoint"]: each["state"] for each in told["endpoints"]}
    assert states == {"imap": "up", "imap-legacy": "login", "submission": "down", "pop3": "overdue", "smtps": "pending"}
    assert all(each["history"] is each["failures"] is None for each in told["endpoints"])
    legacy = told["endpoints"][1]
    assert legacy["failing"][0]["reason"] == "disabled_for_account"
    assert (legacy["login"]["held_by"], legacy["login"]["next_at"]) == ("hold", None)
    assert legacy["last"]["dialogue"] is None


async def test_the_filters_of_the_page(site: Site) -> None:
    """The counts are of all, the endpoints those asked for."""
    site.show(every_state().store)
    told = await ask(site, "endpoints?state=down")
    assert [each["endpoint"] for each in told["endpoints"]] == ["submission"]
    assert sum(told["counts"].values()) == 5
    assert (await ask(site, "endpoints?q=nothing-like-it"))["endpoints"] == []


async def test_one_endpoint(site: Site) -> None:
    """With its past, its kept failures and what was said; of both families where it has two."""
    site.show(every_failure().store)
    told = (await ask(site, "endpoints/password"))["endpoints"]
    assert len(told) == 1
    assert len(told[0]["history"]) == 61
    assert [each["reason"] for each in told[0]["failures"]] == ["timeout", "timeout", "auth_invalid_credentials"]
    assert told[0]["last_success"]["dialogue"][0].endswith(
        "S: * OK Gimap ready for requests from 192.0.2.7 x8mb9314711wmq"
    )
    assert told[0]["login"]["account_logins_of_day"] == 34
    families = (await ask(site, "endpoints/both"))["endpoints"]
    assert [each["ip_family"] for each in families] == ["ipv4", "ipv6"]


async def test_nothing_is_known_yet(site: Site) -> None:
    """Null, not a made-up value; and an unknown name is 404."""
    site.store.configure([target("new", account=ACCOUNT)])
    (new,) = (await ask(site, "endpoints/new"))["endpoints"]
    assert new["last"] is new["since"] is new["login"]["next_at"] is None
    assert (new["state"], new["history"], new["failures"]) == ("pending", [], [])
    answer = await site.request("/api/v1/endpoints/nobody")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no endpoint 'nobody'"})


async def test_many_endpoints(site: Site) -> None:
    """All of them, in one valid answer."""
    site.show(many(300, 100).store)
    assert len((await ask(site, "endpoints"))["endpoints"]) == 300


def test_the_schema_is_one() -> None:
    """Of JSON Schema's 2020-12, with the program's own lists."""
    Draft202012Validator.check_schema(SCHEMA)
    assert ITEM["state"]["enum"] == list(State)
    assert ITEM["protocol"]["enum"] == list(Protocol)
    assert ITEM["security"]["enum"] == list(Security)
    failing = ITEM["failing"]["items"]["properties"]
    assert (failing["phase"]["enum"], failing["blame"]["enum"]) == (list(Phase), list(Blame))
    held = ITEM["login"]["properties"]["held_by"]["enum"]
    assert {one for one in held if one} == {denial for denial in Denial if denial.protects}


async def test_the_documentation_lists_exactly_the_schema_s_keys(site: Site) -> None:
    """In its order, with its words; and so does the answer."""
    documentation = (DOCS / "api.md").read_text("utf-8")
    tables = [
        SCHEMA["properties"],
        ITEM,
        ITEM["failing"]["items"]["properties"],
        ITEM["probes"]["properties"],
        ITEM["login"]["properties"],
        ITEM["history"]["items"]["properties"],
    ]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", documentation, re.MULTILINE)
    wanted = [(key, value["description"]) for table in tables for key, value in table.items()]
    assert [(key, text.replace("[reasons](reasons.md)", "docs/reasons.md")) for key, text in rows] == wanted
    site.show(every_state().store)
    told = await ask(site, "endpoints/imap")
    assert list(told) == list(SCHEMA["properties"])
    assert list(told["endpoints"][0]) == list(ITEM)


async def test_metrics_as_text(site: Site) -> None:
    """The default format, with its exact content type."""
    site.store.configure([target()])
    answer = await site.request("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'gmail_probes_total{endpoint="imap"' in answer.text
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


async def test_metrics_as_openmetrics(site: Site) -> None:
    """By the Accept header that Prometheus sends."""
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
async def test_an_odd_accept_header_is_answered(site: Site, accept: str, openmetrics: bool) -> None:
    """In one of the two formats that there are, whatever version is asked for."""
    answer = await site.request("/metrics", accept=accept)
    assert answer.status_code == 200
    kind = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("count", [1, 200], ids=["small", "large"])
async def test_metrics_are_compressed_where_that_is_accepted(site: Site, count: int) -> None:
    """In the loop where it is little, in a thread where it is much: the same bytes come out."""
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
