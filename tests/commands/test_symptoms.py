"""What `doctor` has seen → the finding of a step; the walk itself is in test_doctor.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.commands import symptoms
from exporter.commands.mail_servers import Origin, Servers
from exporter.commands.symptoms import Looks
from exporter.model.diagnosis import Result
from exporter.model.evidence import ControlKind, ControlState, HostFacts, Incident, ProviderStatus
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from tests.examples import failure, success, target

WELL = HostFacts(has_route_ipv4=True, has_route_ipv6=False, resolver_answers=True, clock_skew=0.4)
WEB = ControlState("web", ControlKind.PROVIDER_WEB, "www.google.com", 443, up=True, ip_version=4)
DOWN = replace(WEB, up=False, detail="no answer in time")
LOOKS = Looks(WELL, (WEB,), None, (success(),))


def hosted(**changes: Any) -> Looks:
    """What is seen where the host has these changes."""
    return replace(LOOKS, host=replace(WELL, **changes))


@pytest.mark.parametrize(
    ("looks", "result", "words"),
    [
        (LOOKS, Result.WELL, "This host has a network, and its clock is right"),
        (hosted(clock_skew=None), Result.WELL, "This host has a network"),
        (replace(LOOKS, controls=(DOWN,)), Result.WELL, "This host has a network, and its clock is right"),
        (
            replace(LOOKS, host=replace(WELL, has_route_ipv4=False)),
            Result.CAUSE,
            "This host has no route to the internet",
        ),
        (
            replace(LOOKS, controls=(replace(WEB, portal=True),)),
            Result.CAUSE,
            "A captive portal answers in place of the internet",
        ),
        (
            replace(LOOKS, controls=(DOWN,), outcomes=(failure(),)),
            Result.CAUSE,
            "Nothing answers: neither the mail servers nor www.google.com",
        ),
        (
            replace(hosted(clock_skew=86400.0), outcomes=(failure(None, Phase.TLS, Reason.CERTIFICATE_EXPIRED),)),
            Result.CAUSE,
            "The clock of this host is 24 h ahead",
        ),
        # It does no harm here, and what is wrong comes later.
        (hosted(clock_skew=-600.0), Result.NOTE, "The clock of this host is 10 min behind"),
        (
            replace(hosted(clock_skew=86400.0), outcomes=(failure(None, Phase.CONNECT, Reason.REFUSED),)),
            Result.NOTE,
            "The clock of this host is 24 h ahead",
        ),
    ],
)
def test_network(looks: Looks, result: Result, words: str) -> None:
    """A control alone that is down is no cause: the mail servers answer."""
    found = symptoms.network(looks)
    assert (found.result, found.text) == (result, words)
    assert bool(found.remedy) is (result is not Result.WELL)


def test_port_25() -> None:
    """That it is blocked is a note, for no mail client needs it."""
    relay = target("mx", protocol=Protocol.SMTP, host="mx.example.com", port=25)
    blocked = failure(relay, Phase.CONNECT, Reason.TIMEOUT)
    found = symptoms.ports(replace(LOOKS, outcomes=(success(), blocked)))
    assert (found.result, found.text) == (Result.NOTE, "Port 25 is blocked: no exchange of the domain answers")
    assert symptoms.ports(LOOKS).text == "Open: 993"


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [
        (None, Result.WELL, "The servers greet as they should"),
        (ProviderStatus("google", read_at=1.0), Result.WELL, "the provider has no open incident"),
        (ProviderStatus("google", fault="no answer"), Result.WELL, "could not be read"),
        (
            ProviderStatus("google", (Incident("1", "high", "outage", "outage", 0.0, "Mail is late", "x"),), 1.0),
            Result.NOTE,
            "the provider has an open incident",
        ),
    ],
)
def test_status(status: ProviderStatus | None, result: Result, words: str) -> None:
    """An incident of the provider is no cause while its servers answer."""
    found = symptoms.status(replace(LOOKS, status=status))
    assert found.result is result
    assert words in found.text


def test_one_host_fails_on_several_ports() -> None:
    """It is named once, and so is what all of its ports have in common; a name that is not found has no port."""
    host = "imap.gmial.com"
    servers = [target(str(port), host=host, port=port) for port in (993, 995, 465)]
    unknown = [failure(one, Phase.RESOLVE, Reason.DNS_NOT_FOUND) for one in servers]
    found = symptoms.dns(replace(LOOKS, outcomes=tuple(unknown)), Servers((), Origin.NAMED, ""))
    assert found.text == "imap.gmial.com: its name is not in the DNS"
    assert found.evidence == ("imap.gmial.com: dns_not_found, what the server said",)
    silent = [failure(one, Phase.CONNECT, Reason.TIMEOUT) for one in servers]
    other = failure(target("smtp", host="smtp.example.com", port=587), Phase.CONNECT, Reason.REFUSED)
    found = symptoms.ports(replace(LOOKS, outcomes=(*silent, other)))
    assert found.text.startswith("imap.gmial.com:993, 995 and 465, smtp.example.com:587: ")
    assert found.evidence[:2] == (
        "imap.gmial.com:993, 995 and 465: timeout, what the server said",
        "smtp.example.com:587: refused, what the server said",
    )
