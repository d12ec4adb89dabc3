"""Exceptions → reasons: every kind of exception. The texts of refusals are in `test_refusals`."""

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
from exporter.probing import dialogue
from exporter.probing.classify import classify, describe
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dialogue import DialogueError, Refusal
from exporter.probing.resolve import AddressFamilyUnavailable, NoAddress

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    (OSError(errno.EMFILE, "x"), Phase.CONNECT, Reason.FILES_USED_UP, "Too many open files"),
    (OSError(errno.EIO, "x"), Phase.RESOLVE, Reason.DNS_ERROR, "Input/output error"),
    (OSError(errno.EIO, "x"), Phase.LOGIN, Reason.RESET, "Input/output error"),
    (OSError("x", "y"), Phase.LOGIN, Reason.RESET, "y"),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Phase.CONNECT, Reason.UNREACHABLE,
     "Name or service not known"),
    (ConnectionClosed("the server closed the connection"), Phase.GREETING, Reason.CLOSED,
     "the server closed the connection"),
    (PlaintextInjected("3 octets"), Phase.TLS, Reason.STARTTLS_INJECTION, "3 octets"),
    (dialogue.StartTLSUnavailable(), Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE, "StartTLSUnavailable"),
    (dialogue.PreauthBeforeTLS("why"), Phase.GREETING, Reason.STARTTLS_PREAUTH, "why"),
    (dialogue.PreauthBeforeLogin("why"), Phase.LOGIN, Reason.LOGIN_PREAUTH, "why"),
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


@given(number=st.integers(-(2**31), 2**31 - 1), phase=st.sampled_from(Phase), protocol=st.sampled_from(Protocol))
def test_any_number(number: int, phase: Phase, protocol: Protocol) -> None:
    """Any error number has a reason and a text."""
    error = OSError(number, os.strerror(number))
    assert isinstance(classify(error, phase, protocol), Reason)
    assert describe(error)
