"""Exceptions → reasons: every text of the catalogue of Gmail's refusals, and every kind of exception."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from itertools import product
from typing import TYPE_CHECKING

import pytest
from aiodns import error as ares
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing import dialogue, imap, pop3, smtp
from exporter.probing.classify import classify, describe
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dialogue import DialogueError, Refusal
from exporter.probing.resolve import AddressFamilyUnavailable, NoAddress
from tests.probing.catalogue import CATALOGUE, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TEXTS = [pytest.param(protocol, row, id=f"{protocol} {row}") for protocol, rows in CATALOGUE.items() for row in rows]

READERS: dict[Protocol, Callable[[], dialogue.Dialogue[object]]] = {
    Protocol.IMAP: lambda: imap._read_answer(b"a1", []),
    Protocol.POP3: pop3._read_reply,
    Protocol.SMTP: lambda: smtp._expect(250),
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
@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.LOGIN])
@pytest.mark.parametrize(
    ("temporary", "reason"), [(True, Reason.SERVER_BUSY), (False, Reason.SERVER_REFUSED), (None, Reason.SERVER_REFUSED)]
)
def test_unknown_text(protocol: Protocol, phase: Phase, temporary: bool | None, reason: Reason) -> None:
    """An unknown text has the general reason of a temporary refusal, or that of another one."""
    assert classify(Refusal(b"nothing known", temporary=temporary), phase, protocol) is reason


@pytest.mark.parametrize(
    ("protocol", "text", "at_login", "elsewhere"),
    [
        (Protocol.IMAP, b"NO [EXPIRED] x", Reason.AUTH_INVALID_CREDENTIALS, Reason.SERVER_REFUSED),
        (Protocol.POP3, b"bad command", Reason.SASL_MALFORMED, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"535 5.7.3 x", Reason.AUTH_INVALID_CREDENTIALS, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"501 x", Reason.SASL_MALFORMED, Reason.SERVER_REFUSED),
        (Protocol.SMTP, b"5350 x", Reason.SERVER_REFUSED, Reason.SERVER_REFUSED),
    ],
)
def test_codes_of_a_login(protocol: Protocol, text: bytes, at_login: Reason, elsewhere: Reason) -> None:
    """A code that has a meaning in a login has none elsewhere."""
    assert classify(Refusal(text), Phase.LOGIN, protocol) is at_login
    assert classify(Refusal(text), Phase.CAPABILITY, protocol) is elsewhere


def test_long_refusal() -> None:
    """Only the beginning of an endless refusal is matched."""
    words = b" invalid credentials"
    assert classify(Refusal(b"x" * 1000 + words), Phase.LOGIN, Protocol.IMAP) is Reason.AUTH_INVALID_CREDENTIALS
    assert classify(Refusal(b"x" * 1_000_000 + words), Phase.LOGIN, Protocol.IMAP) is Reason.SERVER_REFUSED


def _verification(code: int, message: str = "certificate has expired") -> ssl.SSLCertVerificationError:
    # As OpenSSL raises them.
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_code, error.verify_message = code, message
    return error


def _tls(kind: type[ssl.SSLError], number: int, text: str, reason: str | None) -> ssl.SSLError:
    error = kind(number, text)
    error.reason = reason  # type: ignore[assignment] # None where OpenSSL gives none
    return error


# fmt: off
EXCEPTIONS: list[tuple[BaseException, Phase, Reason, str]] = [
    (ares.DNSError(ares.ARES_ENOTFOUND, "Domain name not found"), Phase.RESOLVE, Reason.DNS_NOT_FOUND,
     "Domain name not found"),
    (ares.DNSError(ares.ARES_ENODATA, "no data"), Phase.RESOLVE, Reason.DNS_NO_ADDRESS, "no data"),
    (ares.DNSError(ares.ARES_ETIMEOUT, "Timeout while contacting DNS servers"), Phase.RESOLVE, Reason.TIMEOUT,
     "Timeout while contacting DNS servers"),
    (ares.DNSError(ares.ARES_ESERVFAIL, "DNS server returned general failure"), Phase.RESOLVE, Reason.DNS_ERROR,
     "DNS server returned general failure"),
    (ares.DNSError(ares.ARES_EREFUSED, "refused"), Phase.RESOLVE, Reason.DNS_ERROR, "refused"),
    (ares.DNSError(), Phase.RESOLVE, Reason.DNS_ERROR, "DNSError"),
    (ares.DNSError(ares.ARES_ESERVFAIL), Phase.RESOLVE, Reason.DNS_ERROR, "3"),
    (NoAddress("x has no IPv6 address"), Phase.RESOLVE, Reason.DNS_NO_ADDRESS, "x has no IPv6 address"),
    (AddressFamilyUnavailable("no route"), Phase.CONNECT, Reason.ADDRESS_FAMILY_UNAVAILABLE, "no route"),
    (_verification(9, "certificate is not yet valid"), Phase.TLS, Reason.CERTIFICATE_NOT_YET_VALID,
     "certificate is not yet valid"),
    (_verification(10), Phase.TLS, Reason.CERTIFICATE_EXPIRED, "certificate has expired"),
    (_verification(62, "Hostname mismatch"), Phase.TLS, Reason.CERTIFICATE_HOSTNAME_MISMATCH, "Hostname mismatch"),
    (_verification(64, "IP address mismatch"), Phase.TLS, Reason.CERTIFICATE_HOSTNAME_MISMATCH, "IP address mismatch"),
    (_verification(18, "self-signed certificate"), Phase.TLS, Reason.CERTIFICATE_UNTRUSTED, "self-signed certificate"),
    (_verification(20, "unknown issuer"), Phase.TLS, Reason.CERTIFICATE_UNTRUSTED, "unknown issuer"),
    (ssl.SSLCertVerificationError("no code at all"), Phase.TLS, Reason.CERTIFICATE_UNTRUSTED, "('no code at all',)"),
    (_tls(ssl.SSLError, 1, "[SSL: WRONG_VERSION_NUMBER] wrong (_ssl.c:1)", "WRONG_VERSION_NUMBER"), Phase.TLS,
     Reason.TLS_FAILED, "wrong version number"),
    (_tls(ssl.SSLEOFError, 8, "EOF occurred in violation of protocol", None), Phase.TLS, Reason.TLS_FAILED,
     "EOF occurred in violation of protocol"),
    (_tls(ssl.SSLError, 1, "[SSL: BAD_RECORD_MAC]", "BAD_RECORD_MAC"), Phase.LOGIN, Reason.TLS_FAILED,
     "bad record mac"),
    (ssl.SSLError(1, "made without OpenSSL"), Phase.TLS, Reason.TLS_FAILED, "made without OpenSSL"),
    (ssl.SSLError(), Phase.TLS, Reason.TLS_FAILED, "()"),
    (TimeoutError("no answer within 10 s"), Phase.GREETING, Reason.TIMEOUT, "no answer within 10 s"),
    (TimeoutError(), Phase.CONNECT, Reason.TIMEOUT, "TimeoutError"),
    (OSError(errno.ETIMEDOUT, "Connect call failed ('192.0.2.1', 993)"), Phase.CONNECT, Reason.TIMEOUT,
     "Connection timed out"),
    (OSError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 993)"), Phase.CONNECT, Reason.REFUSED,
     "Connection refused"),
    (OSError(errno.ECONNRESET, "x"), Phase.LOGIN, Reason.RESET, "Connection reset by peer"),
    (OSError(errno.EPIPE, "x"), Phase.LOGIN, Reason.RESET, "Broken pipe"),
    (OSError(errno.ECONNABORTED, "x"), Phase.TLS, Reason.RESET, "Software caused connection abort"),
    (OSError(errno.ENETUNREACH, "x"), Phase.CONNECT, Reason.UNREACHABLE, "Network is unreachable"),
    (OSError(errno.EHOSTUNREACH, "x"), Phase.GREETING, Reason.UNREACHABLE, "No route to host"),
    (OSError(errno.EACCES, "x"), Phase.CONNECT, Reason.UNREACHABLE, "Permission denied"),
    (OSError(errno.EADDRNOTAVAIL, "x"), Phase.CONNECT, Reason.UNREACHABLE, "Cannot assign requested address"),
    (OSError("Multiple exceptions: …"), Phase.CONNECT, Reason.UNREACHABLE, "Multiple exceptions: …"),
    (OSError(errno.EMFILE, "x"), Phase.CONNECT, Reason.INTERNAL, "Too many open files"),
    (OSError(errno.EIO, "x"), Phase.RESOLVE, Reason.DNS_ERROR, "Input/output error"),
    (OSError(errno.EIO, "x"), Phase.LOGIN, Reason.RESET, "Input/output error"),
    (OSError("x", "y"), Phase.LOGIN, Reason.RESET, "y"),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Phase.CONNECT, Reason.UNREACHABLE,
     "Name or service not known"),
    (ConnectionClosed("the server closed the connection"), Phase.GREETING, Reason.CLOSED,
     "the server closed the connection"),
    (PlaintextInjected("3 octets"), Phase.TLS, Reason.STARTTLS_INJECTION, "3 octets"),
    (dialogue.StartTLSUnavailable(), Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE, "StartTLSUnavailable"),
    (dialogue.ProtocolViolation("x"), Phase.GREETING, Reason.PROTOCOL_VIOLATION, "x"),
    (dialogue.ResponseTooLarge("x"), Phase.FOLDERS, Reason.RESPONSE_TOO_LARGE, "x"),
    (dialogue.MechanismUnavailable("x"), Phase.LOGIN, Reason.LOGIN_MECHANISM_UNAVAILABLE, "x"),
    (dialogue.CredentialUnavailable("x"), Phase.LOGIN, Reason.CREDENTIAL_UNAVAILABLE, "x"),
    (dialogue.FolderHidden("not visible: sent"), Phase.FOLDERS, Reason.FOLDER_HIDDEN, "not visible: sent"),
    (Refusal(b"NO \xff\xc3\xa4"), Phase.FOLDERS, Reason.SERVER_REFUSED, "NO \\xffä"),
    (Refusal(b""), Phase.FOLDERS, Reason.SERVER_REFUSED, "Refusal"),
    (ValueError("a bug"), Phase.LOGIN, Reason.INTERNAL, "a bug"),
    (IndexError(), Phase.LOGIN, Reason.INTERNAL, "IndexError"),
]
# fmt: on


@pytest.mark.parametrize(
    ("error", "phase", "reason", "words"),
    [pytest.param(*row, id=f"{type(row[0]).__name__}-{row[3][:40]}-{row[1]}") for row in EXCEPTIONS],
)
@pytest.mark.parametrize("protocol", Protocol)
def test_exception(error: BaseException, phase: Phase, reason: Reason, words: str, protocol: Protocol) -> None:
    """Each exception has its reason, on every protocol, and the most helpful text."""
    assert classify(error, phase, protocol) is reason
    assert describe(error) == words


def _kinds(base: type[BaseException]) -> Iterator[type[BaseException]]:
    """Return `base` and all exceptions of Python's own modules that derive from it."""
    yield base
    for kind in base.__subclasses__():
        if kind.__module__ in ("builtins", "ssl", "socket", "_ssl"):
            yield from _kinds(kind)


