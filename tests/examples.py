"""Values that many tests use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from exporter.exposition.cache import Exposition
from exporter.exposition.text import Format, Samples
from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.outcome import Observed, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Account, Endpoint, IpFamily, Protocol, SecretRef
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.store import Series, Store
from exporter.verdict.judge import judged

SENTINEL = "s3ntinel-hunter2"
"""A secret that must appear nowhere."""

ACCOUNT = Account(name="ops", username="probe@gmail.com", app_password=SecretRef(file=Path("/run/secrets/ops")))

FACTS = TlsFacts(
    version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    issuer="CN=WR2,O=Google Trust Services,C=US",
    fingerprint_sha256="ab" * 32,
    not_after=1_800_000_000.0,
    chain_not_after=1_790_000_000.0,
)

UNREAD = TlsFacts(
    "TLSv1.3",
    "TLS_AES_256_GCM_SHA384",
    "",
    "cd" * 32,
    None,
    None,
    chain=(Certificate("", "", (), None, None, "cd" * 32), Certificate("CN=a", "CN=b", (), None, 1.9e9, "ef" * 32)),
)
"""Of certificates that only OpenSSL can read, in whole and in part."""

UP_TO_CAPABILITY: Mapping[Phase, float] = MappingProxyType(
    {
        Phase.RESOLVE: 0.001,
        Phase.CONNECT: 0.01,
        Phase.TLS: 0.02,
        Phase.GREETING: 0.03,
        Phase.CAPABILITY: 0.01,
    }
)


def target(name: str = "imap", ip_family: IpFamily = IpFamily.ANY, **changes: Any) -> Target:
    """A target on Gmail's IMAP, with these changes."""
    values: dict[str, Any] = {"protocol": Protocol.IMAP, "host": "imap.gmail.com", "port": 993, **changes}
    return Target(Endpoint(name=name, ip_family=ip_family, **values), ip_family)


def success(probed: Target | None = None, *, login: bool = False, **changes: Any) -> Outcome:
    """A successful probe, with a login or without."""
    phases = dict(UP_TO_CAPABILITY)
    if login:
        phases |= {Phase.LOGIN: 0.1, Phase.FOLDERS: 0.05}
    phases[Phase.LOGOUT] = 0.01
    outcome = Outcome(
        target=probed or target(),
        started_at=1_700_000_000.0,
        ended_at=1_700_000_000.25,
        phases=MappingProxyType(phases),
        phase=Phase.LOGOUT,
        reason=Reason.OK,
        observed=Observed(login_attempted=login),
    )
    return replace(outcome, **changes)


def failure(probed: Target | None = None, phase: Phase = Phase.CONNECT, reason: Reason = Reason.REFUSED) -> Outcome:
    """A probe that failed in `phase`, judged without evidence."""
    order = list(Phase)
    reached = order[: order.index(phase) + 1]
    phases = {p: 0.01 for p in reached if p is not Phase.STARTTLS or phase is Phase.STARTTLS}
    attempted = phase in (Phase.LOGIN, Phase.FOLDERS) and reason is not Reason.CREDENTIAL_UNAVAILABLE
    outcome = Outcome(
        target=probed or target(),
        started_at=1_700_000_000.0,
        ended_at=1_700_000_000.1,
        phases=MappingProxyType(phases),
        phase=phase,
        reason=reason,
        detail="what the server said",
        observed=Observed(login_attempted=attempted),
    )
    return judged(outcome)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Set it forward."""
        self.now += seconds


def budgeted(
    outcome: Outcome,
    held_by: Denial | None = None,
    next_login_at: float = math.inf,
    denied: Denial | None = None,
    cause: Cause | None = None,
) -> Outcome:
    """The Outcome with this login status."""
    return replace(outcome, login=LoginStatus(held_by, next_login_at, denied=denied, cause=cause))


def exposition_of(*all_series: Series) -> Exposition:
    """An exposition of a store with these series."""
    store = Store()
    store._series = {series.target.key: series for series in all_series}
    return Exposition(store, ExporterMetrics())


def scraped(exposition: Exposition, fmt: Format = Format.TEXT) -> bytes:
    """The body of a scrape."""
    return b"".join(exposition.pieces(fmt))


class Single(NamedTuple):
    """One sample: the name of its family, the suffix of its own name, its labels beside the base labels, its value."""

    family: str
    suffix: str
    labels: Mapping[str, str]
    value: float


def singles(found: Iterable[Samples]) -> Iterator[Single]:
    """Each sample by itself."""
    for form, values in found:
        for (suffix, labels), value in zip(form.rows, values, strict=True):
            yield Single(form.family.metric.name, suffix, labels, value)
