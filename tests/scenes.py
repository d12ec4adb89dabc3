"""Stores with Outcomes for the pages: every state, hostile texts, and many endpoints."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exporter.domains.dane import DaneFacts
from exporter.domains.policies import MtaSts, Policies
from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.domain import Change, Exchange, Mode, Policy, Tlsa
from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Folder, Line, Observed, Outcome, Phase, Quota, Target
from exporter.model.reason import Reason
from exporter.model.settings import Account, IpFamily, Protocol, Role, SecretRef, Security
from exporter.monitor.mail_domains import MailDomains
from exporter.monitor.store import Past, Store
from exporter.probing.redact import redact
from exporter.probing.resolve import Resolver
from exporter.verdict.judge import judged
from tests.examples import ACCOUNT, target

HOSTILE = redact(
    "<script>alert(1)</script>\" onmouseover='x' <img src=x onerror=alert(2)> {{ 7 * 7 }} & \u202egpj.exe \x1b[31m\0"
    "\U0001f525\U0001f525"
)
"""The text of a hostile server as it is stored: the redaction has escaped invisible characters."""

_STEPS = {
    Phase.RESOLVE: 0.002,
    Phase.CONNECT: 0.012,
    Phase.TLS: 0.025,
    Phase.GREETING: 0.014,
    Phase.CAPABILITY: 0.012,
    Phase.LOGIN: 0.11,
    Phase.FOLDERS: 0.03,
    Phase.LOGOUT: 0.012,
}
_CAPABILITY = (
    Line(0.053, "S", "* OK Gimap ready for requests from 192.0.2.7 x8mb9314711wmq"),
    Line(0.054, "C", "1 CAPABILITY"),
    Line(0.066, "S", "* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN AUTH=PLAIN SASL-IR"),
    Line(0.066, "S", "1 OK Thats all she wrote! x8mb9314711wmq"),
)
_LOGIN = (Line(0.067, "C", "2 AUTHENTICATE PLAIN [redacted]"), Line(0.177, "S", "2 OK probe@gmail.com authenticated"))
_LOGOUT = (Line(0.21, "C", "3 LOGOUT"), Line(0.22, "S", "* BYE LOGOUT Requested"), Line(0.221, "S", "3 OK Goodbye"))
_DETAILS = {
    Reason.REFUSED: "Connection refused",
    Reason.TIMEOUT: "no answer within 10 s",
    Reason.DISABLED_FOR_ACCOUNT: "[ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings "
    "page and enable your account for IMAP access. (Failure)",
    Reason.AUTH_INVALID_CREDENTIALS: "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    Reason.FOLDER_HIDDEN: "trash",
    Reason.CERTIFICATE_EXPIRED: "certificate verify failed: certificate has expired (_ssl.c:1016)",
    Reason.SERVER_BUSY: "421 4.7.0 Try again later, closing connection.",
}


@cache
def certificates(
    now: float, days: float = 57.0, subject: str = "CN=imap.gmail.com", *, trusted: bool = True
) -> TlsFacts:
    """A chain of three certificates; the server's own expires in so many days."""
    day, middle = 86400.0, "CN=WR2,O=Google Trust Services,C=US"
    root = "CN=GTS Root R1,O=Google Trust Services LLC"
    chain = tuple(
        Certificate(owner, issuer, names, now - age * day, now + rest * day, f"{number}{'e1' * 31}f", "5e1a")
        for number, (owner, issuer, names, age, rest) in enumerate(
            [
                (subject, middle, ("imap.gmail.com", "imap.googlemail.com"), 27.0, days),
                (middle, root, (), 700.0, 1100.0),
                (root, "CN=GlobalSign Root CA,O=GlobalSign", (), 1900.0, 900.0),
            ]
        )
    )
    leaf = chain[0]
    return TlsFacts(
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
        leaf.issuer,
        leaf.fingerprint_sha256,
        leaf.not_after,
        now + min(days, 900.0) * day,
        chain=chain,
        verified_not_after=now + min(days, 900.0) * day if trusted else None,
        public_root=True,
    )


