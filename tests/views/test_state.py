"""States, and the sentence that sums up all targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.login import Cause, Denial
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Protocol
from exporter.model.verdict import Judgement, Verdict
from exporter.monitor.store import Store
from exporter.views.state import State, account_problem, overview, state_of
from tests.examples import ACCOUNT, Clock, budgeted, failure, success, target

IMAP_OFF = (Phase.LOGIN, Reason.DISABLED_FOR_ACCOUNT)
WRONG_PASSWORD = (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
REFUSED = (Phase.CONNECT, Reason.REFUSED)
SILENT = (Phase.GREETING, Reason.TIMEOUT)
UP, PENDING, OVERDUE = "up", "pending", "overdue"

REFUSED_SINCE = "whose fault it is is not known: Google's IMAP refuses connections since 22:13 UTC"
SILENT_SINCE = "our network is fine, Google's IMAP accepts connections and then says nothing since 22:13 UTC"

Result = tuple[Phase, Reason] | str


def store_of(*results: tuple[str, Result]) -> Store:
    """A store of endpoints by name, each with the result of its last probe."""
    clock = Clock()
    store = Store(clock)
    overdue = [target(name, account=ACCOUNT) for name, result in results if result == OVERDUE]
    store.configure(overdue)
    clock.now += 1000
    targets = [target(name, account=ACCOUNT) for name, _ in results]
    store.configure(targets)
    for each, (_, result) in zip(targets, results, strict=True):
        if outcome := outcome_of(each, result):
            store[each.key].add(outcome)
    return store


def outcome_of(probed: Target, result: Result) -> Outcome | None:
    """The Outcome with that result, or None where there is none."""
    if isinstance(result, tuple):
        return failure(probed, *result)
    return success(probed) if result == UP else None


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ([], "No endpoint is configured."),
        ([PENDING], "a has not been probed yet."),
        ([UP], "a is up."),
        ([OVERDUE], "a was not probed in time."),
        ([REFUSED], f"Gmail does not answer: {REFUSED_SINCE}."),
        ([IMAP_OFF], "a is up, but the account has IMAP switched off."),
        ([UP, UP], "All 2 endpoints are up."),
        ([PENDING, PENDING], "None of the 2 endpoints has been probed yet."),
        ([UP, PENDING], "1 of 2 endpoints is up; b has not been probed yet."),
        ([UP, OVERDUE, OVERDUE], "1 of 3 endpoints is up; b and c were not probed in time."),
        ([UP, IMAP_OFF], "All 2 endpoints are up; b: the account has IMAP switched off."),
        ([UP, WRONG_PASSWORD], "All 2 endpoints are up; b: user name or password is refused (account)."),
        ([UP, UP, SILENT], f"2 of 3 endpoints are up; c: {SILENT_SINCE}."),
        ([REFUSED] * 2, f"Gmail does not answer: {REFUSED_SINCE}."),
        (
            [REFUSED, SILENT],
            f"None of the 2 endpoints is up; a: {REFUSED_SINCE}; b: {SILENT_SINCE}.",
        ),
        ([UP, *[REFUSED] * 3], f"1 of 4 endpoints is up; b, c and d: {REFUSED_SINCE}."),
        ([UP, *[REFUSED] * 4], f"4 of 5 endpoints are down: {REFUSED_SINCE}."),
        (
            [PENDING, *[REFUSED] * 4],
            f"4 of 5 endpoints are down: {REFUSED_SINCE}; a has not been probed yet.",
        ),
        (
            [UP, IMAP_OFF, *[REFUSED] * 4],
            f"2 of 6 endpoints are up; 4 endpoints: {REFUSED_SINCE}; b: the account has IMAP switched off.",
        ),
    ],
)
def test_sentence(results: list[Result], sentence: str) -> None:
    """The sentence has the outage before the failing login, and each problem once."""
    store = store_of(*zip("abcdef", results, strict=False))
    assert str(overview(store).sentence) == sentence


def test_sentence_of_several_servers() -> None:
    """Where they have one verdict, their provider stands for them; where they are not Google's, they are counted."""
    for host, server, lead in (
        ("mail.gmail.com", "Google", "Gmail does not answer"),
        ("mail.example.com", "the mail provider", "All 2 endpoints are down"),
    ):
        store = Store()
        targets = [target("a", host=host), target("b", host=host, protocol=Protocol.POP3, port=995)]
        store.configure(targets)
        for each in targets:
            store[each.key].add(failure(each, *REFUSED))
        cause = f"whose fault it is is not known: {server} refuses connections since 22:13 UTC"
        assert str(overview(store).sentence) == f"{lead}: {cause}."


