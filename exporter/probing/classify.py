"""Why a probe failed: exception → Reason, total.

A refusal is matched in this order: Gmail's texts, each by the part that has not changed over the years; then the
protocol's response codes; then whether it is temporary. Session ids and addresses that Gmail adds are never matched.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

from aiodns.error import ARES_ENODATA, ARES_ENOTFOUND, ARES_ETIMEOUT, DNSError

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.client_tls import AuthoritiesUnreadable
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dialogue import (
    CredentialUnavailable,
    FolderHidden,
    MechanismUnavailable,
    ProtocolViolation,
    Refusal,
    ResponseTooLarge,
    StartTLSUnavailable,
)
from exporter.probing.public import NotPublic
from exporter.probing.redact import MAX_TEXT
from exporter.probing.resolve import OUT_OF_RESOURCES, AddressFamilyUnavailable, NoAddress


def classify(error: BaseException, phase: Phase, protocol: Protocol, *, with_token: bool = False) -> Reason:
    """Return why `error` ended `phase`; an unknown error is `Reason.INTERNAL`, a fault of this program.

    Servers refuse an access token with the same text as a wrong password: `with_token` tells them apart.
    """
    match error:
        case Refusal():
            reason = _of_refusal(error, phase, protocol)
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
    (NotPublic, Reason.ADDRESS_NOT_PUBLIC),
    (AddressFamilyUnavailable, Reason.ADDRESS_FAMILY_UNAVAILABLE),
    (ConnectionClosed, Reason.CLOSED),
    (AuthoritiesUnreadable, Reason.CERTIFICATE_UNTRUSTED),
    (PlaintextInjected, Reason.STARTTLS_INJECTION),
    (StartTLSUnavailable, Reason.STARTTLS_UNAVAILABLE),
    (ProtocolViolation, Reason.PROTOCOL_VIOLATION),
    (ResponseTooLarge, Reason.RESPONSE_TOO_LARGE),
    (MechanismUnavailable, Reason.LOGIN_MECHANISM_UNAVAILABLE),
    (FolderHidden, Reason.FOLDER_HIDDEN),
)

_OF_DNS_ERROR = {
    ARES_ENOTFOUND: Reason.DNS_NOT_FOUND,
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
    if error.errno in OUT_OF_RESOURCES:
        return Reason.INTERNAL
    if error.errno in _UNREACHABLE or phase is Phase.CONNECT:
        return Reason.UNREACHABLE
    return Reason.DNS_ERROR if phase is Phase.RESOLVE else Reason.RESET


def _of_refusal(refusal: Refusal, phase: Phase, protocol: Protocol) -> Reason:
    text = str(refusal)[:MAX_TEXT]
    for pattern, reason in _TEXTS[protocol]:
        if pattern.search(text):
            return reason
    if phase is Phase.LOGIN:
        for pattern, reason in _LOGIN_CODES[protocol]:
            if pattern.search(text):
                return reason
    return Reason.SERVER_BUSY if refusal.temporary else Reason.SERVER_REFUSED


_Rules = tuple[tuple[re.Pattern[str], Reason], ...]


def _rules(*rows: tuple[str, Reason]) -> _Rules:
    return tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in rows)


# The same texts on every protocol. Texts come before codes: [ALERT] and 421 4.7.0 have many meanings.
_SIGN_IN = (
    (r"application-specific password required|p=InvalidSecondFactor", Reason.AUTH_APP_PASSWORD_REQUIRED),
    (
        r"web login required|log in (?:via|with) your web browser|\[WEBALERT|p=WebLoginRequired",
        Reason.AUTH_WEB_LOGIN_REQUIRED,
    ),
)

_IMAP = _rules(
    *_SIGN_IN,
    (r"not enabled for IMAP use", Reason.DISABLED_FOR_ACCOUNT),
    (r"IMAP access is disabled for your domain", Reason.DISABLED_FOR_DOMAIN),
    (r"too many simultaneous connections", Reason.TOO_MANY_CONNECTIONS),
    (r"lookup failed", Reason.AUTH_ACCOUNT_LOOKUP_FAILED),
    (r"invalid SASL argument", Reason.SASL_MALFORMED),
    (r"exceeded (?:command or )?bandwidth limits", Reason.BANDWIDTH_EXCEEDED),
    (r"temporary system (?:error|problem)", Reason.TEMPORARY_SYSTEM_ERROR),
    (r"session expired", Reason.SESSION_EXPIRED),
    (r"system error", Reason.SYSTEM_ERROR),
    (r"unknown (?:mailbox|folder)|\[NONEXISTENT\]", Reason.MAILBOX_MISSING),
    (r"could not parse command|\[CLIENTBUG\]", Reason.BAD_COMMAND),
    (r"some messages could not be fetched", Reason.PARTIAL_FETCH),
    (r"invalid credentials|\[AUTHENTICATIONFAILED\]", Reason.AUTH_INVALID_CREDENTIALS),
    (r"\[THROTTLED\]", Reason.THROTTLED),
    (r"\[PRIVACYREQUIRED\]", Reason.STARTTLS_REQUIRED),  # RFC 5530 §3
    (r"^BAD\b", Reason.BAD_COMMAND),
)

_POP3 = _rules(
    *_SIGN_IN,
    (r"not enabled for POP access", Reason.DISABLED_FOR_ACCOUNT),
    (r"POP access is disabled for your domain", Reason.DISABLED_FOR_DOMAIN),
    (r"temporary system problem", Reason.TEMPORARY_SYSTEM_ERROR),
    (r"\[IN-USE\]", Reason.MAILBOX_IN_USE),  # RFC 2449 §8.1.2
    (r"\[LOGIN-DELAY\]", Reason.LOGIN_DELAY),  # RFC 2449 §8.1.1
    (r"username and password not accepted|invalid credentials|\[AUTH\]", Reason.AUTH_INVALID_CREDENTIALS),
    (r"malformed command|command not understood", Reason.BAD_COMMAND),
)

_SMTP = _rules(
    *_SIGN_IN,
    (r"invalid credentials for relay|mail relay denied", Reason.RELAY_DENIED),
    (r"SMTP relay limit exceeded", Reason.RELAY_LIMIT),
    (r"username and password not accepted|p=BadCredentials", Reason.AUTH_INVALID_CREDENTIALS),
    (r"too many login attempts", Reason.LOGIN_RATE_LIMITED),
    (r"cannot authenticate due to temporary|temporary authentication failure", Reason.AUTH_TEMPORARY),
    (r"must issue a STARTTLS command first", Reason.STARTTLS_REQUIRED),
    (r"authentication required|p=WantAuthError", Reason.AUTH_MISSING),
    (r"unrecognized authentication type|XOAUTH is no longer supported", Reason.AUTH_MECHANISM),
    (r"cannot decode response|optional argument not permitted", Reason.SASL_MALFORMED),
    (r"mail sending denied", Reason.ACCOUNT_DISABLED),
    (r"HELO/EHLO argument|p=helo\b", Reason.EHLO_INVALID),
    (r"try again later, closing connection", Reason.EHLO_THROTTLED),
    (r"temporary system problem|temporarily rejected message", Reason.TEMPORARY_SYSTEM_ERROR),
    (r"server busy", Reason.SERVER_BUSY),
    (r"connection expired", Reason.SESSION_EXPIRED),
    (r"timeout - closing connection", Reason.IDLE_TIMEOUT),
    (r"daily (?:user )?sending (?:limit|quota)", Reason.SENDING_LIMIT),
    (r"too many recipients|^552 5\.(?:3\.4|2\.3)\b", Reason.MESSAGE_LIMIT),
    # Google's MX hosts
    (r"PTR record|IPv6 sending guidelines|^\d+ [45]\.7\.(?:23|25)\b", Reason.MX_NO_PTR),
    (r"not authorized to send email directly|p=NotAuthorizedError", Reason.MX_IP_NOT_AUTHORIZED),
    (
        r"sender is unauthenticated|authenticate with either SPF or DKIM|^\d+ [45]\.7\.(?:26|27|30|32)\b",
        Reason.MX_SENDER_UNAUTHENTICATED,
    ),
    (r"unusual rate of|^\d+ [45]\.7\.28\b", Reason.MX_RATE_LIMITED),
    (r"very low reputation", Reason.MX_BAD_REPUTATION),
    (r"for RCPT domain", Reason.MX_POLICY),
    (r"tried to reach does not exist", Reason.MX_USER_UNKNOWN),
    (r"tried to reach is (?:disabled|inactive)|p=DisabledUser", Reason.MX_USER_DISABLED),
    (r"out of storage|over quota|p=OverQuota", Reason.MX_MAILBOX_FULL),
    (r"receiving mail too quickly|at a rate that prevents", Reason.MX_RECIPIENT_RATE),
    (
        r"un(?:recognized|implemented) command|too many un\w+ commands|(?:EHLO/HELO|MAIL|RCPT) first"
        r"|bad sequence of commands|no identity changes|STARTTLS may not be repeated|pipeline after STARTTLS"
        r"|^555 5\.5\.2\b",
        Reason.PROTOCOL_ERROR,
    ),
)

_TEXTS = {Protocol.IMAP: _IMAP, Protocol.POP3: _POP3, Protocol.SMTP: _SMTP}

# What a code alone means in a login, for texts of other servers.
_LOGIN_CODES = {
    Protocol.IMAP: _rules((r"\[(?:AUTHORIZATIONFAILED|EXPIRED)\]", Reason.AUTH_INVALID_CREDENTIALS)),  # RFC 5530 §3
    Protocol.POP3: _rules((r"bad command", Reason.SASL_MALFORMED)),
    Protocol.SMTP: _rules(  # RFC 4954 §6
        (r"^535\b", Reason.AUTH_INVALID_CREDENTIALS),
        (r"^454\b", Reason.AUTH_TEMPORARY),
        (r"^504\b", Reason.AUTH_MECHANISM),
        (r"^501\b", Reason.SASL_MALFORMED),
        (r"^530\b", Reason.AUTH_MISSING),
        (r"^538\b", Reason.STARTTLS_REQUIRED),
    ),
}