class Scene:
    """A store, and the Outcomes of probes in it."""

    def __init__(self, seed: int = 7) -> None:
        self.now = self._at = time.time()
        self.store = Store(lambda: self._at)
        self.random = random.Random(seed)
        self.domains: MailDomains | None = None

    def configure(self, *targets: Target) -> None:
        """Configure these targets."""
        self.store.configure(targets)

    def outcome(
        self,
        probed: Target,
        at: float,
        *,
        failed: tuple[Phase, Reason] | None = None,
        detail: str | None = None,
        login: bool = False,
        **observed: Any,
    ) -> Outcome:
        """The Outcome of a probe that ended at `at`."""
        if failed:
            order = [phase for phase in _STEPS if list(Phase).index(phase) <= list(Phase).index(failed[0])]
        else:
            order = [phase for phase in _STEPS if login or phase not in (Phase.LOGIN, Phase.FOLDERS)]
        phases = {phase: _STEPS[phase] * self.random.lognormvariate(0, 0.35) for phase in order}
        if failed and failed[1] is Reason.TIMEOUT:
            phases[failed[0]] = probed.endpoint.timeout - sum(phases.values())
        reached = set(phases)
        attempted = Phase.LOGIN in reached and (not failed or failed[1] is not Reason.CREDENTIAL_UNAVAILABLE)
        answered = Phase.GREETING in reached and not (failed and failed[0] in (Phase.GREETING, Phase.TLS))
        facts: dict[str, Any] = {
            "address": None if failed and failed[0] is Phase.RESOLVE else "142.250.27.108",
            "ip_version": 4,
            "tcp_rtt": 0.0119 if Phase.TLS in reached else None,
            "tls": certificates(self.now) if Phase.TLS in reached else None,
            "capabilities": ("IMAP4REV1", "UNSELECT", "IDLE", "NAMESPACE", "QUOTA", "ID", "AUTH=PLAIN", "AUTH=XOAUTH2")
            if answered
            else (),
            "login_capabilities": ("IMAP4REV1", "MOVE", "CONDSTORE", "ESEARCH", "UTF8=ACCEPT") if login else (),
            "folders": (Folder(Role.INBOX, True, 1284, 12), Folder(Role.SENT, True, 311, 0), Folder(Role.TRASH, False))
            if login and not failed
            else (),
            "quota": Quota(11_811_160_064, 16_106_127_360) if login and not failed else None,
            "login_attempted": attempted,
            **observed,
        }
        dialogue = (*(_CAPABILITY if answered else ()), *(_LOGIN if attempted and not failed else ()))
        if failed and answered:
            dialogue = (*dialogue, Line(sum(phases.values()), "S", detail or _DETAILS.get(failed[1], "")))
        outcome = Outcome(
            target=probed,
            started_at=at - sum(phases.values()),
            ended_at=at,
            phases=MappingProxyType(phases),
            phase=failed[0] if failed else Phase.LOGOUT,
            reason=failed[1] if failed else Reason.OK,
            detail=(_DETAILS.get(failed[1], "the server's text") if detail is None else detail) if failed else "",
            observed=Observed(**facts),
            dialogue=dialogue if failed else (*dialogue, *_LOGOUT) if answered else (),
        )
        return judged(outcome)

    def add(
        self, outcome: Outcome, held: Denial | None = None, next_login: float = 540.0, *, login_interval: float = 900.0
    ) -> None:
        """Add an Outcome as the last one; `login_interval` is that of the plan."""
        if outcome.target.endpoint.account:
            next_at = math.inf if held is Denial.HOLD else self.now + next_login
            outcome = replace(outcome, login=LoginStatus(held, next_at, 34, None, 200, None, login_interval))
        self._at = outcome.ended_at
        self.store[outcome.target.key].add(outcome)
        self._at = self.now

    def add_history(self, probed: Target, count: int = 99, timeouts: tuple[int, ...] = (), until: float = 31.0) -> None:
        """Add `count` probes: successes, some of them with a login, and timeouts at these numbers."""
        for number in range(count):
            at = self.now - until - 30.0 * (count - number - 1)
            failed = (Phase.CONNECT, Reason.TIMEOUT) if number in timeouts else None
            login = probed.endpoint.account is not None and number % 30 == 0 and not failed
            self.add(self.outcome(probed, at, failed=failed, login=login))


