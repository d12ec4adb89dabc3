"""The page of the deliveries, and their JSON."""

from __future__ import annotations

from exporter.model.delivery import DeliveryFailure, DeliveryResult, Hop, Stage
from exporter.model.reason import Blame, Reason
from exporter.monitor.delivery_series import DeliverySeries
from tests.deliveries.results import DELIVERY, delivered, in_spam, missing, not_made
from tests.web.conftest import Site


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


async def test_failures(site: Site) -> None:
    """A failure has its reason, its fault, the server's words and a remedy; a run that was not made says why."""
    text = await page(site, missing())
    assert "The message did not arrive in time" in text
    assert "message_missing in transfer" in text
    assert '<a href="reasons#message_missing">' in text
    assert "spam" in await page(site, in_spam())
    text = await page(site, not_made())
    assert "Not made: ops: a server refused the login" in text
    assert "No message was sent yet." in await page(site)


async def test_hostile_text(site: Site) -> None:
    """Whatever a server says is text on the page."""
    failure = DeliveryFailure(Stage.SUBMIT, Reason.SERVER_REFUSED, Blame.PROVIDER, "<script>alert(1)</script>")
    text = await page(site, delivered(failures=(failure,), hops=(Hop("<b>x</b>", 1.0),)))
    assert "<script>alert" not in text
    assert "<b>x" not in text


async def test_json(site: Site) -> None:
    """All that is known of each delivery."""
    site.deliveries[:] = [series(delivered(), missing())]
    answer = await site.request("/api/v1/deliveries")
    (found,) = answer.json()["deliveries"]
    assert (found["delivery"], found["interval_seconds"]) == ("ops-to-probe", 1800.0)
    assert [result["up"] for result in found["results"]] == [True, False]
