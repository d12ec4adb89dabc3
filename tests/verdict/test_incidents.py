"""Google Workspace's incidents.json: which incidents of Gmail are open, and what is no such file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from exporter.model.evidence import Incident
from exporter.verdict.incidents import DASHBOARD, MAX_KEPT, FormChanged, Open, read
from tests.verdict.feed import CLOSED, DRIVE, GMAIL, NOTICE, OTHER, OUTAGE, encoded, without

RECOVERED = {**OUTAGE, "most_recent_update": {"status": "AVAILABLE"}}


def test_an_outage() -> None:
    """Its impact is the worst, its status that of now, and its text one line without marks."""
    found = read(encoded(CLOSED, OUTAGE, OTHER, NOTICE))
    assert found.incidents == (
        Incident(
            id="aaaaaaaaaaaaaaaaaaaa",
            severity="high",
            impact="outage",
            status="disruption",
            begin=1795856400.0,
            text="IMAP of Gmail refuses Description seen",
            url="https://www.google.com/appsstatus/dashboard/incidents/aaaaaaaaaaaaaaaaaaaa",
        ),
    )
    assert [(notice.id, notice.status) for notice in found.notices] == [("B5V4MfnVp97nxoTYbxdX", "information")]
    assert found.notices[0].text == "Gmail Android App users on the latest Gmail Android release may exper..."


@pytest.mark.parametrize(
    ("incident", "incidents", "notices"),
    [
        (NOTICE, 0, 1),
        (OUTAGE, 1, 0),
        (without(OUTAGE, "end"), 1, 0),
        (CLOSED, 0, 0),
        (OTHER, 0, 0),
        # Recovered, and not closed yet.
        (RECOVERED, 0, 1),
        # Over for the most part.
        ({**OUTAGE, "most_recent_update": {"status": "SERVICE_INFORMATION"}}, 0, 1),
        ({**OUTAGE, "most_recent_update": {"status": "SERVICE_OUTAGE"}}, 1, 0),
        (without(OUTAGE, "most_recent_update"), 1, 0),
        ({**without(OUTAGE, "affected_products"), "service_key": GMAIL["id"]}, 1, 0),
        ({**OUTAGE, "affected_products": [], "service_key": GMAIL["id"]}, 1, 0),
        ({**without(OUTAGE, "affected_products"), "service_key": DRIVE["id"]}, 0, 0),
        # A name says nothing.
        ({**OTHER, "service_name": "Gmail", "service_key": GMAIL["id"]}, 0, 0),
        # Of what is closed, or is not Gmail's, nothing more is looked at.
        ({**CLOSED, "severity": 9}, 0, 0),
        ({**OTHER, "begin": None}, 0, 0),
    ],
)
def test_what_is_open(incident: dict[str, Any], incidents: int, notices: int) -> None:
    """By the product, the end and the last update."""
    found = read(encoded(incident))
    assert (len(found.incidents), len(found.notices)) == (incidents, notices)


def test_none() -> None:
    """An empty history has no incident."""
    assert read(b"[]") == Open()


def test_the_newest_first_and_not_too_many() -> None:
    """However many there are; one that is there twice counts once."""
    many = [{**OUTAGE, "id": f"i{n}", "begin": f"2026-11-{n % 28 + 1:02}T00:00:00+00:00"} for n in range(100)]
    found = read(encoded(*many, *many))
    assert len(found.incidents) == MAX_KEPT
    assert found.incidents[0].begin == max(incident.begin for incident in found.incidents)
    assert len({incident.id for incident in found.incidents}) == MAX_KEPT


@pytest.mark.parametrize("entries", [(OUTAGE, RECOVERED), (RECOVERED, OUTAGE), (RECOVERED, OUTAGE, RECOVERED)])
def test_an_outage_that_is_there_twice(entries: Sequence[dict[str, Any]]) -> None:
    """It is one, whichever of its entries says that it has recovered, and comes first."""
    found = read(encoded(*entries))
    assert [incident.status for incident in found.incidents] == ["disruption"]
    assert not found.notices


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "it is not JSON"),
        (b"<!doctype html><title>Sign in</title>", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff\xfe[]", "it is not JSON"),
        (encoded(OUTAGE)[:-20], "it is not JSON"),
        (b"null", "it is not a list of incidents"),
        (json.dumps({"incidents": [OUTAGE]}).encode(), "it is not a list of incidents"),
        (b"[[]]", "entry 0 is not an incident"),
        (b'["x"]', "entry 0 is not an incident"),
        (encoded(NOTICE, without(OUTAGE, "affected_products", "service_key")), "incident 1 has neither"),
        (
            encoded({**OUTAGE, "affected_products": GMAIL}),
            "affected_products of incident 0 is not a list",
        ),
        (encoded({**OUTAGE, "affected_products": [GMAIL["id"]]}), "affected_products of incident 0 is not a list"),
        (
            encoded({**OUTAGE, "affected_products": [GMAIL, {"title": "Gmail"}]}),
            "affected_products of incident 0 has a",
        ),
        (encoded({**OUTAGE, "affected_products": [{"id": 5}]}), "affected_products of incident 0 has a product"),
        (encoded({**OUTAGE, "end": ""}), "end of incident 0 is not a time"),
        (encoded({**OUTAGE, "end": "ongoing"}), "end of incident 0 is not a time"),
        (encoded({**OUTAGE, "end": 0}), "end of incident 0 is not a time"),
        (encoded({**OUTAGE, "begin": None}), "begin of incident 0 is not a time"),
        (encoded({**OUTAGE, "begin": "yesterday"}), "begin of incident 0 is not a time"),
        (encoded({**OUTAGE, "severity": "urgent"}), "severity of incident 0 is none of high, low, medium"),
        (encoded({**OUTAGE, "severity": ["low"]}), "severity of incident 0 is none of"),
        (encoded({**OUTAGE, "status_impact": "SERVICE_SLOW"}), "status_impact of incident 0 is none of"),
        (encoded({**OUTAGE, "most_recent_update": {"status": "GONE"}}), "status of incident 0 is none of AVAILABLE"),
        (encoded({**OUTAGE, "most_recent_update": "GONE"}), "most_recent_update of incident 0 is not an update"),
        (encoded(without(OUTAGE, "id")), "id of incident 0 is not one"),
        (encoded({**OUTAGE, "id": "../../x"}), "id of incident 0 is not one"),
    ],
)
def test_another_form(body: bytes, text: str) -> None:
    """It is never taken for a file without incidents, and the error says where it differs."""
    with pytest.raises(FormChanged) as caught:
        read(body)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("**Title:**\nSlow\n\n## More\n> quoted\n- one\n+ `two`", "Slow More quoted one two"),
        ("Incident began at **2026-11-28 01:00** (all times are US/Pacific).\n**Title:** Down", "Down"),
        ("[a](https://x.example/?plt=1) and [b](javascript:alert)", "a and b"),
        ("a\u202eb\x1b[2J\x00", "a\\u202eb\\x1b[2J\\x00"),
        ("word " * 1000, None),
        (None, "it does not say more"),
        (5, "it does not say more"),
        ("**Title:**\n", "it does not say more"),
    ],
)
def test_text_from_outside(said: object, text: str | None) -> None:
    """It is one line, printable, and of a bounded length."""
    (incident,) = read(encoded({**OUTAGE, "external_desc": said, "most_recent_update": None})).incidents
    assert len(incident.text) <= 512
    assert text is None or incident.text == text


def test_a_link_that_leads_elsewhere() -> None:
    """Only what is a page of the dashboard is linked."""
    for uri in ("https://evil.example/", "incidents/../../x", "//evil.example", 5, None):
        (incident,) = read(encoded({**OUTAGE, "uri": uri})).incidents
        assert incident.url == DASHBOARD
