"""Tables and explanations at fixed widths."""

from __future__ import annotations

import io
import math
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from exporter.model.certificate import TlsFacts
from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.model.login import Denial
from exporter.model.outcome import Folder, Line, Observed, Outcome, Phase, Quota, Target
from exporter.model.reason import Blame, Reason
from exporter.model.release import NOWHERE, Way
from exporter.model.settings import Account, IpFamily, OAuth2, Role, SecretRef, Security
from exporter.model.verdict import Judgement, Verdict
from exporter.monitor.store import Series
from exporter.verdict.judge import judged
from exporter.views import terminal
from tests.examples import ACCOUNT, UNREAD, budgeted, failure, success, target

DAY = 86400.0
LEDGER = Path("/var/lib/gmail-exporter/ledger.db")


def shown(*renderables: RenderableType, width: int = 200) -> list[str]:
    """The lines on a screen of so many columns."""
    text = io.StringIO()
    console = Console(file=text, width=width, highlight=False, emoji=False)
    for each in renderables:
        console.print(each)
    return [line.rstrip() for line in text.getvalue().splitlines()]


NOW = time.time()
"""When this file was read; the tests of a long run come minutes later."""


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock at `NOW`."""
    monkeypatch.setattr("exporter.views.terminal.time.time", lambda: NOW)


def tls(days: float) -> TlsFacts:
    """A certificate that expires in so many days."""
    return TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", "CN=WR2", "ab" * 32, NOW + days * DAY, NOW + days * DAY)


def series(outcome: Outcome, held_by: Denial | None = None, after: float = 0.0, denied: Denial | None = None) -> Series:
    """A series with this one Outcome."""
    made = Series(outcome.target)
    made.add(budgeted(outcome, held_by, NOW + after, denied))
    return made


def healthy(name: str = "imap", *, login: bool = False, days: float = 63.1) -> Outcome:
    """A successful probe with a certificate."""
    observed = Observed(tls=tls(days), login_attempted=login)
    return success(target(name, account=ACCOUNT if login else None), login=login, observed=observed)


def test_wide_screen() -> None:
    """A wide screen has one table: the time of every phase, the TLS version, the expiry, the login."""
    refused = failure(target("mx", port=25, security=Security.STARTTLS))
    assert shown(terminal.overview([series(healthy(login=True)), series(refused)], 200)) == [
        "endpoint          resolve  connect   tls  greeting  capability  login  folders  logout     total  security"
        "  expires  login",
        "imap      ✔ up        1.0     10.0  20.0      30.0        10.0  100.0     50.0    10.0  231.0 ms  TLSv1.3"
        "   in 63 d  ok",
        "mx        ✘ down     10.0     10.0     -         -           -      -        -       -   20.0 ms  -"
        "         -        -",
    ]


def test_80_columns() -> None:
    """80 columns have one table for the states and one for the times."""
    starttls = failure(target("submission"), Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE)
    assert shown(terminal.overview([series(healthy(login=True)), series(starttls)], 80), width=80) == [
        "endpoint               total  security  expires  login",
        "imap        ✔ up    231.0 ms  TLSv1.3   in 63 d  ok",
        "submission  ✘ down   60.0 ms  -         -        -",
        "",
        "times in ms resolve connect  tls greet capab starttls login folders logout",
        "imap            1.0    10.0 20.0  30.0  10.0        - 100.0    50.0   10.0",
        "submission     10.0    10.0 10.0  10.0  10.0     10.0     -       -      -",
    ]


def test_no_account() -> None:
    """Without an account there is no column for the login."""
    head, row = shown(terminal.overview([series(healthy())], 120))
    assert "login" not in head
    assert row.endswith("TLSv1.3   in 63 d")


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_long_names(width: int) -> None:
    """No line is wider than the screen: long names are shortened, no cell is wrapped or loses a digit."""
    long = "an-endpoint-whose-name-is-as-long-as-a-name-may-be-which-is-a63"
    slow = replace(healthy(long, login=True), phases=dict.fromkeys(Phase, 9.9999))
    everything = [series(slow), series(healthy("imap", login=True)), series(healthy(long + "x"), Denial.BACKOFF, 1200)]
    lines = shown(terminal.overview(everything, width), width=10_000)
    assert max(map(len, lines)) <= width
    assert sum(line.count("9999.9") for line in lines) == len(Phase)
    assert len(lines) == (4 if width == 200 else 9)


def test_narrow_screen() -> None:
    """A very narrow screen has no times of the phases."""
    lines = shown(terminal.overview([series(healthy(login=True))], 58), width=58)
    assert lines == [
        "endpoint           total  security  expires  login",
        "imap      ✔ up  231.0 ms  TLSv1.3   in 63 d  ok",
    ]


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (63.1, "in 63 d"),
        (2.01, "in 2 d"),
        (1.99, "in 48 h"),
        (0.06, "in 86 min"),
        (0.001, "in 86 s"),
        (-3.2, "3 d ago"),
    ],
)
def test_expiry(days: float, text: str) -> None:
    """The time to or since the expiry is in one unit."""
    assert shown(terminal.overview([series(healthy(days=days))], 200))[1].endswith(text)


def test_unknown_expiry() -> None:
    """A certificate that only OpenSSL can read has no expiry that could be shown."""
    healthy_but_odd = success(observed=Observed(tls=UNREAD))
    assert shown(terminal.overview([series(healthy_but_odd)], 200))[1].split()[-2:] == ["TLSv1.3", "-"]


def test_both_families() -> None:
    """The rows of an endpoint with `ip_family: both` have the family in their names."""
    endpoint = replace(target().endpoint, ip_family=IpFamily.BOTH)
    both = [series(success(Target(endpoint, family))) for family in (IpFamily.IPV4, IpFamily.IPV6)]
    assert [line[:11] for line in shown(terminal.overview(both, 200))[1:]] == ["imap (ipv4)", "imap (ipv6)"]


WITH_LOGIN = target(account=ACCOUNT)


@pytest.mark.parametrize(
    ("probed", "text"),
    [
        (series(success()), "-"),
        (Series(WITH_LOGIN), "-"),
        (series(success(WITH_LOGIN, login=True)), "[green]ok[/]"),
        (series(failure(WITH_LOGIN, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS), Denial.HOLD), "[red]failed[/]"),
        (series(failure(WITH_LOGIN, Phase.FOLDERS, Reason.FOLDER_HIDDEN)), "[green]ok[/], [red]folders failed[/]"),
        (series(success(WITH_LOGIN), Denial.HOLD, math.inf), "[red]held[/]"),
        (series(success(WITH_LOGIN), Denial.STORAGE, math.inf), "[red]storage[/]"),
        (series(success(WITH_LOGIN), Denial.BACKOFF, 1790), "[red]backoff[/], due in 30 min"),
        (series(success(WITH_LOGIN), Denial.CEILING, 3 * 3600), "[red]ceiling[/], due in 3 h"),
        (series(success(WITH_LOGIN), None, 890, Denial.INTERVAL), "due in 15 min"),
        (series(success(WITH_LOGIN), None, -5, Denial.BUSY), "due in 0 s"),
        (series(failure(WITH_LOGIN)), "not reached"),
    ],
)
def test_login(probed: Series, text: str) -> None:
    """The result of the login, or why there was none."""
    assert terminal.login(probed) == text


def test_explanations() -> None:
    """A failure has target, reason, phase, fault, the server's text and the remedy, wrapped at the width."""
    failed = failure(target("imap", account=ACCOUNT), Phase.LOGIN, Reason.AUTH_APP_PASSWORD_REQUIRED)
    assert shown(*terminal.explanations([series(healthy()), series(failed)]), width=80) == [
        "",
        "! imap  imap.gmail.com:993",
        "  reason  auth_app_password_required in login",
        "  fault   account: the mailbox, its owner, its quota or its administrator",
        "  detail  what the server said",
        *textwrap.wrap(failed.remedy, 80, initial_indent="  remedy  ", subsequent_indent=" " * 10),
    ]


