"""Why a probe failed: exception → Reason, total. What a server's refusal says is read in `refusals`."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from aiodns.error import ARES_EBADNAME, ARES_ENODATA, ARES_ENOTFOUND, ARES_ETIMEOUT, DNSError

from exporter.host.reserve import USED_UP
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.client_tls import AuthoritiesUnreadable
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dane import DaneMismatch
from exporter.probing.dialogue import (
    CannotClear,
    CredentialUnavailable,
    FolderHidden,
    MechanismUnavailable,
    MessageTooLarge,
    PreauthBeforeLogin,
    PreauthBeforeTLS,
    ProtocolViolation,
    Refusal,
    ResponseTooLarge,
    StartTLSUnavailable,
)
from exporter.probing.public import NotPublic
from exporter.probing.refusals import reason_of_refusal
from exporter.probing.resolve import OUT_OF_RESOURCES, AddressFamilyUnavailable, NoAddress, NotAName


def classify(error: BaseException, phase: Phase, protocol: Protocol, *, with_token: bool = False) -> Reason:
    """Return why `error` ended `phase`; an unknown error is `Reason.INTERNAL`, a fault of this program.

    Servers refuse an access token with the same text as a wrong password: `with_token` tells them apart.
    """
    match error:
        case Refusal():
            reason = reason_of_refusal(error, phase, protocol)
            refused_token = with_token and reason is Reason.AUTH_INVALID_CREDENTIALS
            return Reason.OAUTH_TOKEN_REJECTED if refused_token else reason
        case CredentialUnavailable():
            return error.reason
        case DNSError():
            return next((_OF_DNS_ERROR[code] for code in error.args[:1] if code in _OF_DNS_ERROR), Reason.DNS_ERROR)
        case ssl.SSLCertVerificationError():
            # One that OpenSSL did not raise has no code.
            return _OF_VERIFY_CODE.get(getattr(error, "verify_code", 0), Reason.CERTIFICATE_UNTRUSTED)
        case OSError():
            return _of_os_error(error, phase)
    return next((reason for kind, reason in _OF_EXCEPTION if isinstance(error, kind)), Reason.INTERNAL)


OUR_OWN = (
    DaneMismatch,
    NoAddress,
    NotAName,
    NotPublic,
    AddressFamilyUnavailable,
    ConnectionClosed,
    AuthoritiesUnreadable,
    StartTLSUnavailable,
    PreauthBeforeLogin,
    PreauthBeforeTLS,
    CredentialUnavailable,
    MessageTooLarge,
    CannotClear,
    TimeoutError,
)
"""Errors whose text is our own alone: no server, and no library, has a word in it."""


def describe(error: BaseException) -> str:
    """Return the text of an error, from the server, the operating system or OpenSSL."""
    match error:
        case ssl.SSLCertVerificationError(verify_message=str(text)) if text:
            pass
        case ssl.SSLError(reason=str(text)) if text:
            text = text.replace("_", " ").lower()
        case DNSError(args=(*_, str(text))):
            pass
        # OpenSSL and getaddrinfo have numbers of their own.
        case OSError(errno=int(number)) if not isinstance(error, (ssl.SSLError, socket.gaierror)):
            text = os.strerror(number)
        case OSError(strerror=str(text)) if text:
            pass
        case _:
            text = str(error)
    return text or type(error).__name__


_OF_EXCEPTION: tuple[tuple[type[BaseException], Reason], ...] = (
    (NoAddress, Reason.DNS_NO_ADDRESS),
    (DaneMismatch, Reason.DANE_MISMATCH),
    (NotAName, Reason.MX_ADDRESS_LITERAL),
    (NotPublic, Reason.ADDRESS_NOT_PUBLIC),
    (AddressFamilyUnavailable, Reason.ADDRESS_FAMILY_UNAVAILABLE),
    (ConnectionClosed, Reason.CLOSED),
    (AuthoritiesUnreadable, Reason.CERTIFICATE_UNTRUSTED),
    (PlaintextInjected, Reason.STARTTLS_INJECTION),
    (StartTLSUnavailable, Reason.STARTTLS_UNAVAILABLE),
    (PreauthBeforeTLS, Reason.STARTTLS_PREAUTH),
    (PreauthBeforeLogin, Reason.LOGIN_PREAUTH),
    (ProtocolViolation, Reason.PROTOCOL_VIOLATION),
    (ResponseTooLarge, Reason.RESPONSE_TOO_LARGE),
    (MechanismUnavailable, Reason.LOGIN_MECHANISM_UNAVAILABLE),
    (FolderHidden, Reason.FOLDER_HIDDEN),
    (MessageTooLarge, Reason.MESSAGE_LIMIT),
    (CannotClear, Reason.MESSAGE_NOT_CLEARED),
)

_OF_DNS_ERROR = {
    ARES_ENOTFOUND: Reason.DNS_NOT_FOUND,
    ARES_EBADNAME: Reason.DNS_NOT_FOUND,  # an MX record may name what no host can be called
    ARES_ENODATA: Reason.DNS_NO_ADDRESS,
    ARES_ETIMEOUT: Reason.TIMEOUT,
}

# OpenSSL's X509_V_ERR_*; what is not here (unknown issuer, self-signed, revoked, weak key, …) is untrusted.
_OF_VERIFY_CODE = {
    9: Reason.CERTIFICATE_NOT_YET_VALID,
    10: Reason.CERTIFICATE_EXPIRED,
    62: Reason.CERTIFICATE_HOSTNAME_MISMATCH,
    64: Reason.CERTIFICATE_HOSTNAME_MISMATCH,  # of an IP address
}

_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES, errno.EPERM}
)


def _of_os_error(error: OSError, phase: Phase) -> Reason:
    match error:
        case TimeoutError():
            return Reason.TIMEOUT
        case ConnectionRefusedError():
            return Reason.REFUSED
        case ssl.SSLError():
            return Reason.TLS_FAILED
        case ConnectionError():
            return Reason.RESET
    if error.errno in USED_UP:
        return Reason.FILES_USED_UP
    if error.errno in OUT_OF_RESOURCES:
        return Reason.INTERNAL
    if error.errno in _UNREACHABLE or phase is Phase.CONNECT:
        return Reason.UNREACHABLE
    return Reason.DNS_ERROR if phase is Phase.RESOLVE else Reason.RESET
