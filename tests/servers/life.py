"""A scripted quarter of an hour in the life of two exporters, as their own code exposes it, for a real Prometheus.

Outcomes go through `Store`, `Exposition` and `ExporterMetrics` as in the daemon, every 15 seconds of a made-up time;
`Past` is a Prometheus whose database holds all of that before it starts. So queries run on 15 minutes of history, with
outages, slow answers and refused logins in it, a second or two after the test began.

What Prometheus itself would add to it is here by hand: `up` and the like, and alerts.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import yaml

from exporter.accounts.access import Access
from exporter.accounts.tokens import AccessToken
from exporter.domains.dane import DaneFacts
from exporter.domains.policies import MtaSts, Policies
from exporter.exposition.cache import Exposition
from exporter.exposition.gmail import evidence_samples
from exporter.exposition.text import Format
from exporter.model.certificate import TlsFacts
from exporter.model.domain import Exchange, Mode, Policy, Tlsa
from exporter.model.evidence import Incident, ProviderStatus
from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.outcome import Folder, Observed, Outcome, Phase, Quota, Target
from exporter.model.reason import Reason
from exporter.model.settings import Account, Config, IpFamily, OAuth2, Protocol, Role, SecretRef, Security
from exporter.model.verdict import Verdict
from exporter.monitor.delivery_series import DeliverySeries
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from tests.deliveries.results import DELIVERY, delivered, missing
from tests.examples import ACCOUNT, SENTINEL, UP_TO_CAPABILITY, failure, success, target
from tests.servers.prometheus import Prometheus

if TYPE_CHECKING:
    from pathlib import Path

START = 1_750_002_360.0
"""When it begins, in Unix seconds: a full hour is in it, so that subqueries by the hour find something."""

STEP = 15.0
"""Seconds between two scrapes."""

SCRAPES = 61
END = START + (SCRAPES - 1) * STEP
"""The time of the last scrape, a quarter of an hour later: what is true then is what is true now."""

JOB = "gmail"
INSTANCES = ("london:9993", "tokyo:9993")

_REFERENCE = SecretRef(env="X")
WORKSPACE = Account(
    name="workspace",
    username="probe@example.com",
    oauth2=OAuth2(client_id="1.apps", client_secret=_REFERENCE, refresh_token=_REFERENCE),
)

DOMAIN = target(
    "domain",
    protocol=Protocol.SMTP,
    domain="example.com",
    host="",
    port=25,
    security=Security.STARTTLS,
    labels={"tenant": "example"},
    expect=("mx1.example.com", "mx2.example.com"),
).endpoint
EXCHANGES = (Exchange(10, "mx1.example.com"), Exchange(20, "mx2.example.com"))

TARGETS: Sequence[Target] = (
    target("imap", account=ACCOUNT, folders=(Role.INBOX, Role.SENT)),
    target("pop3", protocol=Protocol.POP3, host="pop.gmail.com", port=995, account=ACCOUNT),
    target("smtps", protocol=Protocol.SMTP, host="smtp.gmail.com", port=465),
    target("submission", protocol=Protocol.SMTP, host="smtp.gmail.com", port=587, security=Security.STARTTLS),
    target("workspace", account=WORKSPACE, folders=(Role.INBOX, Role.TRASH), labels={"tenant": "example"}),
    target("second", account=WORKSPACE, folders=(Role.INBOX,)),
    *(
        target("mx", family, protocol=Protocol.SMTP, host="gmail-smtp-in.l.google.com", port=25)
        for family in (IpFamily.IPV4, IpFamily.IPV6)
    ),
    *(Target(DOMAIN.at(exchange.host), IpFamily.ANY) for exchange in EXCHANGES),
)

LOGIN_EVERY = 2.0
"""Minutes between two logins."""


class Act(NamedTuple):
    """Something that goes wrong, from one minute to another."""

    since: float
    until: float
    phase: Phase
    reason: Reason
    endpoints: frozenset[str]
    instances: tuple[str, ...] = INSTANCES
    family: IpFamily | None = None
    """None: whatever the family."""
    verdict: Verdict | None = None
    """What the evidence shows, which is not in the script; None: what the failure shows by itself."""
    host: str = ""
    """Empty: whatever the host."""

    def hits(self, of: Target, instance: str, minute: float) -> bool:
        """Whether it goes wrong for this target at this minute."""
        named = of.endpoint.name in self.endpoints and self.host in ("", of.endpoint.host)
        return (
            named
            and instance in self.instances
            and self.since <= minute < self.until
            and self.family in (None, of.ip_family)
        )


_EVERYTHING = frozenset(each.endpoint.name for each in TARGETS)

ACTS: Sequence[Act] = (
    *(
        Act(at, at + 0.5, Phase.CONNECT, Reason.TIMEOUT, frozenset({"smtps"}), ("london:9993",))
        for at in (0.5, 1.5, 2.5)
    ),
    Act(3, 5, Phase.CONNECT, Reason.REFUSED, frozenset({"imap"})),
    Act(5, 6, Phase.CONNECT, Reason.UNREACHABLE, _EVERYTHING, ("tokyo:9993",), verdict=Verdict.NETWORK_DOWN),
    Act(2, 3, Phase.RESOLVE, Reason.DNS_ERROR, frozenset({"workspace"}), verdict=Verdict.RESOLVER_FAILING),
    Act(2, 3, Phase.CONNECT, Reason.TIMEOUT, frozenset({"second"}), verdict=Verdict.PORT_BLOCKED),
    Act(10, 11.5, Phase.GREETING, Reason.SERVER_BUSY, frozenset({"smtps"})),
    # What follows lasts: it is what fails at the end.
    Act(8, 16, Phase.LOGIN, Reason.OAUTH_GRANT_REVOKED, frozenset({"second"})),
    Act(9, 16, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS, frozenset({"imap"})),
    Act(4, 16, Phase.FOLDERS, Reason.FOLDER_HIDDEN, frozenset({"workspace"})),
    Act(12, 16, Phase.TLS, Reason.CERTIFICATE_EXPIRED, frozenset({"pop3"}), ("london:9993",)),
    Act(13, 16, Phase.CAPABILITY, Reason.TIMEOUT, frozenset({"submission"})),
    Act(1, 16, Phase.CONNECT, Reason.ADDRESS_FAMILY_UNAVAILABLE, frozenset({"mx"}), ("tokyo:9993",), IpFamily.IPV6),
    Act(13, 16, Phase.CONNECT, Reason.TIMEOUT, frozenset({"mx"}), ("london:9993",), IpFamily.IPV4),
    Act(12, 16, Phase.GREETING, Reason.SERVER_BUSY, frozenset({"domain"}), host="mx2.example.com"),
)
MOVED = 6.0
"""The minute at which the domain changes its records: the second exchange was another one before."""

SLOW = (7.0, 9.0)
"""Minutes between which every answer of a server takes eight times as long."""

SILENT = (6.0, 7.5)
"""Minutes between which Tokyo's exporter does not answer Prometheus."""

