"""Texts of servers → reasons: every text of Gmail's catalogue, and what servers say to EHLO."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing import dialogue, imap_responses, pop3, refusals, smtp
from exporter.probing.classify import classify
from exporter.probing.dialogue import Plan, Refusal
from exporter.probing.refusals import reason_of_refusal
from exporter.probing.refused_logins import LATER, OTHER_CAUSE, WRONG_CREDENTIAL
from tests.probing.catalogue import CATALOGUE, Row
from tests.probing.transcript import CLIENT_NAME, talk

if TYPE_CHECKING:
    from collections.abc import Callable


TEXTS = [pytest.param(protocol, row, id=f"{protocol} {row}") for protocol, rows in CATALOGUE.items() for row in rows]

READERS: dict[Protocol, Callable[[], dialogue.Dialogue[object]]] = {
    Protocol.IMAP: lambda: imap_responses.read_answer(b"a1", imap_responses.Answers()),
    Protocol.POP3: pop3._read_reply,
    Protocol.SMTP: lambda: smtp.expect(250),
}


def refusal(protocol: Protocol, text: str) -> Refusal:
    """Return the refusal that the protocol's own reader raises for the lines of a server."""
    reader = READERS[protocol]()
    lines = iter(text.encode().split(b"\n"))
    try:
        step = next(reader)
        while True:
            step = reader.send(next(lines) if isinstance(step, dialogue.ReadLine) else None)
    except Refusal as refused:
        assert next(lines, None) is None, "the reader has not read everything"
        return refused


@pytest.mark.parametrize(("protocol", "row"), TEXTS)
def test_catalogue(protocol: Protocol, row: Row) -> None:
    """Each of Gmail's texts has its reason, with a blame and a retry of the catalogue.

    So it does in any case, and with a token as with a password, but that a refused token is not a wrong password.
    """
    error = refusal(protocol, row.text)
    assert classify(error, row.phase, protocol) is row.reason
    assert row.blames is None or row.reason.blame in row.blames
    assert row.retry is None or row.reason.retry is row.retry
    assert classify(Refusal(str(error).swapcase().encode()), row.phase, protocol) is row.reason
    with_token = {Reason.AUTH_INVALID_CREDENTIALS: Reason.OAUTH_TOKEN_REJECTED}.get(row.reason, row.reason)
    assert classify(error, row.phase, protocol, with_token=True) is with_token


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.LOGIN, Phase.STARTTLS)])
@pytest.mark.parametrize(
    ("temporary", "reason"), [(True, Reason.SERVER_BUSY), (False, Reason.SERVER_REFUSED), (None, Reason.SERVER_REFUSED)]
)
def test_unknown_text(protocol: Protocol, phase: Phase, temporary: bool | None, reason: Reason) -> None:
    """An unknown text has the general reason of a temporary refusal, or that of another one."""
    assert reason_of_refusal(Refusal(b"nothing known", temporary=temporary), phase, protocol) is reason


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("text", [b"nothing known", b"BAD what", b"malformed command", b"500 unknown"])
def test_starttls_refused(protocol: Protocol, text: bytes) -> None:
    """A server that refuses STARTTLS for good, or does not know it, does not have it."""
    assert reason_of_refusal(Refusal(text), Phase.STARTTLS, protocol) is Reason.STARTTLS_UNAVAILABLE
    assert reason_of_refusal(Refusal(b"later", temporary=True), Phase.STARTTLS, protocol) is Reason.SERVER_BUSY


