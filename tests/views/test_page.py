"""What a page shows of a target."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from exporter.model.login import Denial
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.monitor.store import Series, Store
from exporter.views.page import Filter, StatusRow, expiry_of, groups, login_of, row
from exporter.views.state import State
from tests.examples import ACCOUNT, budgeted, failure, success, target
from tests.scenes import Scene, certificates, every_state

NOW = 1_700_000_001.0


def rows() -> dict[str, StatusRow]:
    """A row in every state, by name."""
    scene = every_state()
    return {made.name: made for made in (row(series, scene.now) for series in scene.store)}


def test_a_row_in_every_state() -> None:
    """State, what fails, certificate and login."""
    made = rows()
    states = {name: each.state for name, each in made.items()}
    assert states == {
        "imap": State.UP,
        "imap-legacy": State.LOGIN,
        "submission": State.DOWN,
        "pop3": State.OVERDUE,
        "smtps": State.PENDING,
    }
    assert made["imap"].expiry is not None
    assert (made["imap"].expiry.text, made["imap"].expiry.alarm) == ("in 57 d", False)
    assert made["imap"].past == "100 probes, 2 failed"
    assert made["smtps"].past == "probes: none yet"
    assert (made["smtps"].expiry, made["smtps"].login, made["smtps"].bar) == (None, None, ())
    assert made["submission"].address == "smtp.gmail.com:587"
    assert made["submission"].connection == "SMTP, STARTTLS"


def test_a_failure_says_what_to_do() -> None:
    """What, whose fault, the server's words, and a remedy that can be typed as it stands."""
    (failed,) = rows()["imap-legacy"].failures
    assert failed.summary == "The account has IMAP switched off"
    assert (failed.code, failed.phase, failed.blame_label) == ("disabled_for_account", "login", "account")
    assert failed.remedy.endswith("gmail-exporter accounts release legacy.")
    assert failed.detail.startswith("[ALERT] Your account is not enabled")


def test_a_certificate_that_ends_soon_is_an_alarm() -> None:
    """By the first of the chain to end; one that has ended says since when; one that was seen before is still told."""
    scene = Scene()
    of = target()
    scene.configure(of)
    series = scene.store[of.key]
    for days, words, trusted in ((5.0, "in 5 d", True), (-3.0, "3 d ago", False)):
        scene.add(scene.outcome(of, scene.now, tls=certificates(scene.now, days, trusted=trusted)))
        expiry = expiry_of(series, scene.now)
        assert expiry is not None
        assert (expiry.text, expiry.alarm) == (words, True)
    scene.add(scene.outcome(of, scene.now, failed=(Phase.CONNECT, Reason.REFUSED)))
    assert expiry_of(series, scene.now) is not None


def test_what_is_sent_along_with_a_trusted_chain_does_not_matter() -> None:
    """An old cross-signed root that nobody needs is no alarm."""
    scene = Scene()
    of = target()
    scene.configure(of)
    for trusted, words in ((True, "in 57 d"), (False, "in 10 s")):
        tls = replace(certificates(scene.now, trusted=trusted), chain_not_after=scene.now + 10)
        scene.add(scene.outcome(of, scene.now, tls=tls))
        expiry = expiry_of(scene.store[of.key], scene.now)
        assert expiry is not None
        assert expiry.text == words


@pytest.mark.parametrize(
    ("outcome", "held", "words", "result"),
    [
        (None, None, "No login yet", "No login yet"),
        (success(login=True), None, "Login ok", "Login ok"),
        (failure(phase=Phase.LOGIN, reason=Reason.ACCOUNT_DELETED), Denial.HOLD, "Held", "Login failed"),
        (success(login=True), Denial.CEILING, "Held back", "Login ok"),
        (failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), None, *["Login ok, folders failed"] * 2),
    ],
)
def test_a_login_s_state(outcome: object, held: Denial | None, words: str, result: str) -> None:
    """What came of it, and whether the next one is held back; infinity is no time."""
    of = target(account=ACCOUNT)
    last = budgeted(success(of), held, math.inf if held is Denial.HOLD else 5.0)
    series = Series(of, last=last, last_login=outcome)  # type: ignore[arg-type]
    login = login_of(series)
    assert login is not None
    assert (login.text, login.result) == (words, result)
    assert login.next_at == (None if held is Denial.HOLD else 5.0)
    assert bool(login.held) is bool(held)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, Filter()),
        ({"state": "down", "protocol": "imap", "q": " a b ", "group": "host"}, None),
        ({"state": "nonsense", "protocol": "ftp", "group": "colour", "more": "1"}, Filter()),
        ({"q": "x" * 5000}, Filter(text="x" * 100)),
    ],
)
def test_a_filter_is_read_from_a_query(query: dict[str, str], wanted: Filter | None) -> None:
    """What means nothing is as if it were not there."""
    assert Filter.of(query) == (wanted or Filter(State.DOWN, Protocol.IMAP, "a b", "host"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("IMAP", True),
        ("gmail 993", True),
        ("probe@gmail.com", True),
        ("acme", True),
        ("auth_invalid login account", True),
        ("said", True),
        ("pop", False),
        ("gmail pop", False),
        ("<script>", False),
    ],
)
def test_text_is_looked_for_where_people_would(text: str, found: bool) -> None:
    """Name, address, account, labels, and what ails it; each word of it."""
    of = target("imap-1", account=ACCOUNT, labels={"tenant": "ACME"})
    series = Series(of)
    series.add(failure(of, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS))
    chosen = Filter(text=text)
    assert chosen.admits(series, State.LOGIN) is found
    assert chosen.narrows is bool(text)


def test_a_filter_by_state_and_protocol() -> None:
    """Each leaves out the others."""
    series = Series(target())
    assert Filter(state=State.PENDING, protocol=Protocol.IMAP).admits(series, State.PENDING)
    assert not Filter(state=State.DOWN).admits(series, State.PENDING)
    assert not Filter(protocol=Protocol.SMTP).admits(series, State.PENDING)


def test_groups() -> None:
    """By account where there are any, by host where that is fewer; the worst first, else as configured."""
    store = Store()
    targets = [target(f"e{n}", host=f"h{n % 2}", account=ACCOUNT if n == 3 else None) for n in range(6)]
    store.configure(targets)
    shown = [(series, State.DOWN if number == 5 else State.UP) for number, series in enumerate(store)]
    by_account = groups(shown, "")
    assert [group.title for group in by_account] == ["Without an account", "ops · probe@gmail.com"]
    assert [series.target.endpoint.name for series, _ in by_account[0].members] == ["e5", "e0", "e1", "e2", "e4"]
    assert [group.title for group in groups(shown, "host")] == ["h1", "h0"]
    assert [group.title for group in groups(shown, "none")] == [""]
    assert groups([], "") == []
    without = [one for one in shown if one[0].target.endpoint.account is None]
    assert [group.key for group in groups(without[:4], "")] == ["none-all"]
    assert len(groups([*without, *without], "")) == 2
