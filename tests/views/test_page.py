"""The content of a page for each target."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from exporter.model.login import Denial
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.monitor.store import Series, Store
from exporter.views.page import Filter, StatusRow, expiry_of, groups, login_of, row
from exporter.views.state import State
from tests.examples import ACCOUNT, UNREAD, budgeted, failure, success, target
from tests.scenes import Scene, certificates, every_state

NOW = 1_700_000_001.0


def rows() -> dict[str, StatusRow]:
    """A row in every state, by name."""
    scene = every_state()
    return {each.name: each for each in (row(series, scene.now) for series in scene.store)}


def test_row() -> None:
    """A row has the state, the certificate's expiry, the last probes, the login and the connection."""
    by_name = rows()
    states = {name: each.state for name, each in by_name.items()}
    assert states == {
        "imap": State.UP,
        "imap-legacy": State.LOGIN,
        "submission": State.DOWN,
        "pop3": State.OVERDUE,
        "smtps": State.PENDING,
    }
    assert by_name["imap"].expiry is not None
    assert (by_name["imap"].expiry.text, by_name["imap"].expiry.alarm) == ("in 57 d", False)
    assert by_name["imap"].history == "100 probes, 2 failed"
    assert by_name["smtps"].history == "probes: none yet"
    assert (by_name["smtps"].expiry, by_name["smtps"].login, by_name["smtps"].bar) == (None, None, ())
    assert by_name["submission"].address == "smtp.gmail.com:587"
    assert by_name["submission"].connection == "SMTP, STARTTLS"


def test_failure() -> None:
    """A failure has a summary, the party at fault, the server's text, and a remedy with the name of the account."""
    (failed,) = rows()["imap-legacy"].failures
    assert failed.summary == "the account has IMAP switched off"
    assert (failed.reason, failed.phase, failed.blame_label) == ("disabled_for_account", "login", "account")
    assert failed.remedy.endswith("release the account legacy.")
    assert failed.detail.startswith("[ALERT] Your account is not enabled")


def test_expiry() -> None:
    """An expiry that is near or past is an alarm; it stays known when a later probe gets no certificate."""
    scene = Scene()
    imap = target()
    scene.configure(imap)
    series = scene.store[imap.key]
    for days, text, trusted in ((5.0, "in 5 d", True), (-3.0, "3 d ago", False)):
        scene.add(scene.outcome(imap, scene.now, tls=certificates(scene.now, days, trusted=trusted)))
        expiry = expiry_of(series, scene.now)
        assert expiry is not None
        assert (expiry.text, expiry.alarm) == (text, True)
    scene.add(scene.outcome(imap, scene.now, failed=(Phase.CONNECT, Reason.REFUSED)))
    assert expiry_of(series, scene.now) is not None


def test_unknown_expiry() -> None:
    """A certificate that only OpenSSL can read has no expiry that could be shown."""
    scene = Scene()
    imap = target()
    scene.configure(imap)
    scene.add(scene.outcome(imap, scene.now, tls=UNREAD))
    assert expiry_of(scene.store[imap.key], scene.now) is None


def test_expiry_of_a_trusted_chain() -> None:
    """A certificate that the verified chain does not need counts only where no chain is trusted."""
    scene = Scene()
    imap = target()
    scene.configure(imap)
    for trusted, text in ((True, "in 57 d"), (False, "in 10 s")):
        tls = replace(certificates(scene.now, trusted=trusted), chain_not_after=scene.now + 10)
        scene.add(scene.outcome(imap, scene.now, tls=tls))
        expiry = expiry_of(scene.store[imap.key], scene.now)
        assert expiry is not None
        assert expiry.text == text


@pytest.mark.parametrize(
    ("outcome", "held", "text", "result"),
    [
        (None, None, "No login yet", "No login yet"),
        (success(login=True), None, "Login ok", "Login ok"),
        (failure(phase=Phase.LOGIN, reason=Reason.ACCOUNT_DELETED), Denial.HOLD, "Held", "Login failed"),
        (success(login=True), Denial.CEILING, "Held back", "Login ok"),
        (success(login=True), Denial.STORAGE, "Held back", "Login ok"),
        (failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), None, *["Login ok, folders failed"] * 2),
    ],
)
def test_login(outcome: Outcome | None, held: Denial | None, text: str, result: str) -> None:
    """A login has its last result, and until when the next one is held back; infinity is no time."""
    imap = target(account=ACCOUNT)
    is_held = held in {Denial.HOLD, Denial.STORAGE}
    last = budgeted(success(imap), held, math.inf if is_held else 5.0)
    series = Series(imap)
    for each in filter(None, (outcome, last)):
        series.add(each)
    login = login_of(series)
    assert login is not None
    assert (login.text, login.result) == (text, result)
    assert login.next_at == (None if is_held else 5.0)
    assert login.can_release is (held is Denial.HOLD)
    assert bool(login.held) is bool(held)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Filter()),
        ({"state": "down", "protocol": "imap", "q": " a b ", "group": "host"}, None),
        ({"state": "nonsense", "protocol": "ftp", "group": "colour", "more": "1"}, Filter()),
        ({"q": "x" * 5000}, Filter(text="x" * 100)),
    ],
)
def test_filter_of_a_query(query: dict[str, str], expected: Filter | None) -> None:
    """Unknown values of a query are ignored."""
    assert Filter.of(query) == (expected or Filter(State.DOWN, Protocol.IMAP, "a b", "host"))


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
def test_search(text: str, found: bool) -> None:
    """Every word must be in the name, the address, the account, the labels or the failures."""
    imap = target("imap-1", account=ACCOUNT, labels={"tenant": "ACME"})
    series = Series(imap)
    series.add(failure(imap, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS))
    chosen = Filter(text=text)
    assert chosen.admits(series, State.LOGIN) is found
    assert chosen.narrows is bool(text)


def test_filter() -> None:
    """A filter by state or protocol leaves out the other targets."""
    series = Series(target())
    assert Filter(state=State.PENDING, protocol=Protocol.IMAP).admits(series, State.PENDING)
    assert not Filter(state=State.DOWN).admits(series, State.PENDING)
    assert not Filter(protocol=Protocol.SMTP).admits(series, State.PENDING)


def test_groups() -> None:
    """Groups are accounts if there are any, hosts if these are few, with the worst first; else as configured."""
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
