"""The metrics of endpoints, accounts and the exporter: names, labels and values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.accounts.access import Access
from exporter.accounts.tokens import AccessToken
from exporter.exposition.cache import Exposition
from exporter.exposition.gmail import BASE_LABELS, base_labels, evidence_samples, samples
from exporter.exposition.text import Format
from exporter.model.evidence import (
    ControlKind,
    ControlState,
    Evidence,
    Hop,
    Incident,
    PathEnd,
    ProviderStatus,
    Trace,
)
from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.outcome import Folder, Observed, Outcome, Phase
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Account, IpFamily, OAuth2, Role, SecretRef
from exporter.model.verdict import Fact, Judgement, Verdict
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.store import Series, Store
from tests.examples import ACCOUNT, FACTS, SENTINEL, UNREAD, budgeted, failure, singles, success, target


def exposed(*outcomes: Outcome) -> dict[str, dict[str, float]]:
    """The values of a target by sample name, then by its labels beside the base labels."""
    series = Series(outcomes[0].target if outcomes else target())
    for outcome in outcomes:
        series.add(outcome)
    values: dict[str, dict[str, float]] = {}
    for sample in singles(samples(series)):
        labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
        values.setdefault(sample.family + sample.suffix, {})[labels] = float(sample.value)
    return values


def path_of(answers: int, end: PathEnd) -> Trace:
    """A trace of which so many hops answered, and which ended so."""
    silent = () if end is not PathEnd.NOTHING else (Hop(answers + 1, None, None),)
    hops = (*(Hop(ttl, f"192.0.2.{ttl}", 0.01) for ttl in range(1, answers + 1)), *silent)
    return Trace("192.0.2.9", 993, hops, end, None if silent else answers, 0.0)


def test_before_the_first_probe() -> None:
    """Before the first probe counters are 0, and there is no metric of the state."""
    values = exposed()
    assert values["gmail_probes_total"] == {"result=success": 0, "result=failure": 0}
    assert values["gmail_probe_interval_seconds"] == {"": 30}
    assert values["gmail_endpoint_info"] == {"security=tls,account=": 1}
    for absent in ("gmail_up", "gmail_check_success", "gmail_failure_info", "gmail_logins_total"):
        assert absent not in values


@pytest.mark.parametrize(
    ("to_port", "to_web", "hops", "last_answer"),
    [
        (path_of(3, PathEnd.NOTHING), path_of(4, PathEnd.SYN_ACK), {"": 4}, {"": 3}),
        (path_of(4, PathEnd.SYN_ACK), path_of(5, PathEnd.SYN_ACK), {"": 4}, {"": 4}),
        (path_of(2, PathEnd.RST), path_of(3, PathEnd.NOTHING), None, {"": 2}),
        (path_of(0, PathEnd.NOTHING), None, None, {"": 0}),
        (None, path_of(4, PathEnd.SYN_ACK), {"": 4}, None),
        (None, None, None, None),
    ],
)
def test_path(
    to_port: Trace | None, to_web: Trace | None, hops: dict[str, float] | None, last_answer: dict[str, float] | None
) -> None:
    """Of an endpoint that fails: the hops to its server by either port, and the last one that answered."""
    failed = replace(failure(), evidence=Evidence(trace=to_port, trace_web=to_web))
    values = exposed(success(), failed)
    assert values.get("gmail_path_hops") == hops
    assert values.get("gmail_path_last_answer_hop") == last_answer
    assert not [name for name in exposed(failed, success()) if "path" in name]


def test_unread_certificate() -> None:
    """What only OpenSSL can read of a certificate has no sample."""
    values = exposed(success(observed=Observed(tls=UNREAD)))
    assert list(values["gmail_tls_info"].values()) == [1]
    assert not [name for name in values if "expiry" in name]


@pytest.mark.parametrize(
    ("host", "public_root", "value"),
    [
        ("imap.gmail.com", True, {"": 1}),
        ("imap.gmail.com", False, {"": 0}),
        ("imap.gmail.com", None, None),
        ("mail.example.com", False, None),
    ],
)
def test_public_root(host: str, public_root: bool | None, value: dict[str, float] | None) -> None:
    """Only where it must be public, and where it is known."""
    observed = Observed(tls=replace(FACTS, public_root=public_root))
    assert exposed(success(target(host=host), observed=observed)).get("gmail_tls_public_root") == value


def test_success() -> None:
    """Every observation of a successful probe is exposed."""
    observed = Observed(
        address="192.0.2.1",
        ip_version=4,
        ip_fallback=False,
        connect_lost=2.5,
        addresses=3,
        addresses_up=2,
        tcp_rtt=0.012,
        retransmits=3,
        tls=FACTS,
        capabilities=("IMAP4REV1",),
    )
    values = exposed(success(observed=observed))
    assert values["gmail_up"] == {"": 1}
    assert values["gmail_check_success"] == {"check=reachability": 1, "check=tls": 1, "check=protocol": 1}
    assert values["gmail_phase_duration_seconds"]["phase=greeting"] == 0.03
    assert values["gmail_tcp_rtt_seconds"] == {"": 0.012}
    assert values["gmail_tcp_retransmits_total"] == {"": 3}
    assert values["gmail_probe_ip_protocol"] == {"": 4}
    assert values["gmail_probe_ip_fallback"] == {"": 0}
    assert values["gmail_connect_lost_seconds"] == {"": 2.5}
    assert values["gmail_addresses"] == {"": 3}
    assert values["gmail_addresses_up"] == {"": 2}
    assert values["gmail_tls_certificate_expiry_timestamp_seconds"] == {"": 1_800_000_000}
    assert values["gmail_tls_chain_expiry_timestamp_seconds"] == {"": 1_790_000_000}
    assert list(values["gmail_tls_info"].values()) == [1]
    assert "issuer=CN=WR2,O=Google Trust Services,C=US" in next(iter(values["gmail_tls_info"]))
    assert values["gmail_probes_total"]["result=success"] == 1
    assert values["gmail_probe_last_run_timestamp_seconds"] == {"": 1_700_000_000.25}
    assert values["gmail_probe_last_success_timestamp_seconds"] == {"": 1_700_000_000.25}
    assert values["gmail_probe_duration_seconds_count"] == {"": 1}
    assert values["gmail_probe_duration_seconds_sum"][""] == pytest.approx(0.081)
    assert values["gmail_probe_duration_seconds_bucket"]["le=0.05"] == 0
    assert values["gmail_probe_duration_seconds_bucket"]["le=0.1"] == 1
    assert values["gmail_probe_duration_seconds_bucket"]["le=+Inf"] == 1
    assert "gmail_failure_info" not in values


def test_down() -> None:
    """Phase, reason and blame are exposed; checks that were not reached are absent, not 0."""
    values = exposed(success(), failure())
    assert values["gmail_up"] == {"": 0}
    assert values["gmail_check_success"] == {"check=reachability": 0}
    assert values["gmail_failure_info"] == {"phase=connect,reason=refused,blame=unknown": 1}
    assert values["gmail_verdict_info"] == {"verdict=unknown,blame=unknown": 1}
    assert values["gmail_probe_failures_total"] == {"phase=connect,reason=refused": 1}
    assert values["gmail_probe_last_success_timestamp_seconds"] == {"": 1_700_000_000.25}
    assert "gmail_tcp_rtt_seconds" not in values


def test_grounds_of_a_verdict() -> None:
    """Each fact that decided has a series; they go with the outage."""
    grounds = (Fact.NO_ROUTE, Fact.NO_RESOLVER)
    judgement = Judgement(Verdict.NETWORK_DOWN, Blame.NETWORK, "our network is down", grounds=grounds)
    down = replace(failure(), judgement=judgement)
    values = exposed(down)
    assert values["gmail_verdict_ground_info"] == {
        "verdict=network_down,fact=no_route": 1,
        "verdict=network_down,fact=no_resolver": 1,
    }
    assert "gmail_verdict_ground_info" not in exposed(down, success())


def test_addresses_passed_over() -> None:
    """They are counted while another address serves."""
    observed = Observed(connect_lost=0.0, dead_addresses=("192.0.2.1", "192.0.2.2"))
    assert exposed(replace(success(), observed=observed))["gmail_addresses_passed_over"] == {"": 2}
    assert "gmail_addresses_passed_over" not in exposed(success())
    silent = failure(phase=Phase.GREETING, reason=Reason.TIMEOUT)
    assert "gmail_addresses_passed_over" not in exposed(replace(silent, observed=observed))  # none serves
    assert "gmail_addresses_passed_over" not in exposed(
        replace(failure(), observed=replace(observed, connect_lost=None))
    )


def test_refused_login() -> None:
    """A refused login leaves the endpoint up, and is exposed while later probes do not log in."""
    imap = target(account=ACCOUNT)
    values = exposed(
        failure(imap, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS),
        budgeted(success(imap), Denial.HOLD),
    )
    assert values["gmail_up"] == {"": 1}
    assert values["gmail_check_success"]["check=login"] == 0
    assert "check=folders" not in values["gmail_check_success"]
    assert values["gmail_failure_info"] == {"phase=login,reason=auth_invalid_credentials,blame=account": 1}
    assert values["gmail_verdict_info"] == {"verdict=account,blame=account": 1}
    assert values["gmail_logins_total"] == {"result=success": 0, "result=failure": 1}
    assert values["gmail_login_suspended"] == {"": 1}


def test_folders() -> None:
    """Folders are exposed by role; a hidden folder is visible 0 and has no count."""
    imap = target(account=ACCOUNT)
    folders = (Folder(Role.INBOX, visible=True, messages=65), Folder(Role.TRASH, visible=False))
    outcome = replace(success(imap, login=True), observed=Observed(login_attempted=True, folders=folders))
    values = exposed(outcome)
    assert values["gmail_folder_visible"] == {"folder=inbox": 1, "folder=trash": 0}
    assert values["gmail_folder_messages"] == {"folder=inbox": 65}
    assert values["gmail_check_success"]["check=folders"] == 1
    assert values["gmail_login_suspended"] == {"": 0}


def test_configured_labels() -> None:
    """Labels of the configuration are on gmail_endpoint_info only."""
    imap = target(account=ACCOUNT, labels={"tenant": "acme"})
    values = exposed(success(imap))
    assert values["gmail_endpoint_info"] == {"tenant=acme,security=tls,account=ops": 1}
    assert all(
        "tenant" not in labels
        for name, by_labels in values.items()
        if name != "gmail_endpoint_info"
        for labels in by_labels
    )


def test_access_tokens() -> None:
    """An account with OAuth 2.0 has metrics of its tokens, one with a password has none."""
    reference = SecretRef(env="X")
    oauth2 = OAuth2(client_id="1.apps", client_secret=reference, refresh_token=reference)
    access = Access(Account(name="workspace", username="probe@example.com", oauth2=oauth2), {})
    exposition = Exposition(Store(), ExporterMetrics(), lambda: [access, Access(ACCOUNT, {})])
    text = b"".join(exposition.pieces(Format.TEXT)).decode()
    assert 'gmail_oauth_token_refreshes_total{account="workspace",result="success"} 0.0\n' in text
    assert "gmail_oauth_token_expiry" not in text

    access.token = AccessToken(SENTINEL, 1_800_000_000.0)
    access.refresh_seconds = 0.25
    access.refreshes.update([Reason.OK, Reason.OK, Reason.OAUTH_GRANT_REVOKED])
    for fmt, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)):
        text = b"".join(exposition.pieces(fmt)).decode()
        values = {(s.name, *s.labels.values()): s.value for family in parse(text) for s in family.samples}
        assert values["gmail_oauth_token_expiry_timestamp_seconds", "workspace"] == 1_800_000_000
        assert values["gmail_oauth_token_refresh_duration_seconds", "workspace"] == 0.25
        assert values["gmail_oauth_token_refreshes_total", "workspace", "success"] == 2
        assert values["gmail_oauth_token_refreshes_total", "workspace", "failure"] == 1
        assert values["gmail_oauth_token_refresh_failures_total", "workspace", "oauth_grant_revoked"] == 1
        assert SENTINEL not in text
        assert "ops" not in text


def test_login_budget() -> None:
    """Probes without a login are counted by denial; the present hold and the next login are exposed."""
    imap = target(account=ACCOUNT)
    series = Series(imap)
    series.add(budgeted(success(imap), None, 1_700_000_900.0, Denial.INTERVAL))
    series.add(budgeted(success(imap), Denial.HOLD, denied=Denial.HOLD))
    values = {(s.family, *s.labels.values()): s.value for s in singles(samples(series))}
    assert values["gmail_login_denials", "interval"] == 1
    assert values["gmail_login_denials", "hold"] == 1
    assert values["gmail_login_denials", "ceiling"] == 0
    assert values["gmail_login_held_info", "hold"] == 1
    assert ("gmail_login_next_timestamp_seconds",) not in values
    series.add(budgeted(success(imap), Denial.HOLD, cause=Cause("pop3", Reason.ACCOUNT_DISABLED)))
    values = {(s.family, *s.labels.values()): s.value for s in singles(samples(series))}
    assert values["gmail_login_held_info", "hold", "pop3", "account_disabled"] == 1
    series.add(budgeted(success(imap), Denial.BACKOFF, cause=Cause("pop3")))
    values = {(s.family, *s.labels.values()): s.value for s in singles(samples(series))}
    assert values["gmail_login_held_info", "backoff", "pop3"] == 1
    series.add(budgeted(success(imap), None, 1_700_000_900.0, Denial.BUSY))
    values = {(s.family, *s.labels.values()): s.value for s in singles(samples(series))}
    assert values["gmail_login_next_timestamp_seconds",] == 1_700_000_900
    assert ("gmail_login_held_info", "hold") not in values


def test_failures_and_interval_of_logins() -> None:
    """The interval is known with the first probe, failures in a row with the first login; both only with an account."""
    imap = target(account=ACCOUNT)
    series = Series(imap)
    status = LoginStatus(None, 1_700_002_700.0, denied=Denial.INTERVAL, interval=2700.0)
    found = []
    for outcome in (
        replace(success(imap), login=status),
        replace(failure(imap, Phase.LOGIN, Reason.TIMEOUT), login=status),
        replace(success(imap), login=status),
        replace(success(imap, login=True), login=status),
    ):
        before = {s.family: s.value for s in singles(samples(series))}
        series.add(outcome)
        found.append((before.get("gmail_login_interval_seconds"), before.get("gmail_login_consecutive_failures")))
    values = {s.family: s.value for s in singles(samples(series))}
    assert found == [(None, None), (2700, None), (2700, 1), (2700, 1)]
    assert (values["gmail_login_interval_seconds"], values["gmail_login_consecutive_failures"]) == (2700, 0)
    series = Series(target())
    series.add(success())
    assert not {"gmail_login_interval_seconds", "gmail_login_consecutive_failures"} & {
        s.family for s in singles(samples(series))
    }


def test_base_labels() -> None:
    """The base labels have a fixed order and the values of the configuration."""
    labels = base_labels(Series(target(ip_family=IpFamily.IPV6)))
    assert tuple(labels) == BASE_LABELS
    assert labels == {
        "endpoint": "imap",
        "protocol": "imap",
        "host": "imap.gmail.com",
        "port": "993",
        "ip_family": "ipv6",
    }


CONTROL = ControlState("web", ControlKind.PROVIDER_WEB, "www.google.com", 443)
NEAR = ControlState("near", ControlKind.NEUTRAL, "192.0.2.1", 443)
INCIDENT = Incident("a", "high", "outage", "disruption", 1.0, "IMAP is slow", "https://status.example/")


def seen(*controls: ControlState, status: ProviderStatus | None = None) -> dict[str, dict[str, float]]:
    """The values of controls and of the provider's status, by name, then by labels."""
    values: dict[str, dict[str, float]] = {}
    for sample in singles(evidence_samples(controls, status)):
        labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
        values.setdefault(sample.family, {})[labels] = float(sample.value)
    return values