@pytest.mark.parametrize(
    ("protocol", "text", "at_login", "elsewhere"),
    [
        (Protocol.IMAP, b"NO [EXPIRED] x", Reason.AUTH_INVALID_CREDENTIALS, Reason.SERVER_REFUSED),
        (Protocol.POP3, b"bad command", Reason.SASL_MALFORMED, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"535 5.7.3 x", Reason.AUTH_INVALID_CREDENTIALS, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"501 x", Reason.SASL_MALFORMED, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"5350 x", Reason.SERVER_REFUSED, Reason.SERVER_REFUSED),
        (Protocol.IMAP, b"NO Wrong password", Reason.AUTH_INVALID_CREDENTIALS, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"550 account locked", Reason.ACCOUNT_DISABLED, Reason.SERVER_REFUSED),
    ],
)
def test_only_in_a_login(protocol: Protocol, text: bytes, at_login: Reason, elsewhere: Reason) -> None:
    """A code or a word that has a meaning in a login has none elsewhere."""
    assert reason_of_refusal(Refusal(text), Phase.LOGIN, protocol) is at_login
    assert reason_of_refusal(Refusal(text), Phase.FOLDERS, protocol) is elsewhere


def test_long_refusal() -> None:
    """Only the beginning of an endless refusal is matched."""
    words = b" invalid credentials"
    assert (
        reason_of_refusal(Refusal(b"x" * 1000 + words), Phase.LOGIN, Protocol.IMAP) is Reason.AUTH_INVALID_CREDENTIALS
    )
    assert reason_of_refusal(Refusal(b"x" * 1_000_000 + words), Phase.LOGIN, Protocol.IMAP) is Reason.SERVER_REFUSED


@given(
    text=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
    temporary=st.sampled_from([None, True, False]),
    phase=st.sampled_from(Phase),
    protocol=st.sampled_from(Protocol),
)
def test_any_refusal(text: bytes, temporary: bool | None, phase: Phase, protocol: Protocol) -> None:
    """Any refusal of a server has a reason."""
    reason = reason_of_refusal(Refusal(text, temporary=temporary), phase, protocol)
    assert reason not in (Reason.INTERNAL, Reason.OK)


def patterns() -> set[str]:
    """Return every pattern of the tables."""
    tables = [refusals._EHLO, WRONG_CREDENTIAL, OTHER_CAUSE, LATER]
    for of_protocol in (refusals._TEXTS, refusals._LOGIN_CODES, refusals._CODES):
        tables += of_protocol.values()
    return {pattern.pattern for table in tables for pattern, _ in table}


@pytest.mark.parametrize("pattern", sorted(patterns()))
def test_bounded(pattern: str) -> None:
    """Between the words of a pattern is a gap of a fixed length: the time to search grows with the text's length."""
    assert not re.search(r"(?:\.|\])[*+]|,\}", pattern)


# EHLO