LONG = 600.0
"""Seconds between two probes, so that nothing is overdue before a slow test is done."""


def every_state(interval: float = LONG) -> Scene:
    """Five endpoints: up, up with a failing login, down, overdue, not probed yet."""
    scene = Scene()
    up = target("imap", account=ACCOUNT, labels={"tenant": "acme"}, interval=interval)
    login = target("imap-legacy", account=_other_account(), host="imap.gmail.com", interval=interval)
    smtp: dict[str, Any] = {"protocol": Protocol.SMTP, "host": "smtp.gmail.com", "interval": interval}
    down = target("submission", port=587, security=Security.STARTTLS, **smtp)
    overdue = target("pop3", protocol=Protocol.POP3, host="pop.gmail.com", port=995, account=ACCOUNT, interval=interval)
    pending = target("smtps", port=465, **smtp)
    scene.configure(up, login, down, overdue, pending)
    scene.add_history(up, timeouts=(41, 42))
    scene.add(scene.outcome(up, scene.now - 4, login=True))
    scene.add_history(login, timeouts=(12,))
    refused = (Phase.LOGIN, Reason.DISABLED_FOR_ACCOUNT)
    scene.add(scene.outcome(login, scene.now - 65, failed=refused), Denial.HOLD)
    scene.add(scene.outcome(login, scene.now - 5), Denial.HOLD)
    scene.add_history(down, count=80)
    for number in range(6):
        scene.add(scene.outcome(down, scene.now - 9 - 30 * (5 - number), failed=(Phase.CONNECT, Reason.REFUSED)))
    scene.add_history(overdue, count=40, until=2 * interval + 60)
    return scene


def mail_domain() -> Scene:
    """A domain with five exchanges: one is down, one has a certificate for another name; its policy is in testing."""
    scene = Scene()
    hosts = ["gmail-smtp-in", *(f"alt{number}.gmail-smtp-in" for number in range(1, 5))]
    exchanges = tuple(Exchange(5 + 5 * number, f"{host}.l.google.com") for number, host in enumerate(hosts))
    mx: dict[str, Any] = {"protocol": Protocol.SMTP, "port": 25, "security": Security.STARTTLS, "interval": LONG}
    endpoint = target("mx", host="", domain="example.com", labels={"tenant": "acme"}, **mx).endpoint
    scene.domains = MailDomains(Resolver(), scene.store, lambda: None)
    scene.domains.configure([endpoint])
    (domain,) = scene.domains
    domain.exchanges, domain.is_known = exchanges, True
    policy = Policy(Mode.TESTING, ("*.gmail-smtp-in.l.google.com",), 86400.0)
    facts = DaneFacts((Tlsa(3, 1, 1, b"x" * 32),), authenticated=True, is_known=True)
    domain.policies = Policies(
        MtaSts("20260101", policy, fetched_at=scene.now - 900),
        tls_rpt=True,
        dane={exchanges[1].host: facts},
        mx_authenticated=True,
    )
    domain.policies.tlsa_change = Change(scene.now - 7200, f"{exchanges[1].host}: 3 1 1 00… before; 3 1 1 78… now")
    targets = domain.targets
    scene.configure(*targets, target("imap", interval=LONG))
    domain.learn(targets[1], True, None)
    for number, each in enumerate(targets):
        scene.add_history(each, count=60, timeouts=(3, 30))
        if number == 3:
            scene.add(scene.outcome(each, scene.now - 3, failed=(Phase.CONNECT, Reason.TIMEOUT)))
        elif number == 2:
            fault: dict[str, Any] = {
                "tls_fault": Reason.CERTIFICATE_HOSTNAME_MISMATCH,
                "tls_fault_detail": "it is for mx.example.net",
            }
            scene.add(scene.domains.enforced(scene.outcome(each, scene.now - 3, **fault)))
        else:
            scene.add(scene.outcome(each, scene.now - 3))
    return scene


