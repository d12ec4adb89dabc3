"""What a telephone shows, from the real Alertmanager with the shipped routes, receivers and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.config.duration import parse_duration
from exporter.model.reason import Blame, fill
from exporter.model.remedy import OF_GROUND
from exporter.model.verdict import Fact, Verdict
from tests.deploy.test_alertmanager import PATH, SHIPPED, alert
from tests.deploy.test_rules import ALERTS
from tests.servers.alertmanager import Alertmanager
from tests.servers.ntfy import Message, Ntfy

LONGEST = 600
PAGE = "https://exporter.example.com/endpoints/"
WAIT = 1.0
"""The wait of pages in seconds, in place of 45."""


def configuration(url: str, token: Path) -> dict[str, Any]:
    """Return the shipped configuration with ntfy at another address, a token of its own, and shorter waits."""

    def receiver(shipped: dict[str, Any]) -> dict[str, Any]:
        [one] = shipped["discord_configs"]
        http = {"authorization": {"credentials_file": str(token)}}
        moved = {**one, "webhook_url": one["webhook_url"].replace("https://ntfy.sh", url), "http_config": http}
        return {**shipped, "discord_configs": [moved]}

    def shorter(route: dict[str, Any]) -> dict[str, Any]:
        waits = {name: value for name, value in route.items() if name in ("group_wait", "group_interval")}
        return {**route, **{name: f"{parse_duration(value) / 45 * WAIT * 1000:.0f}ms" for name, value in waits.items()}}

    route = shorter(SHIPPED["route"]) | {"routes": [shorter(each) for each in SHIPPED["route"]["routes"]]}
    templates = [str(PATH.parent / name) for name in SHIPPED["templates"]]
    return {**SHIPPED, "templates": templates, "route": route, "receivers": [*map(receiver, SHIPPED["receivers"])]}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Alertmanager, Ntfy]]:
    """A real Alertmanager, and what a telephone would show."""
    token = tmp_path / "token"
    token.write_text("tk_0123\n", "utf-8")
    with Ntfy() as ntfy, Alertmanager(configuration(ntfy.url, token)) as alertmanager:
        yield alertmanager, ntfy


def down(endpoint: str, **annotations: str) -> dict[str, Any]:
    """Return an alert as the rules make it, with the annotations of an exporter that says how to reach its pages."""
    texts = {
        "summary": f"{endpoint} (imap.gmail.com:993) does not answer",
        "description": "A long text. " * 40,
        "blame": "network",
        "status_url": f"{PAGE}{endpoint}",
        "runbook_url": "https://gmail-exporter.example/runbooks/GmailEndpointDown.md",
    }
    return {**alert("GmailEndpointDown", endpoint), "annotations": {**texts, **annotations}}


def check(shown: Message) -> str:
    """Assert what must be true for every page, and return its text."""
    assert len(shown.text) + len(shown.title) <= LONGEST
    assert "�" not in shown.text
    assert len(re.findall(r"https?://", shown.text)) <= 1
    assert "<no value>" not in shown.text
    assert shown.text == shown.text.strip()
    return shown.text


def test_one_alert(running: tuple[Alertmanager, Ntfy]) -> None:
    """What is wrong, whose fault it is, the remedy, and the exporter's page."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap")])
    shown = ntfy.wait_for(lambda each: each.priority == "urgent")
    assert shown.title == "GmailEndpointDown"
    assert check(shown).splitlines() == [
        "imap (imap.gmail.com:993) does not answer",
        "Fault: network",
        "Remedy: Look at the network of a:9993: its line, resolver and firewall.",
        f"{PAGE}imap",
    ]
    assert shown.token == "tk_0123"
    assert shown.topic == "gmail-exporter-example"