def test_evidence() -> None:
    """What TCP saw is a sentence of the explanation, with its numbers."""
    failed = failure(phase=Phase.GREETING, reason=Reason.TIMEOUT)
    seen = replace(failed, observed=replace(failed.observed, tcp=TcpEvidence(TcpFinding.SILENT, 0, 0, 1517, 4096)))
    lines = shown(*terminal.explanations([series(judged(seen))]), width=240)
    assert [line for line in lines if "evidence" in line] == [
        f"  evidence  {TcpFinding.SILENT.sentence} "
        "(0 segments not acknowledged, 0 sent again, 1,517 octets acknowledged, 4,096 octets received)"
    ]


def test_same_failure() -> None:
    """Targets with the same failure share one explanation; another detail is another failure."""
    down = [series(failure(target(name, host=f"{name}.gmail.com"))) for name in ("imap", "pop", "smtp")]
    other = series(replace(failure(target("other", host="::1")), detail="something else"))
    lines = shown(*terminal.explanations([*down, other]))
    assert [line for line in lines if line.startswith("✘")] == ["✘ imap, pop, smtp", "✘ other  [::1]:993"]


def test_markup_in_a_detail() -> None:
    """Markup and emoji codes in the text of a server are shown as they are."""
    text = "NO [ALERT] [bold]:warning: [/nothing] [link=https://example.com]"
    assert f"  detail    {text}" in shown(*terminal.explanations([series(replace(failure(), detail=text))]))