EHLO_TEXTS = [
    # Postfix
    ("504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname", Reason.EHLO_INVALID),
    ("501 5.5.2 <pro_be>: Helo command rejected: Invalid name", Reason.EHLO_INVALID),
    ("450 4.7.1 <probe.example.com>: Helo command rejected: Host not found", Reason.EHLO_INVALID),
    ("550 5.7.1 <probe.example.com>: Helo command rejected: You are not me", Reason.EHLO_INVALID),
    ("554 5.7.1 <[192.0.2.1]>: Helo command rejected: Access denied", Reason.EHLO_INVALID),
    ("501 Syntax: EHLO hostname", Reason.EHLO_INVALID),
    ("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", Reason.MX_NO_PTR),
    ("450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", Reason.MX_NO_PTR),
    # Exim, Sendmail, Exchange, hMailServer, Courier, Haraka
    ("501 Syntactically invalid EHLO argument(s)", Reason.EHLO_INVALID),
    ("550 HELO should be a FQDN or address literal (See RFC 2821 4.1.1.1)", Reason.EHLO_INVALID),
    ("550 Bad HELO - Host impersonating [192.0.2.1]", Reason.EHLO_INVALID),
    ("501 5.0.0 Invalid domain name", Reason.EHLO_INVALID),
    ("501 5.0.0 EHLO requires domain address", Reason.EHLO_INVALID),
    ("501 5.5.4 Invalid domain name", Reason.EHLO_INVALID),
    ("501 EHLO Invalid domain address.", Reason.EHLO_INVALID),
    ("517 5.1.8 Invalid HELO/EHLO greeting", Reason.EHLO_INVALID),
    ("554 5.1.8 Invalid HELO/EHLO greeting", Reason.EHLO_INVALID),
    ("550 No address literals", Reason.EHLO_INVALID),
    ("550 bracketed IP not accepted", Reason.EHLO_INVALID),
    ("421 4.7.0 localhost not accepted", Reason.EHLO_INVALID),
    ("550 your hostname does not resolve", Reason.EHLO_INVALID),
    # Gmail and its relay
    ("421-4.7.0 Try again later, closing connection. (EHLO)\n421 4.7.0  https://support.google.com/a/answer/3221692",
     Reason.EHLO_INVALID),
    ('501-5.5.4 HELO/EHLO argument "localhost" invalid, closing connection.\n501 5.5.4  https://support.google.com/mail/'
     "?p=helo", Reason.EHLO_INVALID),
    # Policies of people
    ("550 REJECTED: generic name", Reason.EHLO_INVALID),
    ("552 5.7.1 Do not use our own name", Reason.EHLO_INVALID),
    ("553 5.5.2 sender name must be fully qualified", Reason.EHLO_INVALID),
    ("554 Policy violation: your EHLO name is in our domain", Reason.EHLO_INVALID),
    ("550 Your machine introduces itself as localhost", Reason.EHLO_INVALID),
    ("550 Underscores are not allowed", Reason.EHLO_INVALID),
    ("550 bad greeting", Reason.EHLO_INVALID),
    ("500-5.5.1 no\n550 5.5.2 HELO bad", Reason.EHLO_INVALID),
    ("250-mail.example.com\n550 HELO rejected", Reason.EHLO_INVALID),
    ("550 No PTR for 192.0.2.1", Reason.MX_NO_PTR),
    ("550 rDNS does not match", Reason.MX_NO_PTR),
    # A code alone
    ("501", Reason.EHLO_INVALID),
    ("501 5.5.4 Syntax error in parameters or arguments", Reason.EHLO_INVALID),
    ("504 5.5.4 Command parameter not implemented", Reason.EHLO_INVALID),
    # Not the argument
    ("421 4.7.0 Try again later, closing connection.", Reason.EHLO_THROTTLED),
    ("421 4.3.2 Service shutting down", Reason.SERVER_BUSY),
    ("421 too many connections", Reason.SERVER_BUSY),
    ("550 5.7.1 Service unavailable", Reason.SERVER_REFUSED),
    ("554 5.7.1 Go away", Reason.SERVER_REFUSED),
    ("503 5.5.1 EHLO/HELO first", Reason.PROTOCOL_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), EHLO_TEXTS)
def test_ehlo(text: str, reason: Reason) -> None:
    """An answer to EHLO that names what EHLO says has a reason of its own, in any case."""
    for changed in (text, text.swapcase()):
        lines = [b"220 ready", *(line.encode() for line in changed.split("\n"))]
        _, error = talk(Protocol.SMTP, Plan(CLIENT_NAME), lines)
        assert isinstance(error, Refusal)
        assert classify(error, Phase.CAPABILITY, Protocol.SMTP) is reason


def test_ehlo_words_elsewhere() -> None:
    """The words are those of an answer to EHLO, and of nothing else."""
    for text in (
        b"550 invalid domain",
        b"550 our own name",
        b"421 4.7.0 Try again later, closing connection.",
        b"501 x",
    ):
        assert reason_of_refusal(Refusal(text), Phase.GREETING, Protocol.SMTP) is Reason.SERVER_REFUSED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname", Reason.EHLO_INVALID),
        (b"550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", Reason.EHLO_INVALID),
        (b"550 EHLO argument rejected", Reason.EHLO_INVALID),
        (b"450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", Reason.MX_NO_PTR),
    ],
)
@pytest.mark.parametrize("phase", [Phase.LOGIN, Phase.FOLDERS])
def test_ehlo_that_is_judged_later(text: bytes, reason: Reason, phase: Phase) -> None:
    """Postfix judges EHLO in answer to RCPT, unless it is told otherwise; others do in answer to AUTH."""
    assert reason_of_refusal(Refusal(text), phase, Protocol.SMTP) is reason
