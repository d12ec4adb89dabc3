"""The page of the deliveries, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from exporter.model.delivery import AuthResult, DeliveryFailure, DeliveryResult, Hop, Method, Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.monitor.delivery_series import KEPT, DeliverySeries, Made
from tests.deliveries.results import DELIVERY, delivered, in_spam, missing, not_made
from tests.views.test_document import strict
from tests.web.conftest import Site

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "deliveries.schema.json").read_text("utf-8"))
SERIES = SCHEMA["properties"]["deliveries"]["items"]["properties"]
RESULT = SERIES["results"]["items"]["properties"]
VALIDATOR = Draft202012Validator(strict(SCHEMA))


def series(*results: DeliveryResult) -> DeliverySeries:
    """A delivery with these results."""
    made = DeliverySeries(DELIVERY, 1800.0)
    for result in results:
        made.add(result)
    return made


async def page(site: Site, *results: DeliveryResult) -> str:
    """The page of one delivery with these results."""
    site.deliveries[:] = [series(*results)]
    answer = await site.request("/deliveries")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


async def test_nothing_is_configured(site: Site) -> None:
    """The page says so, and the JSON has an empty list."""
    assert "No delivery is configured." in (await site.request("/deliveries")).text
    assert (await site.request("/api/v1/deliveries")).json()["deliveries"] == []


async def test_a_line(site: Site) -> None:
    """From the sender to the folder, with the hops on the way, and what the receiver says."""
    text = await page(site, delivered())
    assert "Found in the inbox after 2.5 s." in text
    assert "<strong>accepted</strong> 500 ms" in text
    assert "<strong>probe</strong> inbox" in text
    assert "spf=pass, dkim=fail" in text
    assert "mx.google.com" in text
    assert '<a href="deliveries" aria-current="page">' in text
    assert "1 arrived, 0 failed and 0 were not made" in text
    assert 'aria-label="The last 1: 1 arrived, 0 failed, 0 not made"' in text
    assert '<path class="up" d="M297 ' in text


async def test_failures(site: Site) -> None:
    """A failure has its reason, its fault, the server's words and a remedy; a run that was not made says why."""
    text = await page(site, missing())
    assert "The message did not arrive in time" in text
    assert "message_missing in transfer" in text
    assert '<span class="blame">Google</span> the operator of the mail server' in text
    assert '<a href="reasons#message_missing">' in text
    assert "spam" in await page(site, in_spam())
    text = await page(site, not_made())
    assert "Not made: ops: a server refused the login" in text
    text = await page(site)
    assert "No message was sent yet." in text
    assert "now: <code>gmail-exporter check --delivery ops-to-probe</code>" in text


async def test_hostile_text(site: Site) -> None:
    """Whatever a server says is text on the page."""
    failure = DeliveryFailure(Stage.SUBMIT, Reason.SERVER_REFUSED, Blame.PROVIDER, "<script>alert(1)</script>")
    text = await page(site, delivered(failures=(failure,), hops=(Hop("<b>x</b>", 1.0),)))
    assert "<script>alert" not in text
    assert "<b>x" not in text


async def document(site: Site, *results: DeliveryResult) -> Any:
    """The JSON of one delivery with these results, checked against the schema."""
    site.deliveries[:] = [series(*results)]
    answer = await site.request("/api/v1/deliveries")
    assert answer.headers["content-type"] == "application/json"
    whole = json.loads(answer.text, parse_constant=pytest.fail)
    VALIDATOR.validate(whole)
    return whole


@pytest.mark.parametrize("made", [delivered, missing, in_spam, not_made])
async def test_json(site: Site, made: Callable[[], DeliveryResult]) -> None:
    """Every result is of the schema, with its keys in their order."""
    whole = await document(site, made())
    (found,) = whole["deliveries"]
    assert list(whole) == list(SCHEMA["properties"])
    assert list(found) == list(SERIES)
    assert (found["delivery"], found["interval_seconds"], found["next_at"]) == ("ops-to-probe", 1800.0, None)
    (result,) = found["results"]
    assert list(result) == list(RESULT)
    assert result["up"] == made().up
    assert found["since"] == result["ended_at"]


async def test_json_of_many_results(site: Site) -> None:
    """The last ones are there, the oldest first; before the first one nothing is known."""
    (found,) = (await document(site, *(delivered(started_at=float(number)) for number in range(KEPT + 2))))[
        "deliveries"
    ]
    assert [result["started_at"] for result in found["results"]] == list(range(2, KEPT + 2))
    assert found["runs"] == {"success": KEPT + 2, "failure": 0, "not_made": 0}
    (found,) = (await document(site))["deliveries"]
    assert (found["results"], found["since"]) == ([], None)


def test_schema() -> None:
    """The schema is valid, and has exactly the values of the program."""
    Draft202012Validator.check_schema(SCHEMA)
    failure = RESULT["failures"]["items"]["properties"]
    assert (failure["stage"]["enum"], failure["blame"]["enum"]) == (list(Stage), list(Blame))
    assert RESULT["not_made"]["properties"]["denial"]["enum"] == [*Denial, None]
    assert list(RESULT["stages"]["properties"]) == [stage for stage in Stage if stage is not Stage.POP3]
    assert list(RESULT["authentication"]["properties"]) == list(Method)
    assert all(of["enum"] == list(AuthResult) for of in RESULT["authentication"]["properties"].values())
    assert list(SERIES["runs"]["properties"]) == list(Made)
    assert SERIES["results"]["maxItems"] == KEPT


def tables_of_deliveries() -> list[dict[str, Any]]:
    """The tables of docs/api.md that are about deliveries, in their order."""
    return [
        SCHEMA["properties"],
        SERIES,
        SERIES["runs"]["properties"],
        RESULT,
        RESULT["hops"]["items"]["properties"],
        RESULT["failures"]["items"]["properties"],
        RESULT["not_made"]["properties"],
    ]