def test_sentence_with_an_incident() -> None:
    """What the provider says of itself comes last."""
    store = store_of(("a", UP))
    (series,) = store
    judgement = Judgement(
        Verdict.PROVIDER_DOWN, Blame.PROVIDER, "our network is fine", (), "Google has an open incident"
    )
    series.add(replace(failure(series.target), judgement=judgement))
    expected = "Gmail does not answer: our network is fine since 22:13 UTC; Google has an open incident."
    assert str(overview(store).sentence) == expected


def test_long_sentence() -> None:
    """Problems after the third are counted, and numbers have a separator of thousands."""
    failures: list[Result] = [
        REFUSED,
        SILENT,
        (Phase.RESOLVE, Reason.DNS_ERROR),
        (Phase.TLS, Reason.TLS_FAILED),
        (Phase.TLS, Reason.CERTIFICATE_EXPIRED),
    ]
    many: list[tuple[str, Result]] = [(f"up{number}", UP) for number in range(1000)]
    store = store_of(*many, *zip("abcde", failures, strict=True))
    sentence = str(overview(store).sentence)
    assert sentence.startswith("1,000 of 1,005 endpoints are up; ")
    assert sentence.endswith("; and 2 more problems.")


def test_state_of() -> None:
    """The worst state applies; a target without a probe in time is overdue, whatever it was before."""
    results: list[Result] = [UP, REFUSED, WRONG_PASSWORD, PENDING, OVERDUE]
    series = list(store_of(*zip("abcde", results, strict=True)))
    expected = [State.UP, State.DOWN, State.LOGIN, State.PENDING, State.OVERDUE]
    assert [state_of(each) for each in series] == expected
    for each in series:
        each.completed_at -= 100
    assert {state_of(each) for each in series} == {State.OVERDUE}


def test_account_problem() -> None:
    """A failing login, failing folders, and logins that are held back without a failure are distinguished."""
    (folder,) = store_of(("a", (Phase.FOLDERS, Reason.FOLDER_HIDDEN)))
    assert account_problem(folder) == "folders failing"
    (login,) = store_of(("a", WRONG_PASSWORD))
    assert account_problem(login) == "login failing"
    (held,) = store_of(("a", UP))
    assert account_problem(held) == ""
    held.add(budgeted(success(held.target), Denial.HOLD))
    assert account_problem(held) == "logins held back"


@pytest.mark.parametrize("count", [1, 2])
def test_sentence_of_logins_held_back(count: int) -> None:
    """Where nothing fails and logins are held back, the sentence says why: the icon is a warning."""
    store = store_of(*[(name, UP) for name in "ab"[:count]])
    for series in store:
        series.add(budgeted(success(series.target), Denial.CEILING))
    assert overview(store).worst is State.LOGIN
    lead = "a is up, but " if count == 1 else "All 2 endpoints are up; a and b: "
    assert str(overview(store).sentence) == f"{lead}logins are held back ({Denial.CEILING.meaning})."


def test_sentence_names_the_refusal() -> None:
    """Endpoints that are held back for a refusal at another one are named together, with where and why."""
    store = store_of(("a", UP), ("b", UP), ("c", UP))
    for series in list(store)[1:]:
        series.add(budgeted(success(series.target), Denial.HOLD, cause=Cause("a", Reason.ACCOUNT_DISABLED)))
    rest = f"b and c: logins are held back ({Denial.HOLD.meaning}: account_disabled at a)"
    assert str(overview(store).sentence) == f"All 3 endpoints are up; {rest}."


def test_shared_problem() -> None:
    """Only what fails at several targets is shared."""
    store = store_of(("a", REFUSED), ("b", REFUSED), ("c", SILENT))
    found = overview(store)
    shared = [found.shared_problem(failure) for series in store for failure in series.failing]
    assert shared == [found.problems[0], found.problems[0], None]


def test_problems() -> None:
    """Problems differ by phase, reason and blame; outages come first, the most frequent before the others."""
    store = store_of(("a", WRONG_PASSWORD), ("b", SILENT), ("c", REFUSED), ("d", REFUSED))
    problems = overview(store).problems
    assert [problem.first.reason for problem in problems] == [
        Reason.REFUSED,
        Reason.TIMEOUT,
        Reason.AUTH_INVALID_CREDENTIALS,
    ]
    assert problems[0].details == [("what the server said", 2)]
    assert len({problem.anchor for problem in problems}) == 3