@pytest.mark.parametrize(("host", "party"), [("imap.gmail.com", "Google"), ("mail.example.com", "the mail provider")])
def test_fault(host: str, party: str) -> None:
    """The provider is Google where the host is Google's."""
    busy = failure(target(host=host), Phase.LOGIN, Reason.AUTH_TEMPORARY)
    assert shown(terminal.explain(busy))[1] == f"  fault   {party}: the operator of the mail server"


def test_verdict() -> None:
    """Of an outage, with the facts that it rests on, one a line."""
    down = failure(phase=Phase.GREETING, reason=Reason.TIMEOUT)
    judgement = Judgement(
        Verdict.PROVIDER_DOWN, Blame.PROVIDER, "Google is silent", ("It said nothing.", "[It] was asked.")
    )
    lines = shown(terminal.explain(replace(down, judgement=judgement)))
    assert lines[1:5] == [
        "  fault     Google: Google is silent",
        "  detail    what the server said",
        "  evidence  It said nothing.",
        "            [It] was asked.",
    ]


def test_interceptions() -> None:
    """One explanation for all endpoints with the same issuer; none where the root is public, or need not be."""
    facts = replace(tls(50), issuer="CN=Office [Proxy]", public_root=False)
    observed = Observed(tls=facts)
    lines = shown(
        *terminal.interceptions(
            [
                series(success(target("imap"), observed=observed)),
                series(success(target("pop3", host="pop.gmail.com"), observed=observed)),
                series(success(target("own", host="mail.example.com"), observed=observed)),
                series(success(target("public"), observed=Observed(tls=replace(facts, public_root=True)))),
                series(failure()),
            ]
        )
    )
    assert lines == [
        "",
        "! imap, pop3  TLS is intercepted",
        "  issuer   CN=Office [Proxy]",
        "  meaning  Only this host trusts its root: a proxy or an antivirus program answers, and can read along.",
        "  remedy   Find what answers; if it is meant to, name its authority in tls.ca_file.",
    ]


def test_explain_credential() -> None:
    """The command in the remedy has the name of the account."""
    lines = shown(terminal.explain_credential(Reason.DISABLED_FOR_ACCOUNT, "the text", ACCOUNT))
    assert lines[0] == "  reason  disabled_for_account"
    assert lines[-1].endswith("release the account ops.")


def test_fault_of_a_token_endpoint() -> None:
    """The provider of a token is that of its endpoint."""
    oauth2 = OAuth2("id", SecretRef(env="A"), SecretRef(env="B"))
    for account, party in (
        (Account("ops", "a", oauth2=oauth2), "Google"),
        (Account("ops", "a", oauth2=replace(oauth2, token_uri="https://login.example.com/t")), "the mail provider"),
    ):
        lines = shown(terminal.explain_credential(Reason.OAUTH_ENDPOINT_ERROR, "the text", account))
        assert lines[1] == f"  fault   {party}: the operator of the mail server"


WAY = Way(("gmail-exporter", "accounts", "release", f"--storage.path={LEDGER}"))