@pytest.mark.parametrize(
    "kind", sorted({*_kinds(OSError), *_kinds(ares.DNSError)}, key=str), ids=lambda kind: kind.__name__
)
def test_every_os_error(kind: type[BaseException]) -> None:
    """No error of the operating system, OpenSSL or c-ares is a fault of this program, except a lack of resources."""
    numbers = [getattr(errno, name) for name in dir(errno) if name.startswith("E")]
    scarce = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
    for phase, protocol in product(Phase, Protocol):
        for arguments in [(), ("text",), *((number, "text") for number in {*numbers, *range(-11, 30)} - scarce)]:
            error = kind(*arguments)
            assert classify(error, phase, protocol) not in (Reason.INTERNAL, Reason.OK)
            assert describe(error)


def test_every_verification_code() -> None:
    """Every verification error of OpenSSL has a reason about the certificate."""
    reasons = {classify(_verification(code), Phase.TLS, Protocol.IMAP) for code in range(1, 200)}
    assert reasons == {
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NOT_YET_VALID,
        Reason.CERTIFICATE_HOSTNAME_MISMATCH,
        Reason.CERTIFICATE_UNTRUSTED,
    }


@pytest.mark.parametrize("kind", DialogueError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_dialogue_error(kind: type[DialogueError]) -> None:
    """No error of a dialogue is a fault of this program."""
    error = Refusal(b"no") if kind is Refusal else kind("words")
    for phase, protocol in product(Phase, Protocol):
        assert classify(error, phase, protocol) not in (Reason.INTERNAL, Reason.OK)


@given(
    text=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
    temporary=st.sampled_from([None, True, False]),
    phase=st.sampled_from(Phase),
    protocol=st.sampled_from(Protocol),
)
def test_any_refusal(text: bytes, temporary: bool | None, phase: Phase, protocol: Protocol) -> None:
    """Any refusal of a server has a reason and a text."""
    error = Refusal(text, temporary=temporary)
    assert classify(error, phase, protocol) not in (Reason.INTERNAL, Reason.OK)
    assert describe(error)


@given(number=st.integers(-(2**31), 2**31 - 1), phase=st.sampled_from(Phase), protocol=st.sampled_from(Protocol))
def test_any_number(number: int, phase: Phase, protocol: Protocol) -> None:
    """Any error number has a reason and a text."""
    error = OSError(number, os.strerror(number))
    assert isinstance(classify(error, phase, protocol), Reason)
    assert describe(error)