def test_one_page_with_a_verdict(running: tuple[Alertmanager, Ntfy]) -> None:
    """It begins with the verdict, which stands in place of the party at fault."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap", verdict="provider_down", blame="provider")])
    assert check(ntfy.wait_for(lambda each: each.priority == "urgent")).splitlines() == [
        "The mail provider is at fault; our network is fine.",
        "imap (imap.gmail.com:993) does not answer",
        f"Remedy: {fill(Verdict.PROVIDER_DOWN.remedy)}",
        f"{PAGE}imap",
    ]


@pytest.mark.parametrize("number", [2, 5, 13, 1000])
def test_many_alerts_are_one_page(running: tuple[Alertmanager, Ntfy], number: int) -> None:
    """The text does not grow with them, and has one link."""
    alertmanager, ntfy = running
    alertmanager.post([down(f"mailbox-{index:04}") for index in range(number)])
    shown = ntfy.wait_for(lambda each: each.priority == "urgent")
    text = check(shown)
    assert shown.title == f"GmailEndpointDown ({number})"
    assert f" does not answer (and {number - 1} more: mailbox-" in text.splitlines()[0]
    assert text.count("mailbox-") == min(number, 4) + 1  # the link, too
    assert text.splitlines()[-1].startswith(PAGE)
    assert len(ntfy.received) == 1


LONG = "ein-sehr-langer-name-" * 20
WIDE = "邮箱📮é" * 60


@pytest.mark.parametrize(
    ("annotations", "labels"),
    [
        ({"summary": LONG, "remedy": LONG, "status_url": PAGE + "x" * 140}, {"endpoint": "x" * 63}),
        (
            {"summary": LONG, "remedy": LONG, "status_url": PAGE + "x" * 140, "verdict": "provider_down"},
            {"endpoint": "x" * 63, "alertname": "GmailUnreachableFromOneSite"},
        ),
        ({"summary": WIDE, "remedy": WIDE, "status_url": PAGE + "%E9%82%AE" * 14}, {"endpoint": WIDE}),
        ({"summary": "a\nb\t c\u2028d  e", "remedy": "x\ny"}, {}),
        ({"summary": '"quoted" \\ {{ .Labels }} %7B <b>&amp;', "remedy": "\\n \\u00e9 %20"}, {"endpoint": "a&b<c>"}),
        ({"summary": "e\u0301" * 200}, {"instance": LONG}),
    ],
    ids=["long", "long with a verdict", "wide", "lines", "escapes", "combining"],
)  # fmt: skip
def test_no_name_makes_it_too_long(
    running: tuple[Alertmanager, Ntfy], annotations: dict[str, str], labels: dict[str, str]
) -> None:
    """A part that is too long is cut between two characters; what looks like an escape or a template is only text."""
    alertmanager, ntfy = running
    one = down("imap", **annotations)
    alertmanager.post([{**one, "labels": {**one["labels"], **labels, "number": str(number)}} for number in range(1000)])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    lines = text.splitlines()
    assert len(lines) == 4
    summary = " ".join(annotations["summary"].replace("\u2028", " ").split())
    line, longest = (lines[1], 105) if "verdict" in annotations else (lines[0], 130)
    assert line.startswith(summary if len(summary) <= longest else f"{summary[: longest - 1]}… (and 999 more: ")
    assert lines[2].startswith("Remedy: ")
    if remedy := " ".join(annotations.get("remedy", "").split()):
        assert lines[2] == "Remedy: " + (remedy if len(remedy) <= 105 else f"{remedy[:104]}…")
    assert lines[3] == annotations.get("status_url", f"{PAGE}imap")


@pytest.mark.parametrize(
    ("annotations", "link"),
    [
        ({"status_url": ""}, None),  # the runbook's address is still the placeholder
        ({"status_url": "", "runbook_url": "https://wiki.example.org/x.md"}, "https://wiki.example.org/x.md"),
        ({"status_url": PAGE + "x" * 500, "runbook_url": "https://wiki.example.org/x"}, "https://wiki.example.org/x"),
        ({"status_url": PAGE + "x" * 500, "runbook_url": ""}, None),
        ({"status_url": "javascript:alert(1)", "runbook_url": "https://a.example/b c"}, None),
    ],
)
def test_the_link_works_or_is_not_there(
    running: tuple[Alertmanager, Ntfy], annotations: dict[str, str], link: str | None
) -> None:
    """It is never cut, and never a placeholder."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap", **annotations)])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    assert re.findall(r"\S+://\S+", text) == ([link] if link else [])


def test_an_alert_without_our_annotations(running: tuple[Alertmanager, Ntfy]) -> None:
    """Another program's alert, or one made by hand, has at least its name."""
    alertmanager, ntfy = running
    alertmanager.post([{"labels": {"alertname": "DiskFull", "severity": "critical"}}])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    assert text.splitlines()[:2] == ["DiskFull", "Fault: not known"]