@pytest.mark.parametrize(
    ("held_by", "reason", "remedy"),
    [
        (Denial.HOLD, "a server refused the login", "Fix what was refused"),
        (Denial.BACKOFF, "a server asked for fewer logins: the next login is due in 10 min", "Wait"),
        (Denial.WAIT24, "which ends within 24 hours: the next login is due in 10 min", "Wait"),
        (Denial.CEILING, "max_logins_per_day is reached: the next login is due in 10 min", "Wait"),
        (Denial.STORAGE, "the login budget cannot be stored", f"Let this user write {LEDGER}: logins are resumed"),
    ],
)
def test_held_account(held_by: Denial, reason: str, remedy: str) -> None:
    """A held account is shown once, with why and what to do; only a hold has a command to release it."""
    after = math.inf if held_by in {Denial.HOLD, Denial.STORAGE} else 605
    names = ("imap", "pop3")
    held = [series(success(target(name, account=ACCOUNT)), held_by, after) for name in names]
    blank, head, *rest = shown(*terminal.held_accounts([*held, series(success())], LEDGER, WAY))
    assert (blank, head) == ("", "! account ops  logins are held back at imap, pop3")
    assert reason in rest[0]
    assert rest[1].startswith(f"  remedy  {remedy}")
    command = f"          gmail-exporter accounts release --storage.path={LEDGER} ops"
    assert rest[2:] == ([command] if held_by is Denial.HOLD else [])


def test_hold_without_storage() -> None:
    """A hold that ends with this process is shown only where it kept a login back."""
    refused = failure(WITH_LOGIN, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
    sibling = series(success(target("pop3", account=ACCOUNT)), Denial.HOLD, math.inf)
    assert shown(*terminal.held_accounts([series(refused, Denial.HOLD, math.inf)], None, NOWHERE)) == []
    lines = shown(*terminal.held_accounts([series(refused, Denial.HOLD, math.inf), sibling], None, NOWHERE))
    assert lines[1] == "! account ops  logins are held back at imap, pop3"
    assert not any("release" in line for line in lines)


def test_folders_and_quota() -> None:
    """Folders and quotas are shown; an unknown value is a dash."""
    imap = Observed(
        folders=(Folder(Role.INBOX, True, 12, 3), Folder(Role.TRASH, False), Folder(Role.SENT, True)),
        quota=Quota(3_000_000_000, 15_000_000_000),
    )
    pop3 = Observed(folders=(Folder(Role.INBOX, True, 2, octets=4096),), quota=Quota(0, 0))
    outcomes = [success(observed=imap), success(target("pop3"), observed=pop3), success(target("smtps"))]
    assert shown(*terminal.folders(outcomes), width=80) == [
        "",
        "endpoint  folder                            messages  unseen    size",
        "imap      inbox   visible                         12       3       -",
        "imap      trash   hidden from mail clients         -       -       -",
        "imap      sent    visible                          -       -       -",
        "pop3      inbox   visible                          2       -  4.1 kB",
        "",
        "imap: 3.0 GB of 15.0 GB used (20%)",
        "pop3: 0 bytes of 0 bytes used",
    ]
    assert shown(*terminal.folders([success()])) == []


def test_dialogue() -> None:
    """A line of a dialogue has its time, its speaker and its text, which wraps within its column."""
    lines = (
        Line(0.005, "S", "* OK ready"),
        Line(0.012, "C", "a1 CAPABILITY"),
        Line(1.5, "S", "* CAPABILITY IMAP4rev1 [x] " + "AUTH=PLAIN " * 5),
    )
    outcome = success(observed=Observed(address="192.0.2.1"), dialogue=lines)
    assert shown(*terminal.dialogue(outcome), width=60) == [
        "imap  imap.gmail.com:993 [192.0.2.1]",
        "     5 ms  S  * OK ready",
        "    12 ms  C  a1 CAPABILITY",
        "  1500 ms  S  * CAPABILITY IMAP4rev1 [x] AUTH=PLAIN",
        "              AUTH=PLAIN AUTH=PLAIN AUTH=PLAIN AUTH=PLAIN",
        "",
    ]
    empty = shown(*terminal.dialogue(failure()))
    assert empty == ["imap  imap.gmail.com:993", "  (nothing was said: it ended in connect)", ""]
