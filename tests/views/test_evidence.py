"""Evidence in words, and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from jsonschema import Draft202012Validator

from exporter.model.evidence import (
    ControlKind,
    ControlState,
    Evidence,
    Hop,
    HostFacts,
    Incident,
    PathEnd,
    ProviderStatus,
    SecondOpinion,
    Siblings,
    Tally,
    Trace,
)
from exporter.model.outcome import Outcome
from exporter.views.document import outcome_to_json
from exporter.views.evidence import Item, items, path, paths
from tests.examples import failure, success

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "outcome.schema.json").read_text("utf-8"))

HOPS = (Hop(1, "192.0.2.1", 0.0004), Hop(2, None, None), Hop(3, "192.0.2.3", 0.0125), Hop(4, None, None))
INCIDENT = Incident("a1", "high", "outage", "disruption", 1_700_000_000.0, "Mail is delayed", "https://example.com/a1")

WHOLE = Evidence(
    at=1.0,
    trace=Trace("198.51.100.9", 993, HOPS, PathEnd.NOTHING, None, 1.0),
    trace_web=Trace("198.51.100.9", 443, (*HOPS[:3], Hop(4, "198.51.100.9", 0.02)), PathEnd.SYN_ACK, 4, 1.0),
    farthest_hop=4,
    controls=(
        ControlState("near", ControlKind.NEUTRAL, "9.9.9.9", 443, up=True, was_ever_up=True, ip_version=4),
        ControlState("far", ControlKind.SAME_PORT, "mail.example.com", 993, up=False, detail="no answer in time"),
        ControlState("web", ControlKind.PROVIDER_WEB, "2001:db8::1", 443),
    ),
    opinions=(
        SecondOpinion("9.9.9.9", "imap.gmail.com", ("a", "b", "c", "d")),
        SecondOpinion("1.1.1.1", "x", (), "silent"),
    ),
    host=HostFacts(True, False, False, -90.0, 1012),
    siblings=Siblings(host=Tally(1, 2), providers=Tally(1, 1)),
    addresses=Tally(2, 1),
    status=ProviderStatus("google", (INCIDENT,), 1.0),
    public_root=True,
    portal=False,
    is_pending=True,
)


def with_evidence(evidence: Evidence | None) -> Outcome:
    """A failed probe with this evidence."""
    return replace(failure(), evidence=evidence)


def test_items() -> None:
    """Each thing that was looked at is an item, in words."""
    assert items(with_evidence(WHOLE)) == [
        Item("Another host of the internet, by its address", "near (9.9.9.9:443) over IPv4 answered"),
        Item(
            "Another provider's server on the same port",
            "far (mail.example.com:993): no answer in time; it never answered, which proves nothing",
        ),
        Item("The provider's web", "web ([2001:db8::1]:443) was not looked at yet"),
        Item("Resolver 9.9.9.9", "imap.gmail.com: a, b, c"),
        Item("Resolver 1.1.1.1", "x: silent"),
        Item(
            "This host",
            "a route for IPv4; no route for IPv6; its resolver resolves no name; its clock is 90 s behind; "
            "1,012 more files may be opened",
        ),
        Item("Captive portal", "none answers"),
        Item("Root of the certificate", "public"),
        Item("Other addresses", "2 of 3 answer as they should"),
        Item(
            "Other endpoints",
            "1 of 3 are up at imap.gmail.com; 1 of 2 have an endpoint that is up of the providers",
        ),
        Item(
            "The provider's own status",
            "since 2023-11-14 22:13:20 UTC: Mail is delayed (https://example.com/a1)",
        ),
        Item("Not complete", "more is being gathered, which counts from the next probe"),
    ]


def test_nothing() -> None:
    """What was not looked at has no item."""
    assert items(with_evidence(None)) == items(with_evidence(Evidence())) == []
    assert paths(with_evidence(None)) == paths(with_evidence(Evidence())) == []


def test_status() -> None:
    """A feed that cannot be read, that was not read yet, and one without an incident."""
    said = [
        items(with_evidence(Evidence(status=status)))[0].text
        for status in (
            ProviderStatus("google", (INCIDENT,), 1.0, "no answer"),
            ProviderStatus("google"),
            ProviderStatus("google", (), 1.0),
            ProviderStatus("google", (INCIDENT,) * 5, 1.0),
        )
    ]
    assert said[:3] == [
        "cannot be read: no answer",
        "was not read yet",
        "no open incident; that acquits nobody, for incidents are published late",
    ]
    assert said[3].endswith("; and 2 more")


def test_paths() -> None:
    """A line of hops, up to the last that answered, and what ended it."""
    assert paths(with_evidence(WHOLE)) == [
        Item("Path to port 993", "1 192.0.2.1 0.4 ms → 2 * → 3 192.0.2.3 12 ms → nothing answers behind hop 3"),
        Item(
            "Path to port 443",
            "1 192.0.2.1 0.4 ms → 2 * → 3 192.0.2.3 12 ms → 4 198.51.100.9 20 ms → the server accepts connections",
        ),
    ]
    refused = Trace("198.51.100.9", 993, (Hop(1, "198.51.100.9", None),), PathEnd.RST, 1, 1.0)
    assert path(refused) == "1 198.51.100.9 → the connection is refused"


def test_json() -> None:
    """It is as the schema says, with every key; null where nothing was gathered."""
    for outcome in (with_evidence(WHOLE), with_evidence(Evidence()), with_evidence(None), success()):
        Draft202012Validator(SCHEMA).validate(outcome_to_json(outcome))
    made = outcome_to_json(with_evidence(WHOLE))["evidence"]
    assert list(made) == list(SCHEMA["properties"]["evidence"]["properties"])
    assert made["trace"]["hops"][0] == {"ttl": 1, "address": "192.0.2.1", "rtt_seconds": 0.0004}
    assert made["siblings"]["host"] == {"up": 1, "down": 2}
