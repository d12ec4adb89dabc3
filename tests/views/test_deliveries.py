"""Results of deliveries for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from exporter.model.delivery import DeliveryResult, Stage
from exporter.model.settings import Delivery, ExpectedFolder
from exporter.monitor.delivery_series import DeliverySeries
from exporter.views import chart
from exporter.views.deliveries import (
    failing,
    history,
    result_to_json,
    sentence,
    series_to_json,
    span,
    steps,
    strip,
)
from tests.deliveries.results import DELIVERY, IMAP, STAGES, delivered, in_spam, missing, not_made


def line(result: DeliveryResult | None, delivery: Delivery = DELIVERY) -> str:
    """The line of a delivery as text."""
    marks = {"ok": "+", "bad": "-", "unknown": "?"}
    return ", ".join(f"{marks[step.mark]}{step.name} {step.text}" for step in steps(result, delivery))


def test_line() -> None:
    """From the sender to the folder; what did not happen is not known."""
    assert line(delivered()) == "+ops submission, +accepted 500 ms, +visible 2.5 s, +over POP3 found, +probe inbox"
    assert (
        line(in_spam()) == "+ops submission, +accepted 500 ms, +visible 2.5 s, ?over POP3 not looked for, -probe spam"
    )
    assert line(missing()) == (
        "+ops submission, +accepted 500 ms, -visible message_missing, ?over POP3 not looked for, ?probe ?"
    )
    assert line(None) == "?ops submission, ?accepted ?, ?visible ?, ?over POP3 not looked for, ?probe ?"
    without_pop3 = replace(DELIVERY, read_at=(IMAP,), expect=ExpectedFolder.ANY)
    assert line(in_spam(), without_pop3) == "+ops submission, +accepted 500 ms, +visible 2.5 s, +probe spam"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (delivered(), "Found in the inbox after 2.5 s."),
        (delivered(stages={**STAGES, Stage.TRANSFER: 0.0394}), "Found in the inbox after 39 ms."),
        (missing(), "transfer: the message did not arrive in time."),
        (in_spam(), "transfer: the message is in spam."),
        (not_made(), "Not made: ops: a server refused the login, and the same secret is not sent again."),
    ],
)
def test_sentence(result: DeliveryResult, text: str) -> None:
    """One sentence says how it ended."""
    assert sentence(result) == text


def test_strip() -> None:
    """The newest message is on the right; one that took long is high, a failure higher; what was not made is marked."""
    series = DeliverySeries(DELIVERY, 1800.0)
    for result in (delivered(), delivered(), delivered(stages={**STAGES, Stage.TRANSFER: 99.0}), missing(), not_made()):
        series.add(result)
    drawn = strip(series)
    assert drawn.up.startswith("M285 16")
    assert drawn.up.count("M") == 3
    assert drawn.down.startswith(f"M294 0h2v{chart.STRIP_HEIGHT}")
    assert drawn.login.startswith("M297 0")
    assert drawn.marks == []
    assert history(series) == "The last 5: 3 arrived, 1 failed, 1 not made"


def test_span() -> None:
    """Below a second it is in milliseconds."""
    assert (span(0.25), span(61)) == ("250 ms", "61.0 s")


def test_json() -> None:
    """Everything that is known, as plain values."""
    series = DeliverySeries(DELIVERY, 1800.0)
    for result in (delivered(), missing(), not_made()):
        series.add(result)
    whole = json.loads(json.dumps(series_to_json(series)))
    assert whole["runs"] == {"success": 1, "failure": 1, "not_made": 1}
    found, lost, none = whole["results"]
    assert found["authentication"] == {"spf": "pass", "dkim": "fail"}
    assert found["hops"] == [{"by": "mx.google.com", "seconds": 1.0}]
    assert lost["failures"][0]["reason"] == "message_missing"
    assert none["not_made"]["denial"] == "hold"
    assert result_to_json(in_spam())["folder"] == "spam"
    assert failing([series]) == []
    series.add(missing())
    assert failing([series]) == [series]