STALLED, STALLED_SINCE = ("tokyo:9993", "pop3"), 9.0
"""What is not probed any more, and from which minute on."""

RELOADED, RELOAD_REFUSED, RELOADED_AGAIN = 4.0, 10.0, 12.0
"""Minutes at which the configuration is read again."""

UPDATED = {"london:9993": 14.0, "tokyo:9993": math.inf}
"""The minute at which an exporter older than 0.2.0, which exposes the blame `provider` as `google`, is updated."""

_LOGIN_PHASES = (Phase.LOGIN, Phase.FOLDERS)


@dataclass
class Instance:
    """One exporter, wired as in the daemon, with the script in the place of the network."""

    name: str
    store: Store = field(default_factory=Store)
    metrics: ExporterMetrics = field(default_factory=ExporterMetrics)
    access: Access = field(default_factory=lambda: Access(WORKSPACE, {}))

    def __post_init__(self) -> None:
        self._random = random.Random(self.name)
        accesses = [self.access, Access(ACCOUNT, {})]
        incident = Incident("1", "high", "outage", "outage", START, "", "https://status.example.com/1")
        status = ProviderStatus("google", (incident,), START)
        self.delivery = DeliverySeries(DELIVERY, 120.0)
        domains = MailDomains(Resolver(), self.store, lambda: None)
        domains.configure([DOMAIN])
        (self.domain,) = domains
        self._now = START
        _set_up(self.domain, lambda: self._now)
        self._exposition = Exposition(
            self.store,
            self.metrics,
            lambda: accesses,
            lambda: evidence_samples((), status),
            domains,
            [self.delivery],
        )
        self.store.configure(TARGETS)
        self.metrics.loaded(_config("1"), START)

    def live(self, minute: float) -> None:
        """Let that happen which happens at this minute: a probe of every target twice a minute, and the rest."""
        self._look_up(minute)
        if (minute * 2) % 1 == 0:
            for each in TARGETS:
                if (self.name, each.endpoint.name) != STALLED or minute < STALLED_SINCE:
                    self._probe(each, minute)
        if minute % 2 == 0:
            # A message every other minute; those from the eighth to the tenth are missing.
            made = missing if 8 <= minute <= 10 else delivered
            self.delivery.add(made(ended_at=START + 60 * minute))
        if minute == 0:
            self._refresh(Reason.OK)
        if minute in (8, 10):
            self._refresh(Reason.OAUTH_GRANT_REVOKED)
        if minute in (RELOADED, RELOADED_AGAIN):
            self.metrics.loaded(_config(f"{minute:02.0f}"), START + minute * 60)
        if minute == RELOAD_REFUSED:
            self.metrics.load_failed()
        slow = SLOW[0] <= minute < SLOW[1]
        self.metrics.schedule_lag.observe(0.3 if slow else 0.002)
        self.metrics.event_loop_lag.observe(0.03 if slow else 0.001)
        if slow:
            self.metrics.probes_missed.inc()

    def lines(self) -> list[str]:
        """What a scrape returns, without comments."""
        body = b"".join(self._exposition.pieces(Format.OPENMETRICS)).decode()
        return [line for line in body.splitlines() if not line.startswith("#")]

    def _refresh(self, result: Reason) -> None:
        self.access.refreshes[result] += 1
        self.access.refresh_seconds = 0.2
        if result is Reason.OK:
            self.access.token = AccessToken(SENTINEL, START + 3600)

    def _look_up(self, minute: float) -> None:
        self._now = START + 60 * minute
        if minute == MOVED:
            self.domain.changed([EXCHANGES[0], Exchange(20, "old.example.com")])
        self.domain.version += 1

    def _probe(self, of: Target, minute: float) -> None:
        due = of.endpoint.account is not None and minute % LOGIN_EVERY == 0
        act = next((act for act in ACTS if act.hits(of, self.name, minute)), None)
        held = act is not None and act.phase is Phase.LOGIN and minute > math.ceil(act.since / 2) * 2
        login = due and not held
        status = None
        if of.endpoint.account:
            blocked = Denial.HOLD if held else None
            next_login = math.inf if held else START + (minute // LOGIN_EVERY + 1) * LOGIN_EVERY * 60
            denied = None if login else blocked or Denial.INTERVAL
            cause = Cause(of.endpoint.name, act.reason) if act and held else None
            status = LoginStatus(blocked, next_login, denied=denied, cause=cause, interval=LOGIN_EVERY * 60)
        if act is not None and act.phase in _LOGIN_PHASES and not login:
            act = None
        self.store[of.key].add(replace(self._outcome(of, minute, act, login=login), login=status))

    def _outcome(self, of: Target, minute: float, act: Act | None, *, login: bool) -> Outcome:
        outcome = failure(of, act.phase, act.reason) if act else success(of, login=login)
        if act and act.verdict and outcome.judgement:
            judgement = replace(outcome.judgement, verdict=act.verdict, blame=act.verdict.blame)
            outcome = replace(outcome, judgement=judgement)
        answers = set(Phase) - {Phase.RESOLVE, Phase.CONNECT, Phase.TLS}
        slow = 8 if SLOW[0] <= minute < SLOW[1] else 1
        phases = {
            phase: UP_TO_CAPABILITY.get(phase, seconds)
            * self._random.uniform(0.8, 1.3)
            * (slow if phase in answers else 1)
            for phase, seconds in outcome.phases.items()
        }
        if of.endpoint.security is Security.STARTTLS and Phase.CAPABILITY in phases:
            phases[Phase.STARTTLS] = 0.01
        at = START + minute * 60
        connected = Phase.TLS in phases
        observed = Observed(
            ip_version=6 if of.ip_family is IpFamily.IPV6 else 4,
            connect_lost=3.3 if of.endpoint.name == "smtps" else 0.0,
            addresses=2 if of.endpoint.name == "smtps" else None,
            addresses_up=1 if of.endpoint.name == "smtps" else None,
            ip_fallback=of.endpoint.name == "smtps" if of.ip_family is IpFamily.ANY else None,
            tcp_rtt=0.008 if connected else None,
            retransmits=2 if slow > 1 else 0,
            tls=_facts(of, expired=act is not None and act.reason is Reason.CERTIFICATE_EXPIRED) if connected else None,
            folders=_folders(of, hidden=act is not None) if Phase.FOLDERS in phases else (),
            quota=Quota(used=14 << 30, limit=15 << 30) if Phase.FOLDERS in phases and of.endpoint.folders else None,
            login_attempted=login and Phase.LOGIN in phases and (act is None or act.reason is not _NO_TOKEN),
        )
        return replace(
            outcome,
            started_at=at,
            ended_at=at + sum(phases.values()),
            phases=MappingProxyType(phases),
            observed=observed,
        )


_NO_TOKEN = Reason.OAUTH_GRANT_REVOKED


def _set_up(domain: MailDomain, clock: Callable[[], float]) -> None:
    """Let the domain be known, with a policy that its second exchange does not meet."""
    policy = Policy(Mode.TESTING, ("mx1.example.com",), 86400.0)
    facts = DaneFacts((Tlsa(3, 1, 1, b"x" * 32),), authenticated=True, is_known=True)
    domain.policies = Policies(
        MtaSts(policy_id="1", policy=policy, fetched_at=START),
        tls_rpt=False,
        dane={"mx1.example.com": facts},
        mx_authenticated=True,
    )
    domain.exchanges, domain.is_known, domain.clock = EXCHANGES, True, clock
    domain.learn(Target(DOMAIN.at("mx1.example.com"), IpFamily.ANY), True, None)


def _config(digit: str) -> Config:
    return Config(accounts={}, endpoints={}, source="gmail.yml", digest=(digit * 64)[:64])


def _facts(of: Target, *, expired: bool) -> TlsFacts:
    return TlsFacts(
        version="TLSv1.2" if of.endpoint.port == 25 else "TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        issuer='CN=WR2,O="Google Trust {Services}",C=US',
        fingerprint_sha256="ab" * 32,
        not_after=END - 3600 if expired else START + 60 * 86400,
        chain_not_after=END - 3600 if expired else START + 50 * 86400,
        public_root=of.endpoint.name != "second",
    )


def _folders(of: Target, *, hidden: bool) -> tuple[Folder, ...]:
    if of.endpoint.protocol is Protocol.POP3:
        return (Folder(Role.INBOX, visible=True, messages=12, octets=3_000_000),)
    return tuple(
        Folder(role, visible=not (hidden and role is Role.TRASH), messages=100, unseen=7)
        for role in of.endpoint.folders
    )


def life() -> Iterator[str]:
    """All samples, scrape after scrape, as OpenMetrics."""
    instances = [Instance(name) for name in INSTANCES]
    for scrape in range(SCRAPES):
        minute = scrape * STEP / 60
        for instance in instances:
            instance.live(minute)
            silent = instance.name == "tokyo:9993" and SILENT[0] <= minute < SILENT[1]
            scraped = [] if silent else instance.lines()
            if minute < UPDATED[instance.name]:
                scraped = [line.replace('blame="provider"', 'blame="google"') for line in scraped]
            by_prometheus = [
                f"up {0 if silent else 1}",
                "scrape_duration_seconds 0.012",
                f"scrape_samples_scraped {len(scraped)}",
            ]
            labels = f'job="{JOB}",instance="{instance.name}"'
            yield from _at(scrape, labels, [*scraped, *by_prometheus])
        yield from _at(scrape, "", _alerts(minute))
    yield "# EOF\n"


def _alerts(minute: float) -> Iterator[str]:
    """What Prometheus would write of alerts, as far as a dashboard shows them."""
    of = 'job="{job}",instance="{instance}",endpoint="{endpoint}",protocol="{protocol}",host="{host}"'
    imap = of.format(job=JOB, instance=INSTANCES[0], endpoint="imap", protocol="imap", host="imap.gmail.com")
    submission = of.format(
        job=JOB, instance=INSTANCES[0], endpoint="submission", protocol="smtp", host="smtp.gmail.com"
    )
    if 4 <= minute < 5:
        yield f'ALERTS{{alertname="GmailEndpointDown",alertstate="firing",severity="critical",{imap}}} 1'
    if minute >= 9:
        yield f'ALERTS{{alertname="GmailLoginFailing",alertstate="firing",severity="warning",{imap}}} 1'
    if minute >= 13:
        yield f'ALERTS{{alertname="GmailEndpointDown",alertstate="pending",severity="critical",{submission}}} 1'
        yield 'ALERTS{alertname="GmailDownEverywhere",alertstate="firing",severity="critical",endpoint="submission"} 1'


def _at(scrape: int, labels: str, lines: Iterable[str]) -> Iterator[str]:
    """The same lines with a target's labels and a time."""
    time = f"{START + scrape * STEP:.3f}"
    for line in lines:
        series, _, value = line.rpartition(" ")
        name, brace, rest = series.partition("{")
        separator = "," if labels and brace else ""
        inside = f"{labels}{separator}{rest.removesuffix('}')}"
        yield f"{name}{{{inside}}} {value} {time}\n"


class Past(Prometheus):
    """A Prometheus that has seen that life. Query it at `END`, or over the range from `START`."""

    def __init__(self) -> None:
        # Backfilled samples carry no staleness marks: a series that a scrape did not return has ended.
        super().__init__([], arguments=[f"--query.lookback-delta={STEP + 4:.0f}s"])
        exposition = self.directory / "life.txt"
        with exposition.open("w", encoding="utf-8") as file:
            file.writelines(life())
        self.backfill(exposition)

    def record(self, rule_files: Iterable[Path]) -> None:
        """Add what the recording rules in these files would have recorded meanwhile, one by one at every scrape.

        It must run, and is restarted: promtool evaluates the rules on what is there, and writes blocks; what builds on
        other recorded series comes with the next round.

        Raises:
            ServerError: promtool refused the rules; with its words.
        """
        recording = [
            rule
            for path in rule_files
            for group in yaml.safe_load(path.read_text("utf-8")).get("groups", ())
            for rule in group["rules"]
            if "record" in rule
        ]
        rules = self.directory / "recording.yml"
        names: set[str] = set()
        while recording:
            rules.write_text(json.dumps({"groups": [{"name": "all", "interval": f"{STEP:.0f}s", "rules": recording}]}))
            self.backfill_rules(rules, START, END)
            self.restart()
            if names == (names := self._recorded()):
                break
            recording = [rule for rule in recording if rule["record"] not in names]

    def _recorded(self) -> set[str]:
        """Return the names of the recorded series that are there."""
        found = self.get("/api/v1/label/__name__/values", start=repr(START), end=repr(END))
        return {str(name) for name in found if ":" in name}
