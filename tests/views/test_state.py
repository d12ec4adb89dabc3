"""States, and the sentence that sums up all targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.model.certificate import TlsFacts
from exporter.model.login import Cause, Denial
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Protocol
from exporter.model.verdict import Judgement, Verdict, server_of
from exporter.monitor.store import Store
from exporter.views.state import State, account_problem, overview, state_of
from tests.examples import ACCOUNT, Clock, budgeted, failure, success, target

IMAP_OFF = (Phase.LOGIN, Reason.DISABLED_FOR_ACCOUNT)
WRONG_PASSWORD = (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
REFUSED = (Phase.CONNECT, Reason.REFUSED)
SILENT = (Phase.GREETING, Reason.TIMEOUT)
UP, PENDING, OVERDUE = "up", "pending", "overdue"

REFUSED_SINCE = "Google's IMAP refuses connections since 22:13 UTC (it is not known whose fault that is)"
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
        cause = f"{server} refuses connections since 22:13 UTC (it is not known whose fault that is)"
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


OURS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.NETWORK_DOWN: ("our network is down", "no other host that was tried answers"),
    Verdict.PORT_BLOCKED: ("port 993 is blocked on the way to Google's IMAP", "a device on the way refuses"),
    Verdict.RESOLVER_FAILING: ("our resolver fails", "no name resolves here"),
    Verdict.INTERCEPTED: ("a captive portal answers in place of Google's IMAP", ""),
    Verdict.EXPORTER: ("the exporter's own host is at fault", "this host's clock is wrong"),
}


@pytest.mark.parametrize("verdict", OURS)
@pytest.mark.parametrize(
    ("names", "host", "down"),
    [
        ("ab", "imap.gmail.com", "Gmail cannot be used from here"),
        ("ab", "mail.example.com", "all 2 endpoints are down"),
        ("a", "mail.example.com", "a is down"),
    ],
)
def test_the_sentence_begins_with_what_is_ours(verdict: Verdict, names: str, host: str, down: str) -> None:
    """Where everything is down by a fault on our side, that comes first; then since when, and what shows it."""
    sentence, because = OURS[verdict]
    store = Store()
    targets = [target(name, host=host) for name in names]
    store.configure(targets)
    for each in targets:
        judgement = Judgement(verdict, verdict.blame, sentence, because=because)
        store[each.key].add(replace(failure(each), judgement=judgement))
    shown = f" ({because})" if because else ""
    expected = f"{sentence[0].upper()}{sentence[1:]}: {down} since 22:13 UTC{shown}."
    assert str(overview(store).sentence) == expected


def test_a_server_that_refuses_our_address_is_told_as_that() -> None:
    """The verdict is `exporter` by the reason's own word, and the exporter's host is not at fault."""
    store = store_of(("a", (Phase.CAPABILITY, Reason.EHLO_THROTTLED)))
    sentence = str(overview(store).sentence)
    assert sentence.startswith("Gmail does not answer: Google's IMAP does not serve this host's address: ")


def test_one_fault_is_told_once() -> None:
    """Where the same is told of several reasons, or evidence is known of one endpoint alone."""
    store = Store()
    imap, pop3 = target("imap"), target("pop3", protocol=Protocol.POP3, port=995)
    store.configure([imap, pop3])
    because = "the same port answers at another provider"
    for each, verdict, clause in (
        (pop3, Verdict.UNKNOWN, "it is not known whose fault that is"),
        (imap, Verdict.PROVIDER_DOWN, because),
    ):
        does = f"{server_of(each.endpoint)} does not answer connection requests"
        judgement = Judgement(verdict, verdict.blame, does, because=clause)
        store[each.key].add(replace(failure(each, Phase.CONNECT, Reason.TIMEOUT), judgement=judgement))
    expected = f"Gmail does not answer: Google does not answer connection requests since 22:13 UTC ({because})."
    assert str(overview(store).sentence) == expected


def test_ports_that_are_blocked_are_told_together() -> None:
    """By their numbers."""
    store = Store()
    targets = [target("imap"), target("pop3", protocol=Protocol.POP3, port=995)]
    store.configure(targets)
    for each in targets:
        sentence = f"port {each.endpoint.port} is blocked on the way to {server_of(each.endpoint)}"
        judgement = Judgement(Verdict.PORT_BLOCKED, Blame.NETWORK, sentence)
        store[each.key].add(replace(failure(each), judgement=judgement))
    expected = "Ports 993 and 995 are blocked on the way to Google: Gmail cannot be used from here since 22:13 UTC."
    assert str(overview(store).sentence) == expected


def warned(probed: Target, **observed: object) -> Outcome:
    """A success with a warning."""
    outcome = success(probed)
    return replace(outcome, observed=replace(outcome.observed, **observed))  # type: ignore[arg-type]


def test_the_sentence_begins_with_an_interception() -> None:
    """Though all is up: whoever intercepts reads passwords. Where something is down, it comes after that."""
    store = store_of(*zip("abc", [UP] * 3, strict=True))
    first, second, third = store
    tls = TlsFacts("TLSv1.3", "X", "Corp Proxy CA", "00", None, None, public_root=False)
    first.add(warned(first.target, tls=tls))
    whose = "the certificate is from Corp Proxy CA, whose root the public does not know"
    assert str(overview(store).sentence) == f"TLS is intercepted at a: {whose}; all 3 endpoints are up."
    second.add(warned(second.target, tls=tls))
    assert str(overview(store).sentence) == f"TLS is intercepted at a and b: {whose}; all 3 endpoints are up."
    third.add(failure(third.target))
    expected = f"2 of 3 endpoints are up; c: {REFUSED_SINCE}; TLS is intercepted at a and b ({whose})."
    assert str(overview(store).sentence) == expected


def test_the_sentence_has_the_warnings_of_what_is_up() -> None:
    """IPv6 that does not connect, and an address that was passed over, have no verdict: they are no outage."""
    store = store_of(*zip("ab", [UP] * 2, strict=True))
    first, second = store
    first.add(warned(first.target, ip_fallback=True))
    assert str(overview(store).sentence) == "All 2 endpoints are up; a: IPv6 does not connect, IPv4 does."
    second.add(warned(second.target, connect_lost=0.5, dead_addresses=("192.0.2.1",)))
    text = "a: IPv6 does not connect, IPv4 does; b: an address does not connect, another one does"
    assert str(overview(store).sentence) == f"All 2 endpoints are up; {text}."
    alone = store_of(("a", UP))
    (series,) = alone
    series.add(warned(series.target, ip_fallback=True))
    assert str(overview(alone).sentence) == "a is up; IPv6 does not connect, IPv4 does."


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


def test_the_verdict_of_a_problem() -> None:
    """Where several servers have it, none of them stands for all."""
    targets = [target(name, host=f"{name}.example.com") for name in "ab"]
    one, two = Store(Clock()), Store(Clock())
    for store, some in ((one, targets[:1]), (two, targets)):
        store.configure(some)
        for each in some:
            store[each.key].add(failure(each, *REFUSED))
    told = [str(overview(store).problems[0].judgement) for store in (one, two)]
    seen = "refuses connections (it is not known whose fault that is)"
    assert told == [f"the IMAP server a.example.com:993 {seen}", f"the mail provider {seen}"]