def test_the_second_outage_is_told_as_soon_as_the_first(running: tuple[Alertmanager, Ntfy]) -> None:
    """The page of the second is about the second, and says how many others there are."""
    alertmanager, ntfy = running
    told = []
    for endpoint, more in (("imap", ""), ("pop3", " (and 1 more: imap)"), ("smtps", " (and 2 more: ")):
        posted = datetime.now(UTC)
        alertmanager.post([{**down(endpoint), "startsAt": posted.isoformat()}])
        shown = ntfy.wait_for(lambda each, name=endpoint: each.text.startswith(f"{name} "))  # type: ignore[misc]
        assert f"does not answer{more}" in check(shown)
        assert shown.text.splitlines()[-1] == f"{PAGE}{endpoint}"
        told.append((datetime.now(UTC) - posted).total_seconds())
    # The first one waits the whole group_wait; the others are told at the next tick of an interval that is as long.
    assert max(told[1:]) < told[0] + 0.5 * WAIT
    [page] = [route for route in SHIPPED["route"]["routes"] if route["receiver"] == "page"]
    assert page["group_interval"] == page["group_wait"]


def test_when_it_is_over(running: tuple[Alertmanager, Ntfy]) -> None:
    """While another one lasts, the page counts what is over; in the end it says that all is."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap"), down("pop3")])
    ntfy.wait_for(lambda each: each.title == "GmailEndpointDown (2)")
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    begun = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    alertmanager.post([{**down("imap"), "startsAt": begun, "endsAt": over}])
    shown = ntfy.wait_for(lambda each: "Resolved" in each.text)
    assert check(shown).splitlines()[0] == "pop3 (imap.gmail.com:993) does not answer"
    assert shown.text.splitlines()[-1] == "Resolved: 1"
    alertmanager.post([{**down("pop3"), "startsAt": begun, "endsAt": over}])
    shown = ntfy.wait_for(lambda each: each.title.startswith("Resolved: GmailEndpointDown"))
    assert check(shown).splitlines() == ["Resolved: pop3 (imap.gmail.com:993) does not answer", f"{PAGE}pop3"]


def test_tickets_have_the_same_texts(running: tuple[Alertmanager, Ntfy]) -> None:
    """With the receiver's own priority and tags."""
    alertmanager, ntfy = running
    for each, tags in (
        (alert("GmailUnreachableFromOneSite"), ""),
        (alert("GmailLoginFailing", "pop3", blame="account"), "key"),
        (alert("GmailProbeStalled", "smtps", blame="client"), "wrench"),
    ):
        texts = {"summary": each["labels"]["alertname"], "remedy": "Do this."}
        alertmanager.post([{**each, "annotations": texts}])
        shown = ntfy.wait_for(lambda one, tags=tags: one.priority == "default" and one.tags == tags)  # type: ignore[misc]
        assert "Remedy: Do this." in check(shown)


VERDICTS: dict[tuple[Verdict, Fact | None], str] = {
    (Verdict.PROVIDER_DOWN, None): "The mail provider is at fault; our network is fine.",
    (Verdict.PROVIDER_DOWN, Fact.SAME_PORT_UP): "The mail provider, or the way to it, is at fault.",
    (Verdict.PROVIDER_DOWN, Fact.ON_THIS_HOST): "The mail server on the exporter's own host is at fault.",
    (Verdict.PORT_BLOCKED, None): "The port is blocked on the way.",
    (Verdict.NETWORK_DOWN, None): "Our network is down.",
    (Verdict.RESOLVER_FAILING, None): "Our resolver fails.",
    (Verdict.RESOLVER_FAILING, Fact.RESOLVER_LIES): "Our resolver gives a wrong address.",
    (Verdict.INTERCEPTED, None): "Something in between answers in the server's place.",
    (Verdict.INTERCEPTED, Fact.PORTAL): "A captive portal answers in the server's place.",
    (Verdict.INTERCEPTED, Fact.MUST_BE_PUBLIC): "Something in between removes STARTTLS.",
    (Verdict.ADDRESS_DOWN, None): "One address of the server is at fault.",
    (Verdict.EXPORTER, None): "The exporter or its host is at fault.",
    (Verdict.EXPORTER, Fact.CLOCK_WRONG): "The clock of the exporter's host is wrong.",
    (Verdict.EXPORTER, Fact.FILES_USED_UP): "The exporter has no file descriptor left.",
    (Verdict.EXPORTER, Fact.PUBLIC_ROOT): "The exporter's host lacks a root that the public trusts.",
    (Verdict.UNKNOWN, None): "It is not known whose fault it is.",
}
"""What a page begins with. Verdicts on an account or a token have alerts with remedies of their own."""


