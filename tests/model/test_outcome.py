"""The properties of an Outcome and of its target."""

from __future__ import annotations

import dataclasses

import pytest

from exporter.model.outcome import Check, Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.remedy import OF_GROUND
from exporter.model.settings import IpFamily
from exporter.model.verdict import Fact, Judgement, Verdict
from tests.examples import ACCOUNT, failure, success, target


def test_blame() -> None:
    """It is that of the judgement; before there is one, that of the reason, which is not known for what is judged."""
    refused = failure(phase=Phase.CONNECT, reason=Reason.REFUSED)
    judged = dataclasses.replace(refused, judgement=Judgement(Verdict.PORT_BLOCKED, Blame.NETWORK, "it is blocked"))
    assert (judged.blame, judged.verdict) == (Blame.NETWORK, Verdict.PORT_BLOCKED)
    bare = dataclasses.replace(refused, judgement=None)
    assert (bare.blame, bare.verdict) == (Blame.UNKNOWN, None)
    denied = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert dataclasses.replace(denied, judgement=None).blame is Blame.ACCOUNT


def test_next_step() -> None:
    """What the verdict on an outage says to do, without a remedy of the reason that contradicts it."""
    refused = failure(target(), phase=Phase.CONNECT, reason=Reason.REFUSED)
    own = failure(target(host="mail.example.com"), phase=Phase.CONNECT, reason=Reason.REFUSED)

    def steps(outcome: Outcome) -> dict[Verdict, bool]:
        """Whether the remedy of the reason is part of it, alone or behind that of the verdict."""
        said = {}
        for verdict in Verdict:
            judgement = Judgement(verdict, verdict.blame, "")
            step = dataclasses.replace(outcome, judgement=judgement).next_step
            assert "{" not in step
            said[verdict] = step.endswith(outcome.remedy) or step.startswith(outcome.remedy)
            assert (step == outcome.remedy) is (verdict in {Verdict.ACCOUNT, Verdict.TOKEN, Verdict.EXPORTER})
        return said

    by_reason = {Verdict.ACCOUNT, Verdict.TOKEN, Verdict.EXPORTER, Verdict.UNKNOWN}
    assert {verdict for verdict, said in steps(refused).items() if said} == by_reason
    at_own_server = by_reason | {Verdict.PROVIDER_DOWN, Verdict.ADDRESS_DOWN}
    assert {verdict for verdict, said in steps(own).items() if said} == at_own_server
    timeout = failure(phase=Phase.LOGIN, reason=Reason.TIMEOUT)
    assert timeout.next_step == timeout.remedy


@pytest.mark.parametrize(("verdict", "ground"), OF_GROUND)
def test_next_step_by_what_a_verdict_rests_on(verdict: Verdict, ground: Fact) -> None:
    """A wrong clock or a captive portal has a remedy of its own, in place of that of the verdict, or of the reason."""
    judgement = Judgement(verdict, verdict.blame, "", grounds=(Fact.CONNECTED, ground))
    outcome = dataclasses.replace(failure(reason=Reason.CERTIFICATE_EXPIRED), judgement=judgement)
    assert outcome.next_step == OF_GROUND[verdict, ground]


@pytest.mark.parametrize(
    ("outcome", "up"),
    [
        (success(), True),
        (success(login=True), True),
        (failure(phase=Phase.CONNECT), False),
        (failure(phase=Phase.TLS, reason=Reason.CERTIFICATE_EXPIRED), False),
        (failure(phase=Phase.CAPABILITY, reason=Reason.PROTOCOL_VIOLATION), False),
        (failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS), True),
        (failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), True),
    ],
)
def test_up(outcome: Outcome, up: bool) -> None:
    """An endpoint is up once it gave its capabilities: a failed login is not an outage."""
    assert outcome.up is up


def test_checks() -> None:
    """The failed check is false, those before it are true, and those after it are absent."""
    assert success().checks == {Check.REACHABILITY: True, Check.TLS: True, Check.PROTOCOL: True}
    assert success(login=True).checks == dict.fromkeys(Check, True)
    assert failure(phase=Phase.RESOLVE, reason=Reason.DNS_ERROR).checks == {Check.REACHABILITY: False}
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert refused.checks[Check.LOGIN] is False
    assert refused.checks[Check.PROTOCOL] is True
    assert Check.FOLDERS not in refused.checks


def test_duration() -> None:
    """The duration is the sum of the phases, without the exporter's own time between them."""
    outcome = success()
    assert outcome.duration == pytest.approx(0.081)
    assert outcome.duration < outcome.ended_at - outcome.started_at


def test_immutable() -> None:
    """An Outcome cannot be changed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        success().detail = "other"  # type: ignore[misc]


def test_targets_of_an_endpoint() -> None:
    """An endpoint with `ip_family: both` has two series, any other one has one."""
    both = target(ip_family=IpFamily.BOTH).endpoint
    assert [t.ip_family for t in Target.of(both)] == [IpFamily.IPV4, IpFamily.IPV6]
    assert len({t.key for t in Target.of(both)}) == 2
    assert [t.ip_family for t in Target.of(target().endpoint)] == [IpFamily.ANY]


def test_name_of_a_target() -> None:
    """The name has the address family only where the endpoint has two."""
    endpoint = dataclasses.replace(target("mx").endpoint, ip_family=IpFamily.BOTH)
    assert [each.name for each in Target.of(endpoint)] == ["mx (ipv4)", "mx (ipv6)"]
    assert target("mx").name == "mx"


def test_address_of_a_target() -> None:
    """The address is HOST:PORT, with an IPv6 address in brackets."""
    assert target().address == "imap.gmail.com:993"
    assert target(host="::1").address == "[::1]:993"


def test_every_failure_has_a_summary_and_a_remedy() -> None:
    """For each reason in each phase, without a placeholder; a summary is half a sentence."""
    for phase in Phase:
        for reason in set(Reason) - {Reason.OK}:
            outcome = failure(phase=phase, reason=reason)
            assert not outcome.summary.endswith(".")
            assert outcome.remedy.endswith(".")
            assert "{" not in outcome.summary + outcome.remedy + outcome.blame_label


def test_summary() -> None:
    """A timeout names the phase, a switched-off protocol its name."""
    assert failure(phase=Phase.TLS, reason=Reason.TIMEOUT).summary == "no answer in the TLS handshake"
    assert failure(phase=Phase.LOGIN, reason=Reason.DISABLED_FOR_ACCOUNT).summary.endswith("has IMAP switched off")


def test_texts_name_the_provider_and_the_account() -> None:
    """Google where the host is Google's; the command to release an account can be typed as it is."""
    busy = failure(target(), Phase.GREETING, Reason.SERVER_BUSY)
    other = failure(target(host="mail.example.com"), Phase.GREETING, Reason.SERVER_BUSY)
    assert (busy.blame_label, other.blame_label) == ("Google", "the mail provider")
    assert "the status page of Google" in busy.remedy
    assert "the status page of the mail provider" in other.remedy
    refused = failure(target(account=ACCOUNT), Phase.LOGIN, Reason.AUTH_WEB_LOGIN_REQUIRED)
    assert refused.remedy.endswith("release the account ops.")
