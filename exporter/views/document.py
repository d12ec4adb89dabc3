"""Outcomes and series as JSON: stable, documented in docs/json.md and docs/api.md. Times are Unix seconds.

Durations are seconds. What is not known is null, or an empty list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.evidence import TcpEvidence
from exporter.model.login import LoginStatus
from exporter.model.outcome import Folder, Outcome, Target
from exporter.model.verdict import Judgement
from exporter.monitor.history import HistoryEntry
from exporter.monitor.store import Series
from exporter.views.evidence import evidence_to_json
from exporter.views.state import overview, state_of


def outcome_to_json(outcome: Outcome, *, dialogue: bool = False) -> dict[str, Any]:
    """Return an Outcome as JSON values, without its dialogue unless that is asked for."""
    observed = outcome.observed
    return {
        **_target(outcome.target),
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at,
        "duration_seconds": outcome.duration,
        "up": outcome.up,
        "ok": outcome.ok,
        "phase": outcome.phase.value,
        "reason": outcome.reason.value,
        "blame": None if outcome.ok else outcome.blame.value,
        "verdict": _verdict(outcome.judgement) if outcome.judgement else None,
        "retry": outcome.reason.retry.value,
        "remedy": None if outcome.ok else outcome.next_step,
        "detail": outcome.detail,
        "phases": {phase.value: seconds for phase, seconds in outcome.phases.items()},
        "checks": {check.value: passed for check, passed in outcome.checks.items()},
        "address": observed.address,
        "ip_version": observed.ip_version,
        "ip_fallback": observed.ip_fallback,
        "connect_lost_seconds": observed.connect_lost,
        "dead_addresses": list(observed.dead_addresses),
        "addresses": observed.addresses,
        "addresses_up": observed.addresses_up,
        "tcp_rtt_seconds": observed.tcp_rtt,
        "tcp": _tcp(observed.tcp) if observed.tcp else None,
        "evidence": evidence_to_json(outcome.evidence) if outcome.evidence else None,
        "tcp_retransmits": observed.retransmits,
        "tls": _tls(observed.tls) if observed.tls else None,
        "tls_fault": observed.tls_fault.value if observed.tls_fault else None,
        "tls_fault_detail": observed.tls_fault_detail,
        "capabilities": list(observed.capabilities),
        "login_capabilities": list(observed.login_capabilities),
        "folders": [_folder(folder) for folder in observed.folders],
        "quota": {"used_bytes": observed.quota.used, "limit_bytes": observed.quota.limit} if observed.quota else None,
        "login_attempted": observed.login_attempted,
        "login_held_by": outcome.held_by.value if outcome.held_by else None,
        "login_cause": _cause(outcome.login),
        "next_login_at": outcome.next_login_at,
        "throttled": observed.throttled,
        "ignored_lines": observed.ignored_lines,
        "logout": None if observed.logout is None else observed.logout.value,
        "dialogue": list(map(str, outcome.dialogue)) if dialogue else None,
        "not_kept": [detail.value for detail in outcome.not_kept],
    }


def series_to_json(series: Series, *, whole: bool = False) -> dict[str, Any]:
    """Return the series of a target as JSON values; with dialogues, kept failures and history where it is `whole`."""
    endpoint = series.target.endpoint
    return {
        **_target(series.target),
        "security": endpoint.security.value,
        "labels": dict(endpoint.labels),
        "interval_seconds": endpoint.interval,
        "timeout_seconds": endpoint.timeout,
        "state": state_of(series).value,
        "since": series.since,
        "failing": [_failure(outcome) for outcome in series.failing],
        "probes": {"success": series.successes, "failure": series.failures.total()},
        "login": _login(series) if endpoint.account else None,
        "last": _outcome(series.last, whole=whole),
        "last_login": _outcome(series.last_login, whole=whole),
        "last_success": _outcome(series.last_success, whole=True) if whole else None,
        "failures": [_outcome(outcome, whole=True) for outcome in series.kept_failures] if whole else None,
        "history": [_entry(entry) for entry in series.history] if whole else None,
    }


def summary_to_json(all_series: Iterable[Series], now: float) -> Mapping[str, Any]:
    """Return what is common to all of them as JSON values."""
    summary = overview(all_series)
    return {
        "generated_at": now,
        "summary": str(summary.sentence),
        "counts": {state.value: count for state, count in summary.counts.items()},
    }


def _target(target: Target) -> dict[str, Any]:
    endpoint = target.endpoint
    return {
        "endpoint": endpoint.name,
        "protocol": endpoint.protocol.value,
        "host": endpoint.host,
        "domain": endpoint.domain,
        "port": endpoint.port,
        "ip_family": target.ip_family.value,
        "account": endpoint.account.name if endpoint.account else None,
    }


def _failure(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "phase": outcome.phase.value,
        "reason": outcome.reason.value,
        "blame": outcome.blame.value,
        "verdict": _verdict(outcome.judgement) if outcome.judgement else None,
        "detail": outcome.detail,
        "remedy": outcome.next_step,
    }


def _verdict(judgement: Judgement) -> Mapping[str, Any]:
    return {"name": judgement.verdict.value, "sentence": str(judgement), "facts": list(judgement.facts)}


def _login(series: Series) -> Mapping[str, Any]:
    last, account = series.last, series.target.endpoint.account
    return {
        "success": series.logins[True],
        "failure": series.logins[False],
        "consecutive_failures": series.login_failures,
        "interval_seconds": last.login.interval if last and last.login else None,
        "held_by": last.held_by.value if last and last.held_by else None,
        "cause": _cause(last.login if last else None),
        "next_at": last.next_login_at if last else None,
        "released": last.login.has_trial if last and last.login else None,
        "next_release_at": last.login.next_release_at if last and last.login else None,
        "account_logins_of_day": last.login.logins_of_day if last and last.login else None,
        "account_max_logins_per_day": account.max_logins_per_day if account else None,
    }


def _cause(login: LoginStatus | None) -> Mapping[str, Any] | None:
    if login is None or login.cause is None:
        return None
    return {"endpoint": login.cause.endpoint, "reason": login.cause.reason.value if login.cause.reason else None}


def _outcome(outcome: Outcome | None, *, whole: bool) -> Mapping[str, Any] | None:
    return None if outcome is None else outcome_to_json(outcome, dialogue=whole)


def _entry(entry: HistoryEntry) -> Mapping[str, Any]:
    return {
        "started_at": entry.started_at,
        "phases": {phase.value: round(seconds, 7) for phase, seconds in entry.phases.items()},
        "phase": entry.phase.value,
        "reason": entry.reason.value,
    }


def _tcp(evidence: TcpEvidence) -> dict[str, Any]:
    return {
        "finding": evidence.finding.value,
        "sentence": str(evidence),
        "state": evidence.state,
        "segments_unacknowledged": evidence.unacknowledged,
        "bytes_acknowledged": evidence.acknowledged,
        "bytes_received": evidence.received,
    }


def _tls(facts: TlsFacts) -> dict[str, Any]:
    return {
        "version": facts.version,
        "cipher": facts.cipher,
        "issuer": facts.issuer,
        "fingerprint_sha256": facts.fingerprint_sha256,
        "certificate_expires_at": facts.not_after,
        "chain_expires_at": facts.chain_not_after,
        "public_root": facts.public_root,
        "chain": [_certificate(certificate) for certificate in facts.chain],
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": list(certificate.names),
        "valid_from": certificate.not_before,
        "expires_at": certificate.not_after,
        "fingerprint_sha256": certificate.fingerprint_sha256,
    }


def _folder(folder: Folder) -> dict[str, Any]:
    return {
        "role": folder.role.value,
        "visible": folder.visible,
        "messages": folder.messages,
        "unseen": folder.unseen,
        "bytes": folder.octets,
    }