@pytest.mark.parametrize(("verdict", "ground"), VERDICTS)
def test_each_verdict_has_its_words(running: tuple[Alertmanager, Ntfy], verdict: Verdict, ground: Fact | None) -> None:
    """The page begins with them, by the fact that decided, and has the remedy that the exporter's page has."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap", verdict=verdict.value, ground=ground.value if ground else "", blame=verdict.blame)])
    first, _, remedy, _ = check(ntfy.wait_for(lambda each: each.priority == "urgent")).splitlines()
    assert first == VERDICTS[verdict, ground]
    if verdict is Verdict.UNKNOWN:
        elsewhere = (
            "Try another network, for example a telephone's: if it works there, ours is at fault; else the server is."
        )
        assert remedy == f"Remedy: {elsewhere}"
    else:
        own = OF_GROUND.get((verdict, ground)) if ground else None
        assert remedy == f"Remedy: {own or fill(verdict.remedy)}"


def test_each_ground_with_a_remedy_has_its_words() -> None:
    """None is forgotten."""
    assert {*OF_GROUND} <= {*VERDICTS}
    assert {verdict for verdict, _ in VERDICTS} == {*Verdict} - {Verdict.ACCOUNT, Verdict.TOKEN}


@pytest.mark.parametrize("told", [{"verdict": "provider_down", "blame": "provider"}, {"blame": "provider"}])
def test_a_server_that_may_be_our_own(running: tuple[Alertmanager, Ntfy], told: dict[str, str]) -> None:
    """Nobody is told to repair nothing where the server is not Google's."""
    alertmanager, ntfy = running
    one = down("imap", **told)
    alertmanager.post([{**one, "labels": {**one["labels"], "host": "mail.example.com"}}])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    assert "Remedy: If the server is yours, read its log; else see its provider's status page, and wait." in text


def test_the_account_is_at_fault(running: tuple[Alertmanager, Ntfy]) -> None:
    """Such as a domain whose MX record is null: another network would show nothing."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap", blame="account")])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    assert "Remedy: Do what the exporter's page says for the reason: its owner or administrator can end this." in text


def test_a_server_that_refuses_our_address(running: tuple[Alertmanager, Ntfy]) -> None:
    """The verdict is `exporter` by the reason's own word; the exporter's host is not at fault."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap", verdict="exporter", blame="network")])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    assert text.startswith("The server does not serve the exporter's address.\n")


@pytest.mark.parametrize("blame", [*Blame])
def test_the_fault_is_named_as_everywhere(running: tuple[Alertmanager, Ntfy], blame: Blame) -> None:
    """By the name that the exporter's pages have for it, and with a remedy."""
    alertmanager, ntfy = running
    alertmanager.post([down("imap", blame=blame.value)])
    text = check(ntfy.wait_for(lambda each: each.priority == "urgent"))
    assert f"Fault: {fill(blame.label)}\nRemedy: " in text


def test_each_alert_says_whose_fault_it_is_and_has_a_page() -> None:
    """By a label, or an annotation; and a remedy that is not cut. Nobody is at fault where nothing fails."""
    without_blame = {"GmailEndpointSlow", "GmailErrorBudgetBurningFast", "GmailErrorBudgetBurningSlowly"}
    without_page = {"GmailExporterDown", "GmailShardMissing"}
    for rule in ALERTS:
        name, annotations = rule["alert"], rule["annotations"]
        told = "blame" in annotations or "blame" in rule["labels"] or name == "GmailLoginFailing"  # by its expression
        assert told is (name not in without_blame) or name == "GmailTokenRefreshFailing", name
        assert ("status_url" in annotations) is (name not in without_page), name
        for text in re.split(r"\{\{.*?\}\}", annotations.get("remedy", "")):
            assert len(text) <= 105, name
        assert "remedy" in annotations or "blame" in annotations, name
