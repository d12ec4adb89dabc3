"""What a server's refusal means: its text → Reason.

The rules are tried in this order, and the first that fits decides:

1. Gmail's texts, each by the part that has not changed over the years; session ids and addresses are never matched;
2. in a login, the words of servers of any make: see `refused_logins`;
3. the protocol's response codes;
4. whether the refusal is temporary. What is left of a login, and answers a credential, refuses that credential: it is
   the account's fault, and the same credential must not be sent again and again.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.dialogue import MAX_TEXT, Refusal
from exporter.probing.refused_logins import FAILED, LATER, OTHER_CAUSE, WRONG_CREDENTIAL, Table, table


def reason_of_refusal(refusal: Refusal, phase: Phase, protocol: Protocol) -> Reason:
    """Return what a refusal in `phase` means. Only the beginning of an endless text is read."""
    reason = _reason_of(refusal, phase, protocol)
    # A server knows the command that it offers: what does not is something in between, or set up wrongly.
    if phase is Phase.STARTTLS and reason in (Reason.BAD_COMMAND, Reason.SERVER_REFUSED):
        return Reason.STARTTLS_UNAVAILABLE
    return reason


def _reason_of(refusal: Refusal, phase: Phase, protocol: Protocol) -> Reason:
    text = str(refusal)[:MAX_TEXT]
    for rows in _tables_of(refusal, phase, protocol):
        for pattern, reason in rows:
            if pattern.search(text):
                return reason
    if refusal.temporary:
        return Reason.SERVER_BUSY
    # A server that closes the connection ends the session, and need not mean the credential.
    is_of_login = phase is Phase.LOGIN and (refusal.in_step or FAILED.search(text))
    return Reason.AUTH_INVALID_CREDENTIALS if is_of_login and refusal.answers_credential else Reason.SERVER_REFUSED


def _tables_of(refusal: Refusal, phase: Phase, protocol: Protocol) -> Iterator[Table]:
    if protocol is Protocol.SMTP and phase is Phase.CAPABILITY:
        yield _EHLO
    yield _TEXTS[protocol]
    if phase is Phase.LOGIN:
        if not refusal.temporary:
            yield WRONG_CREDENTIAL
        yield OTHER_CAUSE
        yield _LOGIN_CODES[protocol]
    yield _CODES[protocol]
    if phase is Phase.LOGIN:
        yield LATER


# Gmail's texts

# The same on every protocol. Texts come before codes: [ALERT] and 421 4.7.0 have many meanings.
_SIGN_IN = (
    (
        r"application[ -](?:specific )?password (?:is )?required|app[ -](?:specific )?password (?:is )?required"
        r"|p=InvalidSecondFactor|parol prilozheniya|(?:us(?:e|ing)|enter) (?:your |an? )?authori[sz](?:ation|ed) code"
        r"|(?:use|need|requires?|create|generate) (?:\w+ ){0,2}app(?:lication)?[ -](?:specific )?passwords?\b",
        Reason.AUTH_APP_PASSWORD_REQUIRED,
    ),
    (
        r"web login required|log ?in (?:via|with) your web browser|\[WEBALERT|p=WebLoginRequired|unsafe log ?in"
        r"|verify your (?:account|e-?mail|identity)|(?:suspicious|unusual) (?:log ?in|sign.?in|activity)",
        Reason.AUTH_WEB_LOGIN_REQUIRED,
    ),
)

_IMAP = table(
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
    (r"could not parse command", Reason.BAD_COMMAND),
    (r"some messages could not be fetched", Reason.PARTIAL_FETCH),
    # Exchange, in the place of an answer, where it cannot open the mailbox of a user whom it has let in
    (r"user is authenticated but not connected", Reason.SERVER_REFUSED),
    (r"request is throttled", Reason.THROTTLED),
)

_POP3 = table(
    *_SIGN_IN,
    (r"not enabled for POP access", Reason.DISABLED_FOR_ACCOUNT),
    (r"POP access is disabled for your domain", Reason.DISABLED_FOR_DOMAIN),
    (r"temporary system problem", Reason.TEMPORARY_SYSTEM_ERROR),
    (r"malformed command|command not understood", Reason.BAD_COMMAND),
    (r"\[LOGIN-DELAY\]", Reason.LOGIN_DELAY),  # RFC 2449 §8.1.1
)

_SMTP = table(
    *_SIGN_IN,
    (r"invalid credentials for relay|mail relay denied", Reason.RELAY_DENIED),
    (r"SMTP relay limit exceeded", Reason.RELAY_LIMIT),
    (r"username and password not accepted|p=BadCredentials", Reason.AUTH_INVALID_CREDENTIALS),
    (r"too many login attempts", Reason.LOGIN_RATE_LIMITED),
    (r"cannot authenticate due to temporary|temporary authentication failure", Reason.AUTH_TEMPORARY),
    (r"must issue a STARTTLS command first", Reason.STARTTLS_REQUIRED),
    (r"unrecognized authentication type|XOAUTH is no longer supported", Reason.AUTH_MECHANISM),
    (r"cannot decode response|optional argument not permitted", Reason.SASL_MALFORMED),
    (r"mail sending denied", Reason.ACCOUNT_DISABLED),
    (r"temporary system problem|temporarily rejected message", Reason.TEMPORARY_SYSTEM_ERROR),
    (r"server busy", Reason.SERVER_BUSY),
    (r"connection expired", Reason.SESSION_EXPIRED),
    (r"timeout - closing connection", Reason.IDLE_TIMEOUT),
    (r"daily (?:user )?sending (?:limit|quota)", Reason.SENDING_LIMIT),
    (r"too many recipients|^552 5\.(?:3\.4|2\.3)\b", Reason.MESSAGE_LIMIT),
    # Google's MX hosts
    # Postfix judges host and EHLO by default in answer to RCPT, and others do so in answer to AUTH or MAIL.
    (
        r"\b(?:HELO|EHLO) (?:command |name |argument )?(?:rejected|invalid)|\b(?:invalid|bad|bogus) (?:HELO|EHLO)\b",
        Reason.EHLO_INVALID,
    ),
    (
        r"PTR record|cannot find your (?:reverse )?host ?name|IPv6 sending guidelines|^\d+ [45]\.7\.(?:23|25)\b",
        Reason.MX_NO_PTR,
    ),
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
    (r"inbox is out of storage|tried to reach is over quota|p=OverQuota", Reason.MX_MAILBOX_FULL),
    (r"receiving mail too quickly|at a rate that prevents", Reason.MX_RECIPIENT_RATE),
    (
        r"un(?:recognized|implemented) command|too many un\w+ commands|\b(?:EHLO/HELO|MAIL|RCPT) first"
        r"|bad sequence of commands|no identity changes|STARTTLS may not be repeated|pipeline after STARTTLS"
        r"|^555 5\.5\.2\b",
        Reason.PROTOCOL_ERROR,
    ),
)

# What servers of any make say to EHLO: to its argument, which is this host's name; the code of a syntax error in the
# parameters names it, too.
_EHLO = table(
    (
        r"reverse (?:DNS|lookup)|\brDNS\b|\bPTR\b|cannot find your (?:reverse )?host ?name|client host rejected",
        Reason.MX_NO_PTR,
    ),
    (
        r"^(?:421|45\d|5[15]\d)\b.{0,300}(?:\b(?:HELO|EHLO)\b|\bp=helo\b|\bhost ?names?\b|\bFQDN\b"
        r"|\bfully[ -]?qualified|\bliterals?\b|\blocalhost\b|\b(?:bare|bracketed) IP\b"
        r"|\barguments?\b|\binvalid (?:domain|name|host)|\bdomain (?:name|address)|\bgreeting name|\bbad greeting"
        r"|\bintroduc\w+ (?:itself|yourself)|\b(?:our|my) own (?:host ?)?name|\bgeneric name|\bunderscores?\b)"
        r"|^50[14]\b",
        Reason.EHLO_INVALID,
    ),
    (r"try again later, closing connection", Reason.EHLO_THROTTLED),
)

_TEXTS = {Protocol.IMAP: _IMAP, Protocol.POP3: _POP3, Protocol.SMTP: _SMTP}


# Response codes

# What a code alone means in a login.
_LOGIN_CODES = {
    # RFC 5530 §3
    Protocol.IMAP: table(
        (r"\[UNAVAILABLE\]", Reason.AUTH_TEMPORARY),
        (r"\[SERVERBUG\]", Reason.SYSTEM_ERROR),
        (r"\[INUSE\]", Reason.MAILBOX_IN_USE),
        (r"\[LIMIT\]", Reason.LOGIN_RATE_LIMITED),
        (r"\[(?:CONTACTADMIN|NOPERM)\]", Reason.ACCOUNT_DISABLED),
        (r"\[(?:AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED)\]", Reason.AUTH_INVALID_CREDENTIALS),
    ),
    Protocol.POP3: table(
        (r"bad command", Reason.SASL_MALFORMED),
        (r"\[SYS/TEMP\]", Reason.AUTH_TEMPORARY),  # RFC 3206 §4
        (r"\[SYS/PERM\]", Reason.SYSTEM_ERROR),
    ),
    # RFC 4954 §6, RFC 5248 §2.4
    Protocol.SMTP: table(
        (r"^5\d\d 5\.7\.13\b", Reason.ACCOUNT_DISABLED),
        (r"^5\d\d 5\.7\.(?:10|11)\b|^(?:523|538)\b", Reason.STARTTLS_REQUIRED),
        (r"^535\b", Reason.AUTH_INVALID_CREDENTIALS),
        (r"^4[35]\d\b", Reason.AUTH_TEMPORARY),
        (r"^5[03]4\b", Reason.AUTH_MECHANISM),
        (r"^501\b", Reason.SASL_MALFORMED),
        (r"^530\b", Reason.AUTH_MISSING),
        (r"^(?:500|502|555)\b", Reason.BAD_COMMAND),
        (r"^503\b", Reason.PROTOCOL_ERROR),
        (r"^521\b", Reason.SERVER_REFUSED),  # RFC 7504 §3: this host accepts no mail at all
    ),
}

# What a code means in every phase.
_CODES = {
    Protocol.IMAP: table(
        (r"invalid credentials|\[AUTHENTICATIONFAILED\]", Reason.AUTH_INVALID_CREDENTIALS),
        (r"\[CLIENTBUG\]", Reason.BAD_COMMAND),
        (r"\[THROTTLED\]", Reason.THROTTLED),
        (r"\[PRIVACYREQUIRED\]", Reason.STARTTLS_REQUIRED),
        (r"\[OVERQUOTA\]", Reason.MAILBOX_FULL),
        (r"^BAD\b", Reason.BAD_COMMAND),
    ),
    Protocol.POP3: table(
        (r"\[IN-USE\]", Reason.MAILBOX_IN_USE),  # RFC 2449 §8.1.2
        (r"username and password not accepted|invalid credentials|\[AUTH\]", Reason.AUTH_INVALID_CREDENTIALS),
    ),
    Protocol.SMTP: table(
        (r"authentication required|p=WantAuthError|^530\b", Reason.AUTH_MISSING),
        # Exchange, cPanel's Exim, and others
        (
            r"SubmissionQuotaExceeded|exceeded the max(?:imum)? (?:number of )?(?:e-?mails|messages|defers)"
            r"|\b(?:hourly|daily) (?:\w{1,12} ){0,3}(?:limit|quota)\b|\bsending (?:limit|quota|rate)\b",
            Reason.SENDING_LIMIT,
        ),
        # RFC 3463 §3.3, as what follows
        (
            r"out of storage|over ?quota|mail ?box (?:is )?full|mail ?box quota|^\d+ [45]\.2\.2\b",
            Reason.MX_MAILBOX_FULL,
        ),
        (
            r"^\d+ 5\.1\.(?:[1236]|10)\b|user (?:is )?unknown|unknown user|no such (?:user|recipient|mailbox)"
            r"|unrouteable address",
            Reason.MX_USER_UNKNOWN,
        ),
        (r"^\d+ 5\.2\.1\b", Reason.MX_USER_DISABLED),
        (
            r"^\d+ [45]\.(?:2\.3|3\.4)\b|message (?:size exceeds|(?:file )?(?:is )?too (?:large|big))",
            Reason.MESSAGE_LIMIT,
        ),
    ),
}