def every_failure() -> Scene:
    """A failure of every phase, an expiring certificate, both address families, and a server with hostile texts."""
    scene = Scene()
    kinds = [
        ("dns", Phase.RESOLVE, Reason.DNS_NOT_FOUND),
        ("connect", Phase.CONNECT, Reason.TIMEOUT),
        ("tls", Phase.TLS, Reason.CERTIFICATE_EXPIRED),
        ("greeting", Phase.GREETING, Reason.SERVER_BUSY),
        ("capability", Phase.CAPABILITY, Reason.PROTOCOL_VIOLATION),
        ("password", Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS),
        ("folder", Phase.FOLDERS, Reason.FOLDER_HIDDEN),
        ("hostile", Phase.GREETING, Reason.SERVER_REFUSED),
    ]
    with_login = (Phase.LOGIN, Phase.FOLDERS)
    targets = [
        target(name, account=ACCOUNT if phase in with_login else None, interval=LONG) for name, phase, _ in kinds
    ]
    families = (IpFamily.IPV4, IpFamily.IPV6)
    both = [target("both", family, protocol=Protocol.SMTP, port=25, interval=LONG) for family in families]
    both = [Target(replace(each.endpoint, ip_family=IpFamily.BOTH), each.ip_family) for each in both]
    soon = target("soon", interval=LONG)
    scene.configure(*targets, *both, soon)
    for each, (name, phase, reason) in zip(targets, kinds, strict=True):
        scene.add_history(each, count=60, timeouts=(3, 30))
        detail = HOSTILE if name == "hostile" else None
        scene.add(scene.outcome(each, scene.now - 3, failed=(phase, reason), detail=detail))
    scene.add_history(both[0])
    scene.add(scene.outcome(both[1], scene.now - 2, failed=(Phase.CONNECT, Reason.ADDRESS_FAMILY_UNAVAILABLE)))
    scene.add_history(soon, until=3)
    last = scene.store[soon.key].last
    assert last is not None
    scene.add(replace(last, observed=replace(last.observed, tls=certificates(scene.now, 5))))
    return scene


def many(count: int = 1000, down: int = 0, login: int = 0) -> Scene:
    """Many endpoints on ten hosts, some of them down for one reason, some with a failing login."""
    scene = Scene()
    targets = [
        target(
            f"imap-{number:04}",
            protocol=list(Protocol)[number % 3],
            host=f"mail{number % 10}.example.com",
            interval=LONG,
            account=ACCOUNT if down <= number < down + login else None,
        )
        for number in range(count)
    ]
    scene.configure(*targets)
    for number, each in enumerate(targets):
        scene.add_history(each, until=number % 30)
        if number < down:
            scene.add(scene.outcome(each, scene.now - number % 20, failed=(Phase.CONNECT, Reason.REFUSED)))
        elif number < down + login:
            refused = (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
            scene.add(scene.outcome(each, scene.now - number % 20, failed=refused), Denial.HOLD)
    return scene


def long_names() -> Scene:
    """Two endpoints that fail, with the longest names there are, in letters of several directions."""
    scene, host = Scene(), ".".join(["a" * 60] * 3 + ["example", "com"])
    labels = {"tenant": "<script>alert(1)</script>", "customer": "مرحبا 5", "emoji": "🔥📮" * 20, "x" * 100: "y" * 200}
    named = target("x" * 63, host=host, interval=LONG, account=ACCOUNT, labels=labels)
    addressed = target("a.b-c_.", host="2001:db8:1111:2222:3333:4444:5555:6666", port=65535, interval=LONG)
    scene.configure(named, addressed)
    refused = scene.outcome(named, scene.now, failed=(Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS), detail="x" * 300)
    scene.add(refused, Denial.HOLD)
    scene.add(scene.outcome(addressed, scene.now, failed=(Phase.GREETING, Reason.SERVER_BUSY), detail="A" * 900))
    return scene


def restored(count: int = 2) -> Scene:
    """Endpoints after a restart, before their first probe: what an earlier process knew of them."""
    scene, before = Scene(), many(count, down=1)
    scene.configure(*(series.target for series in before.store))
    for series in before.store:
        condition, since = series.condition, series.since
        assert condition
        assert since
        known = Past(condition, since, series.history.records(), series.kept_failures, is_recent=True)
        scene.store[series.target.key].restore(known)
    return scene


def _other_account() -> Account:
    return Account(name="legacy", username="legacy@gmail.com", app_password=SecretRef(file=Path("/run/secrets/legacy")))
