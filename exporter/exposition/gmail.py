"""Outcomes → samples of the `gmail_` metrics, all of which are declared here.

The samples of a target are a pure function of its `Series`. monitor/instruments.py has the `gmail_exporter_` metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

from exporter.accounts.access import Access
from exporter.exposition.deliveries import DELIVERY_FAMILIES
from exporter.exposition.domains import DOMAIN_FAMILIES
from exporter.exposition.text import Family, Form, Samples
from exporter.model.certificate import TlsFacts
from exporter.model.evidence import ControlState, Evidence, PathEnd, ProviderStatus
from exporter.model.login import Denial
from exporter.model.outcome import Check, Outcome, Phase
from exporter.model.reason import Reason
from exporter.monitor.store import DURATION_BUCKETS, Series

BASE_LABELS = ("endpoint", "protocol", "host", "port", "ip_family")


# fmt: off
UP = Family("gmail_up", "gauge",
    "Whether the last probe connected, secured the connection, was greeted and got the capabilities. "
    "Login does not count here: a wrong password is not an outage.")
CHECK_SUCCESS = Family("gmail_check_success", "gauge",
    "Result of each check that the last probe reached; login and folders keep theirs between logins.", "check")
PROBE_DURATION = Family("gmail_probe_duration_seconds", "histogram",
    "Whole duration of successful probes: the sum of their phases.")
PHASE_DURATION = Family("gmail_phase_duration_seconds", "gauge",
    "Duration of each phase of the last probe.", "phase")
TCP_RTT = Family("gmail_tcp_rtt_seconds", "gauge",
    "The kernel's estimate of the round-trip time after connect: network time apart from server time.")
TCP_RETRANSMITS = Family("gmail_tcp_retransmits", "counter",
    "Segments that the kernel had to send again, where it tells: a path that loses packets.")
PROBES = Family("gmail_probes", "counter",
    "Probes by result.", "result")
PROBE_FAILURES = Family("gmail_probe_failures", "counter",
    "Failed probes by the phase in which they ended, and why.", "phase", "reason")
LOGINS = Family("gmail_logins", "counter",
    "Logins attempted, by result.", "result")
LOGIN_FAILURES = Family("gmail_login_consecutive_failures", "gauge",
    "Logins in a row that failed, also in the step after them, or could not be sent; 0 after one that succeeded, "
    "absent before the first. A hidden folder is no failure.")
LOGIN_INTERVAL = Family("gmail_login_interval_seconds", "gauge",
    "Seconds from one login to the next, as planned: login_interval, or more where the mailbox has many endpoints; a "
    "refusal may delay the next one.")
FAILURE_INFO = Family("gmail_failure_info", "gauge",
    "1 while the last probe, or the last login, failed: where, why, and the party at fault.",
    "phase", "reason", "blame")
VERDICT_INFO = Family("gmail_verdict_info", "gauge",
    "1 while the last probe, or the last login, failed: what the evidence shows, and the party at fault.",
    "verdict", "blame")
VERDICT_GROUND_INFO = Family("gmail_verdict_ground_info", "gauge",
    "1 while it fails, for each fact that decided the verdict: docs/verdicts.md has their meaning.", "verdict", "fact")
PATH_HOPS = Family("gmail_path_hops", "gauge",
    "While it fails: the hop of the server in the last trace, by its port or by port 443 of the same address.")
PATH_LAST_ANSWER = Family("gmail_path_last_answer_hop", "gauge",
    "While it fails: the last hop that answered in the trace of the path to the port; 0 where none did.")
LOGIN_SUSPENDED = Family("gmail_login_suspended", "gauge",
    "Whether logins are held back to protect the account.")
LOGIN_HELD_INFO = Family("gmail_login_held_info", "gauge",
    "1 while logins are held back to protect the account, and why; where it follows a refused login, the endpoint and "
    "the reason of that one.", "denial", "cause_endpoint", "cause_reason")
LOGIN_DENIALS = Family("gmail_login_denials", "counter",
    "Probes that did not log in because the account's budget did not allow it, by denial.", "denial")
LOGIN_NEXT = Family("gmail_login_next_timestamp_seconds", "gauge",
    "When the budget allows the next login; absent while it is held until something changes.")
CERTIFICATE_EXPIRY = Family("gmail_tls_certificate_expiry_timestamp_seconds", "gauge",
    "notAfter of the server's certificate, also where its verification failed.")
CHAIN_EXPIRY = Family("gmail_tls_chain_expiry_timestamp_seconds", "gauge",
    "Earliest notAfter in the chain that the server presented.")
TLS_INFO = Family("gmail_tls_info", "gauge",
    "Always 1: the TLS version and cipher agreed on, and the server's certificate.",
    "version", "cipher", "issuer", "fingerprint_sha256")
PUBLIC_ROOT = Family("gmail_tls_public_root", "gauge",
    "Whether the server's chain leads to a root that the public trusts, not only this host; 0: a device in between "
    "intercepts TLS. Only of Google's hosts and of endpoints with `tls.public_root`, and not with `tls.ca_file`.")
IP_PROTOCOL = Family("gmail_probe_ip_protocol", "gauge",
    "IP version that the last probe used: 4 or 6.")
IP_FALLBACK = Family("gmail_probe_ip_fallback", "gauge",
    "Whether, with ip_family any, IPv6 failed to connect and IPv4 served.")
CONNECT_LOST = Family("gmail_connect_lost_seconds", "gauge",
    "Time that the last probe lost on addresses that did not connect before one did.")
ADDRESSES = Family("gmail_addresses", "gauge",
    "Addresses of the name that were counted, with `addresses: all`.")
ADDRESSES_UP = Family("gmail_addresses_up", "gauge",
    "Addresses of the name that connect, with `addresses: all`.")
ADDRESSES_PASSED_OVER = Family("gmail_addresses_passed_over", "gauge",
    "While an address of the name serves: those that did not connect when last tried; absent where there is none.")
FOLDER_VISIBLE = Family("gmail_folder_visible", "gauge",
    "Whether mail clients see the folder of that role.", "folder")
FOLDER_MESSAGES = Family("gmail_folder_messages", "gauge",
    "Messages in the folder of that role.", "folder")
FOLDER_UNSEEN = Family("gmail_folder_unseen_messages", "gauge",
    "Messages in the folder of that role that were not read.", "folder")
FOLDER_BYTES = Family("gmail_folder_bytes", "gauge",
    "Size of the messages in the folder of that role, where the server tells it (POP3).", "folder")
MAILBOX_QUOTA = Family("gmail_mailbox_quota_bytes", "gauge",
    "Storage that the account may use, where the server tells it (IMAP).")
MAILBOX_USED = Family("gmail_mailbox_used_bytes", "gauge",
    "Storage that the account uses, where the server tells it (IMAP).")
LAST_RUN = Family("gmail_probe_last_run_timestamp_seconds", "gauge",
    "When the last probe ended.")
LAST_SUCCESS = Family("gmail_probe_last_success_timestamp_seconds", "gauge",
    "When the last successful probe ended.")
INTERVAL = Family("gmail_probe_interval_seconds", "gauge",
    "Seconds between two probes, as configured.")
ENDPOINT_INFO = Family("gmail_endpoint_info", "gauge",
    "Always 1: how the endpoint is configured, with its own labels.", "security", "account")
OAUTH_EXPIRY = Family("gmail_oauth_token_expiry_timestamp_seconds", "gauge",
    "When the access token in hand expires.")
OAUTH_REFRESH_DURATION = Family("gmail_oauth_token_refresh_duration_seconds", "gauge",
    "How long the token endpoint took to answer the last time.")
OAUTH_REFRESHES = Family("gmail_oauth_token_refreshes", "counter",
    "Access tokens asked for, by result.", "result")
OAUTH_REFRESH_FAILURES = Family("gmail_oauth_token_refresh_failures", "counter",
    "Access tokens that were not given, and why.", "reason")
CONTROL_UP = Family("gmail_control_up", "gauge",
    "Whether the control answered when it was last looked at; absent before that.", "control", "kind")
INCIDENT_INFO = Family("gmail_provider_incident_info", "gauge",
    "1 while the provider itself has an open incident of mail, and its status can be read; a notice is no incident. "
    "`severity` is low, medium or high, `impact` is disruption or outage.",
    "provider", "severity", "impact")
STATUS_LAST_SUCCESS = Family("gmail_provider_status_last_success_timestamp_seconds", "gauge",
    "When the provider's own account of its incidents was last read.", "provider")
# fmt: on

EVIDENCE_FAMILIES = (CONTROL_UP, INCIDENT_INFO, STATUS_LAST_SUCCESS)
"""Families of what is looked at besides the endpoints. They have no base labels."""

ACCOUNT_FAMILIES = (OAUTH_EXPIRY, OAUTH_REFRESH_DURATION, OAUTH_REFRESHES, OAUTH_REFRESH_FAILURES)
"""Families of an account with OAuth 2.0. Their one base label is `account`."""

FAMILIES = (
    UP, CHECK_SUCCESS, PROBE_DURATION, PHASE_DURATION, TCP_RTT, TCP_RETRANSMITS, PROBES, PROBE_FAILURES, LOGINS,
    LOGIN_FAILURES, LOGIN_INTERVAL,
    FAILURE_INFO, VERDICT_INFO, VERDICT_GROUND_INFO, PATH_HOPS, PATH_LAST_ANSWER,
    LOGIN_SUSPENDED, LOGIN_HELD_INFO, LOGIN_DENIALS, LOGIN_NEXT,
    CERTIFICATE_EXPIRY, CHAIN_EXPIRY, TLS_INFO, PUBLIC_ROOT,
    IP_PROTOCOL, IP_FALLBACK, CONNECT_LOST, ADDRESSES, ADDRESSES_UP, ADDRESSES_PASSED_OVER,
    FOLDER_VISIBLE, FOLDER_MESSAGES, FOLDER_UNSEEN, FOLDER_BYTES, MAILBOX_QUOTA, MAILBOX_USED,
    LAST_RUN, LAST_SUCCESS, INTERVAL, ENDPOINT_INFO,
)  # fmt: skip


ALL_FAMILIES = (*FAMILIES, *ACCOUNT_FAMILIES, *DOMAIN_FAMILIES, *DELIVERY_FAMILIES, *EVIDENCE_FAMILIES)

_HISTOGRAM = PROBE_DURATION.histogram(DURATION_BUCKETS)

_RESULTS = {"result": "success"}, {"result": "failure"}
_PROBES, _LOGINS, _REFRESHES = PROBES.form(*_RESULTS), LOGINS.form(*_RESULTS), OAUTH_REFRESHES.form(*_RESULTS)


def base_labels(series: Series) -> dict[str, str]:
    """Return the labels that every sample of a series has."""
    endpoint = series.target.endpoint
    values = (endpoint.name, endpoint.protocol.value, endpoint.host, str(endpoint.port), series.target.ip_family.value)
    return dict(zip(BASE_LABELS, values, strict=True))


def samples(series: Series) -> Iterator[Samples]:
    """Yield every sample of a target. A value that is not known has no sample, rather than a 0."""
    endpoint = series.target.endpoint
    account = endpoint.account.name if endpoint.account else ""
    yield ENDPOINT_INFO.sample(1, **{**endpoint.labels, "security": endpoint.security.value, "account": account})
    yield INTERVAL.sample(endpoint.interval)
    yield from _totals(series)
    if series.last:
        yield from _last_probe(series, series.last)
    if endpoint.account:
        yield from _budget(series)
    if series.last_login:
        yield from _last_login(series.last_login)


def _budget(series: Series) -> Iterator[Samples]:
    yield LOGIN_SUSPENDED.sample(series.suspended)
    yield _LOGINS, (series.logins[True], series.logins[False])
    if series.login_failures is not None:
        yield LOGIN_FAILURES.sample(series.login_failures)
    if series.last and series.last.login:
        yield LOGIN_INTERVAL.sample(series.last.login.interval)
    for denial in Denial:
        yield LOGIN_DENIALS.sample(series.denials[denial], denial=denial.value)
    if series.last and series.last.login and series.last.held_by:
        cause = series.last.login.cause
        labels = {"denial": series.last.held_by.value}
        if cause:
            labels["cause_endpoint"] = cause.endpoint
        if cause and cause.reason:
            labels["cause_reason"] = cause.reason.value
        yield LOGIN_HELD_INFO.sample(1, **labels)
    if series.last and series.last.next_login_at is not None:
        yield LOGIN_NEXT.sample(series.last.next_login_at)


def _totals(series: Series) -> Iterator[Samples]:
    yield _PROBES, (series.successes, series.failures.total())
    for (phase, reason), count in series.failures.items():
        yield PROBE_FAILURES.sample(count, phase=phase.value, reason=reason.value)
    yield _HISTOGRAM, (*accumulate(series.buckets), series.successes, series.duration_sum)
    if series.retransmits is not None:
        yield TCP_RETRANSMITS.sample(series.retransmits)
    if series.last_success:
        yield LAST_SUCCESS.sample(series.last_success.ended_at)


def _last_probe(series: Series, last: Outcome) -> Iterator[Samples]:
    yield UP.sample(last.up)
    yield LAST_RUN.sample(last.ended_at)
    yield _checks(last, Check.REACHABILITY, Check.TLS, Check.PROTOCOL)
    yield _phases(*last.phases), (*last.phases.values(),)
    if failing := [*series.failing]:
        yield from _failures(failing)
    if last.evidence:
        yield from _path(last.evidence)
    observed = last.observed
    for family, value in (
        (TCP_RTT, observed.tcp_rtt),
        (IP_PROTOCOL, observed.ip_version),
        (IP_FALLBACK, observed.ip_fallback),
        (CONNECT_LOST, observed.connect_lost),
        (ADDRESSES, observed.addresses),
        (ADDRESSES_UP, observed.addresses_up),
    ):
        if value is not None:
            yield family.sample(value)
    if last.up and (passed_over := last.passed_over):
        yield ADDRESSES_PASSED_OVER.sample(len(passed_over))
    if observed.tls:
        yield from _tls(observed.tls)
        if last.target.endpoint.needs_public_root and observed.tls.public_root is not None:
            yield PUBLIC_ROOT.sample(observed.tls.public_root)


def _checks(outcome: Outcome, *checks: Check) -> Samples:
    passed = {check: result for check, result in outcome.checks.items() if check in checks}
    return _checked(*passed), (*passed.values(),)


@lru_cache(maxsize=64)
def _checked(*checks: Check) -> Form:
    return CHECK_SUCCESS.form(*({"check": check.value} for check in checks))


@lru_cache(maxsize=64)
def _phases(*phases: Phase) -> Form:
    return PHASE_DURATION.form(*({"phase": phase.value} for phase in phases))


def _failures(failing: Sequence[Outcome]) -> Iterator[Samples]:
    for failed in failing:
        blame = failed.blame.value
        yield FAILURE_INFO.sample(1, phase=failed.phase.value, reason=failed.reason.value, blame=blame)
    for verdict, party in dict.fromkeys((failed.verdict, failed.blame) for failed in failing):
        if verdict is not None:
            yield VERDICT_INFO.sample(1, verdict=verdict.value, blame=party.value)
    judgements = [failed.judgement for failed in failing if failed.judgement]
    for told, ground in dict.fromkeys((each.verdict, ground) for each in judgements for ground in each.grounds):
        yield VERDICT_GROUND_INFO.sample(1, verdict=told.value, fact=ground.value)


def _path(evidence: Evidence) -> Iterator[Samples]:
    for trace in (evidence.trace, evidence.trace_web):
        if trace is not None and trace.end is PathEnd.SYN_ACK and trace.end_hop is not None:
            yield PATH_HOPS.sample(trace.end_hop)
            break
    if evidence.trace is not None:
        yield PATH_LAST_ANSWER.sample(evidence.trace.last_answer or 0)


def _tls(facts: TlsFacts) -> Iterator[Samples]:
    for family, at in (CERTIFICATE_EXPIRY, facts.not_after), (CHAIN_EXPIRY, facts.chain_not_after):
        if at is not None:
            yield family.sample(at)
    yield TLS_INFO.sample(
        1,
        version=facts.version,
        cipher=facts.cipher,
        issuer=facts.issuer,
        fingerprint_sha256=facts.fingerprint_sha256,
    )


def _last_login(last: Outcome) -> Iterator[Samples]:
    yield _checks(last, Check.LOGIN, Check.FOLDERS)
    for folder in last.observed.folders:
        yield FOLDER_VISIBLE.sample(folder.visible, folder=folder.role.value)
        for family, count in (
            (FOLDER_MESSAGES, folder.messages),
            (FOLDER_UNSEEN, folder.unseen),
            (FOLDER_BYTES, folder.octets),
        ):
            if count is not None:
                yield family.sample(count, folder=folder.role.value)
    if last.observed.quota:
        yield MAILBOX_QUOTA.sample(last.observed.quota.limit)
        yield MAILBOX_USED.sample(last.observed.quota.used)


def account_samples(access: Access) -> Iterator[Samples]:
    """Every sample of an account's access tokens; none where it has a password."""
    if access.account.app_password:
        return
    if access.token:
        yield OAUTH_EXPIRY.sample(access.token.expires_at)
    if access.refresh_seconds is not None:
        yield OAUTH_REFRESH_DURATION.sample(access.refresh_seconds)
    failures = {reason: count for reason, count in access.refreshes.items() if reason is not Reason.OK}
    yield _REFRESHES, (access.refreshes[Reason.OK], sum(failures.values()))
    for reason, count in failures.items():
        yield OAUTH_REFRESH_FAILURES.sample(count, reason=reason.value)


def evidence_samples(controls: Iterable[ControlState], status: ProviderStatus | None) -> Iterator[Samples]:
    """Yield the samples of what is looked at besides the endpoints."""
    up: dict[tuple[str, str], bool] = {}
    for control in controls:
        if control.up is not None:  # over any version of IP
            labels = control.name, control.kind.value
            up[labels] = control.up or up.get(labels, False)
    for (name, kind), value in up.items():
        yield CONTROL_UP.sample(value, control=name, kind=kind)
    if status is None or status.read_at is None:
        return
    yield STATUS_LAST_SUCCESS.sample(status.read_at, provider=status.provider)
    if status.is_known:
        for severity, impact in dict.fromkeys((incident.severity, incident.status) for incident in status.incidents):
            yield INCIDENT_INFO.sample(1, provider=status.provider, severity=severity, impact=impact)