def test_controls() -> None:
    """None before the first look; one is up where it answers over any version of IP."""
    assert seen(CONTROL, NEAR) == {}
    six, four = replace(CONTROL, up=False, ip_version=6), replace(CONTROL, up=True, ip_version=4)
    assert seen(six, four, replace(NEAR, up=False)) == {
        "gmail_control_up": {"control=web,kind=provider_web": 1, "control=near,kind=neutral": 0}
    }


def test_the_providers_status() -> None:
    """None before it was read; incidents only while it can be read, and never a notice."""
    assert seen(status=ProviderStatus("google", fault="no answer")) == {}
    known = ProviderStatus("google", (INCIDENT, replace(INCIDENT, id="b")), 5.0, notices=(INCIDENT,))
    read = {"gmail_provider_status_last_success_timestamp_seconds": {"provider=google": 5}}
    incident = {"gmail_provider_incident_info": {"provider=google,severity=high,impact=disruption": 1}}
    assert seen(status=known) == {**read, **incident}
    assert seen(status=replace(known, fault="no answer")) == read
    assert seen(status=replace(known, incidents=())) == read


def test_evidence_in_the_exposition() -> None:
    """It stands beside the endpoints' own metrics, without their labels."""
    samples = list(evidence_samples([replace(CONTROL, up=True)], ProviderStatus("google", (INCIDENT,), 5.0)))
    pieces = Exposition(Store(), ExporterMetrics(), evidence=lambda: samples).pieces(Format.TEXT)
    lines = b"".join(pieces).decode().splitlines()
    assert 'gmail_control_up{control="web",kind="provider_web"} 1.0' in lines
    assert 'gmail_provider_incident_info{provider="google",severity="high",impact="disruption"} 1.0' in lines
