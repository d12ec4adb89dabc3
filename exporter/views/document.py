"""Outcomes as JSON: stable, documented in docs/json.md. What was not seen is null, or an empty list."""

from __future__ import annotations

import math
from typing import Any

from exporter.accounts.budget import Standing
from exporter.model.outcome import Certificate, Folder, Outcome, TlsFacts


def outcome_to_json(outcome: Outcome, standing: Standing | None = None, *, dialogue: bool = False) -> dict[str, Any]:
    """Return an outcome as JSON values, with where the target stands with its login budget.

    Times are Unix seconds, durations seconds. Without `dialogue`, what was said is left out.
    """
    target, observed = outcome.target, outcome.observed
    endpoint = target.endpoint
    return {
        "endpoint": endpoint.name,
        "protocol": endpoint.protocol.value,
        "host": endpoint.host,
        "port": endpoint.port,
        "ip_family": target.ip_family.value,
        "account": endpoint.account.name if endpoint.account else None,
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at,
        "duration_seconds": outcome.duration,
        "up": outcome.up,
        "ok": outcome.ok,
        "phase": outcome.phase.value,
        "reason": outcome.reason.value,
        "blame": None if outcome.ok else outcome.blame.value,
        "retry": outcome.reason.retry.value,
        "remedy": None if outcome.ok else outcome.reason.remedy,
        "detail": outcome.detail,
        "phases": {phase.value: seconds for phase, seconds in outcome.phases.items()},
        "checks": {check.value: passed for check, passed in outcome.checks.items()},
        "address": observed.address,
        "ip_version": observed.ip_version,
        "ip_fallback": observed.ip_fallback,
        "tcp_rtt_seconds": observed.tcp_rtt,
        "tls": _tls(observed.tls) if observed.tls else None,
        "capabilities": list(observed.capabilities),
        "login_capabilities": list(observed.login_capabilities),
        "folders": [_folder(folder) for folder in observed.folders],
        "quota": {"used_bytes": observed.quota.used, "limit_bytes": observed.quota.limit} if observed.quota else None,
        "login_attempted": observed.login_attempted,
        "login_held_by": standing.held_by.value if standing and standing.held_by else None,
        "next_login_at": standing.next_login_at if standing and math.isfinite(standing.next_login_at) else None,
        "throttled": observed.throttled,
        "logout": None if observed.logout is None else observed.logout.value,
        "dialogue": list(map(str, outcome.dialogue)) if dialogue else None,
    }


def _tls(facts: TlsFacts) -> dict[str, Any]:
    return {
        "version": facts.version,
        "cipher": facts.cipher,
        "issuer": facts.issuer,
        "fingerprint_sha256": facts.fingerprint_sha256,
        "certificate_expires_at": facts.not_after,
        "chain_expires_at": facts.chain_not_after,
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
