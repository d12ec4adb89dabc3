"""States, and the sentence that sums them up."""

from __future__ import annotations

import pytest

from exporter.model.login import Denial
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.monitor.store import Store
from exporter.views.state import State, label_of, overview, state_of
from tests.examples import ACCOUNT, Clock, budgeted, failure, success, target

IMAP_OFF = (Phase.LOGIN, Reason.DISABLED_FOR_ACCOUNT)
NO_PASSWORD = (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
REFUSED = (Phase.CONNECT, Reason.REFUSED)
SILENT = (Phase.GREETING, Reason.TIMEOUT)
UP, NEVER, LATE = "up", "never", "late"

Fate = tuple[Phase, Reason] | str


def store_of(*fates: tuple[str, Fate]) -> Store:
    """A store of endpoints by name, with what came of each."""
    clock = Clock()
    store = Store(clock)
    late = [target(name, account=ACCOUNT) for name, fate in fates if fate == LATE]
    store.configure(late)
    clock.now += 1000
    targets = [target(name, account=ACCOUNT) for name, _ in fates]
    store.configure(targets)
    for of, (_, fate) in zip(targets, fates, strict=True):
        if outcome := outcome_of(of, fate):
            store[of.key].add(outcome)
    return store


def outcome_of(of: Target, fate: Fate) -> Outcome | None:
    """What came of a probe, if there was one."""
    if isinstance(fate, tuple):
        return failure(of, *fate)
    return success(of) if fate == UP else None


@pytest.mark.parametrize(
    ("fates", "sentence"),
    [
        ([], "No endpoint is configured."),
        ([NEVER], "a has not been probed yet."),
        ([UP], "a is up."),
        ([LATE], "a was not probed in time."),
        ([REFUSED], "a is down: the connection was refused (network)."),
        ([IMAP_OFF], "a is up, but the account has IMAP switched off."),
        ([UP, UP], "All 2 endpoints are up."),
        ([NEVER, NEVER], "None of the 2 endpoints has been probed yet."),
        ([UP, NEVER], "1 of 2 endpoints is up; b has not been probed yet."),
        ([UP, LATE, LATE], "1 of 3 endpoints is up; b and c were not probed in time."),
        ([UP, IMAP_OFF], "All 2 endpoints are up; b: the account has IMAP switched off."),
        ([UP, NO_PASSWORD], "All 2 endpoints are up; b: user name or password is refused (account)."),
        ([UP, UP, SILENT], "2 of 3 endpoints are up; c: no answer when its greeting was due (Google)."),
        ([REFUSED] * 2, "All 2 endpoints are down: the connection was refused (network)."),
        (
            [REFUSED, SILENT],
            "None of the 2 endpoints is up; a: the connection was refused (network); "
            "b: no answer when its greeting was due (Google).",
        ),
        ([UP, *[REFUSED] * 3], "1 of 4 endpoints is up; b, c and d: the connection was refused (network)."),
        ([UP, *[REFUSED] * 4], "4 of 5 endpoints are down: the connection was refused (network)."),
        (
            [NEVER, *[REFUSED] * 4],
            "4 of 5 endpoints are down: the connection was refused (network); a has not been probed yet.",
        ),
        (
            [UP, IMAP_OFF, *[REFUSED] * 4],
            "2 of 6 endpoints are up; 4 endpoints: the connection was refused (network); "
            "b: the account has IMAP switched off.",
        ),
    ],
)
def test_one_sentence_sums_it_up(fates: list[Fate], sentence: str) -> None:
    """For none, one and many; the outage before the failing login, and each problem once."""
    store = store_of(*zip("abcdef", fates, strict=False))
    assert str(overview(store).sentence) == sentence


def test_a_long_sentence_ends() -> None:
    """Beyond three problems they are counted, in numbers with their thousands apart."""
    failures: list[Fate] = [
        REFUSED,
        SILENT,
        (Phase.RESOLVE, Reason.DNS_ERROR),
        (Phase.TLS, Reason.TLS_FAILED),
        (Phase.TLS, Reason.CERTIFICATE_EXPIRED),
    ]
    many: list[tuple[str, Fate]] = [(f"up{number}", UP) for number in range(1000)]
    store = store_of(*many, *zip("abcde", failures, strict=True))
    sentence = str(overview(store).sentence)
    assert sentence.startswith("1,000 of 1,005 endpoints are up; ")
    assert sentence.endswith("; and 2 more problems.")


def test_states() -> None:
    """The worst that is true of it; where no probe was completed in time it is overdue, whatever it was."""
    fates: list[Fate] = [UP, REFUSED, NO_PASSWORD, NEVER, LATE]
    series = list(store_of(*zip("abcde", fates, strict=True)))
    wanted = [State.UP, State.DOWN, State.LOGIN, State.PENDING, State.OVERDUE]
    assert [state_of(each) for each in series] == wanted
    for each in series:
        each.completed_at -= 100
    assert {state_of(each) for each in series} == {State.OVERDUE}


def test_what_fails_beside_the_login_has_a_label_of_its_own() -> None:
    """A hidden folder, and logins that are held back without a failure in sight."""
    (folder,) = store_of(("a", (Phase.FOLDERS, Reason.FOLDER_HIDDEN)))
    assert label_of(folder, State.LOGIN) == "Up, folders failing"
    (held,) = store_of(("a", UP))
    held.add(budgeted(success(held.target), Denial.HOLD))
    assert label_of(held, state_of(held)) == "Up, logins held back"


def test_problems_are_told_apart_by_what_is_wrong() -> None:
    """Phase, reason and party; the server's words are counted. Outages first, the most frequent of them first."""
    store = store_of(("a", NO_PASSWORD), ("b", SILENT), ("c", REFUSED), ("d", REFUSED))
    problems = overview(store).problems
    assert [problem.reason for problem in problems] == [
        Reason.REFUSED,
        Reason.TIMEOUT,
        Reason.AUTH_INVALID_CREDENTIALS,
    ]
    assert problems[0].details == [("what the server said", 2)]
    assert len({problem.anchor for problem in problems}) == 3
