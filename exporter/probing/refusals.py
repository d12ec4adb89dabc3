"""What a server's refusal means: its text → Reason.

The rules are tried in this order, and the first that fits decides:

1. Gmail's texts, each by the part that has not changed over the years; session ids and addresses are never matched;
2. in a login, the words of servers of any make: first those that name a wrong user name or password, then those that
   name another cause, for a server that cannot check a password has not refused it;
3. the protocol's response codes;
4. whether the refusal is temporary. What is left of a login, and answers a credential, refuses that credential: it is
   the account's fault, and the same credential must not be sent again and again.

Every pattern has gaps of a fixed length at most, so that the time to search a text grows with its length alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.dialogue import MAX_TEXT, Refusal

_Rules = tuple[tuple[re.Pattern[str], Reason], ...]


def reason_of_refusal(refusal: Refusal, phase: Phase, protocol: Protocol) -> Reason:
    """Return what a refusal in `phase` means. Only the beginning of an endless text is read."""
    reason = _reason_of(refusal, phase, protocol)
    # A server knows the command that it offers: what does not is something in between, or set up wrongly.
    if phase is Phase.STARTTLS and reason in (Reason.BAD_COMMAND, Reason.SERVER_REFUSED):
        return Reason.STARTTLS_UNAVAILABLE
    return reason


def _reason_of(refusal: Refusal, phase: Phase, protocol: Protocol) -> Reason:
    text = str(refusal)[:MAX_TEXT]
    for rules in _rules_of(refusal, phase, protocol):
        for pattern, reason in rules:
            if pattern.search(text):
                return reason
    if refusal.temporary:
        return Reason.SERVER_BUSY
    # A server that closes the connection ends the session, whatever it thinks of the credential.
    judged = phase is Phase.LOGIN and refusal.answers_credential and refusal.in_step
    return Reason.AUTH_INVALID_CREDENTIALS if judged else Reason.SERVER_REFUSED


def _rules_of(refusal: Refusal, phase: Phase, protocol: Protocol) -> Iterator[_Rules]:
    if protocol is Protocol.SMTP and phase is Phase.CAPABILITY:
        yield _EHLO
    yield _TEXTS[protocol]
    if phase is Phase.LOGIN:
        if not refusal.temporary:
            yield _WRONG_CREDENTIAL
        yield _LOGIN_WORDS
        yield _LOGIN_CODES[protocol]
    yield _CODES[protocol]


def _rules(*rows: tuple[str, Reason]) -> _Rules:
    return tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in rows)


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
        r"web login required|log in (?:via|with) your web browser|\[WEBALERT|p=WebLoginRequired|unsafe log ?in"
        r"|verify your (?:account|identity)|(?:suspicious|unusual) (?:log ?in|sign.?in|activity)",
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
    (r"could not parse command", Reason.BAD_COMMAND),
    (r"some messages could not be fetched", Reason.PARTIAL_FETCH),
    # Exchange, in the place of an answer, where it cannot open the mailbox of a user whom it has let in
    (r"user is authenticated but not connected", Reason.SERVER_REFUSED),
    (r"request is throttled", Reason.THROTTLED),
)

_POP3 = _rules(
    *_SIGN_IN,
    (r"not enabled for POP access", Reason.DISABLED_FOR_ACCOUNT),
    (r"POP access is disabled for your domain", Reason.DISABLED_FOR_DOMAIN),
    (r"temporary system problem", Reason.TEMPORARY_SYSTEM_ERROR),
    (r"malformed command|command not understood", Reason.BAD_COMMAND),
    (r"\[LOGIN-DELAY\]", Reason.LOGIN_DELAY),  # RFC 2449 §8.1.1
)

_SMTP = _rules(
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
        r"un(?:recognized|implemented) command|too many un\w+ commands|(?:EHLO/HELO|MAIL|RCPT) first"
        r"|bad sequence of commands|no identity changes|STARTTLS may not be repeated|pipeline after STARTTLS"
        r"|^555 5\.5\.2\b",
        Reason.PROTOCOL_ERROR,
    ),
)

# What servers of any make say to EHLO: to its argument, which is this host's name; the code of a syntax error in the
# parameters names it, too.
_EHLO = _rules(
    (
        r"reverse (?:DNS|lookup)|\brDNS\b|\bPTR\b|cannot find your (?:reverse )?host ?name|client host rejected",
        Reason.MX_NO_PTR,
    ),
    (
        r"^(?:421|45\d|5[15]\d)\b.{0,300}(?:\b(?:HELO|EHLO)\b|\bp=helo\b|\bhost ?names?\b|\bFQDN\b"
        r"|\bfully[ -]?qualified|\bliterals?\b"
        r"|\barguments?\b|\binvalid (?:domain|name|host)|\bdomain (?:name|address)|\bgreeting name|\bbad greeting"
        r"|\bintroduc\w+ (?:itself|yourself)|\b(?:our|my) own (?:host ?)?name|\bgeneric name|\bunderscores?\b)"
        r"|^50[14]\b",
        Reason.EHLO_INVALID,
    ),
    (r"try again later, closing connection", Reason.EHLO_THROTTLED),
)

_TEXTS = {Protocol.IMAP: _IMAP, Protocol.POP3: _POP3, Protocol.SMTP: _SMTP}


# The words of other servers, in a login

_OFF = r"\b(?:disabled|deactivated|(?:turned|switched) off|not (?:been )?(?:enabled|allowed|permitted|activated))"
_LOCKED = r"(?:disabled|suspended|locked|blocked|deactivated|inactive|closed|frozen|abnormal|banned|restricted)"

_WRONG_CREDENTIAL = _rules(
    (
        r"\b(?:invalid|incorrect|wrong|bad|unknown|unrecogni[sz]ed) (?:(?:user|e-?mail|mail)? ?(?:name|id|address)|user"
        r"|log[io]n|password|pass ?phrase|credentials?|account|mailbox|authentication (?:data|credentials?)|token)"
        r"\b(?! (?:attempt|tries))"
        r"|\b(?:user ?name|user|password|credentials?|token|data)\b[^.]{0,40}"
        r"\b(?:invalid|incorrect|wrong|mismatch|not (?:accepted|recogni[sz]ed|valid|correct|found)|expired"
        r"|do(?:es)? not (?:exist|match)|doesn't (?:exist|match)|don't match)\b"
        r"|\blog[io]n (?:was |is )?(?:invalid|incorrect)\b(?! (?:command|argument|method|mechanism))"
        r"|\bno such (?:user|account|mailbox)|(?:user|account|mailbox|password) (?:is )?(?:unknown|not found)"
        r"|check (?:that )?(?:your|the) (?:user|password|credentials|log[io]n|authentication)"
        r"|no secret in database|password error"
        r"|\b(?:passwort|kennwort|zugangsdaten|mot de passe|identifiants?|contraseña|credenciales|senha|credenziali"
        r"|пароль)\b[^.]{0,40}\b(?:falsch|ungültig|incorrect|inv[aá]lid|erron|errat|невер|неправил)"
        r"|\b(?:falsch|ungültig|невер|неправил)\w{1,8} (?:passwort|kennwort|benutzer|zugangsdaten|логин|парол)"
        r"|(?:密码|密碼)(?:错误|錯誤|不正确)|パスワードが(?:違|誤|正しく)"
        # Words of another cause in what Postfix and Tencent say of a wrong password
        r"|\(reason unavailable\)|authentication failed, system busy",
        Reason.AUTH_INVALID_CREDENTIALS,
    ),
)

_LOGIN_WORDS = _rules(
    (
        r"(?:plain|clear)[ -]?text (?:authentication|log[io]ns?|passwords?)\b|only available under a layer"
        r"|(?:STARTTLS|STLS|TLS|SSL|encryption|(?:secure|encrypted) (?:connection|channel|line))\b[^.]{0,20}"
        r"\b(?:required|needed|first|only|before)"
        r"|\b(?:requires?|need|use|issue|over|without)\b[^.]{0,20}\b(?:STARTTLS|STLS|TLS|SSL|encryption|encrypted"
        r"|secure connection)\b",
        Reason.STARTTLS_REQUIRED,
    ),
    (
        r"too many (?:\w+ ){0,2}(?:connections?|sessions?|clients)\b"
        r"|(?:maximum|max\.?|limit)\b[^.]{0,20}\b(?:connections?|sessions?)\b|\b(?:connection|session)s? limit",
        Reason.TOO_MANY_CONNECTIONS,
    ),
    (
        r"too many (?:\S+ ){0,3}(?:attempts?|log[io]ns?|auth\w*|failures?|requests?|tries|errors?|passwords?)\b"
        r"|too (?:often|frequent|fast|quickly|soon)|rate.?limit|frequency|slow down"
        r"|limit (?:exceeded|reached|hit)|(?:attempts|log[io]ns) exceeded"
        r"|exceed(?:ed|s) (?:\w+ ){0,3}(?:limit|attempts|rate)"
        r"|max(?:imum)? (?:\w+ ){0,3}(?:attempts|failures)|minimum (?:\w+ ){0,2}(?:between|interval)"
        rf"|temporarily {_LOCKED}",
        Reason.LOGIN_RATE_LIMITED,
    ),
    (r"throttl|gr[ae]ylist", Reason.THROTTLED),
    (
        r"\b(?:mail ?box|mail ?drop|mail ?dir|spool)\b[^.]{0,40}\b(?:lock\w*|in use|busy|(?:already )?open)\b"
        r"|\block (?:is )?busy|\b(?:get|obtain|acquire|for) (?:an? |the )?(?:exclusive )?lock\b"
        r"|\b(?:unable to|cannot|can't|could not|couldn't|failed to) lock"
        r"|another (?:POP3? |IMAP )?(?:session|client|connection|process)|already (?:logged in|locked|in use)"
        r"|account is in use",
        Reason.MAILBOX_IN_USE,
    ),
    (r"over ?quota|quota (?:is |has been )?exceeded|mail ?box (?:is )?full", Reason.MAILBOX_FULL),
    (r"base64|bad protocol / cancel", Reason.SASL_MALFORMED),
    (
        r"basic auth\w*|(?:use|only|requires?) (?:X?OAUTH|modern auth)|X?OAUTH2? (?:is )?(?:only|required|needed)"
        r"|\bno mechanism available"
        rf"|\bpasswords?[ -](?:based )?(?:log[io]ns?|auth\w*)\b[^.]{{0,20}}{_OFF}"
        r"|\b(?:unsupported|unknown|unrecogni[sz]ed|invalid|unavailable)\b[^.]{0,20}\b(?:mechanism|method|type)\b"
        r"|\b(?:mechanism|auth(?:entication)? (?:method|type))s?\b[^.]{0,40}"
        r"\b(?:not (?:supported|available|enabled|allowed|permitted|implemented)|unsupported|disabled|too weak)"
        r"|authentication (?:is )?not (?:supported|enabled|implemented)|AUTH not (?:available|supported|enabled)"
        r"|log[io]n (?:command )?(?:is )?(?:disabled|not supported)",
        Reason.AUTH_MECHANISM,
    ),
    (
        r"(?:two|2|multi)[- ]?(?:factor|step)\b|\b[2M]FA\b",
        Reason.AUTH_APP_PASSWORD_REQUIRED,
    ),
    (
        r"\b(?:IMAP4?|POP3?|SMTP|mail clients?)\b[^.]{0,60}\b(?:free|paid|paying|premium|trial)\b"
        r"|\bupgrade\b[^.]{0,40}\b(?:IMAP4?|POP3?|SMTP)\b",
        Reason.DISABLED_FOR_ACCOUNT,
    ),
    (
        r"tempora[rlni]|temporär|vorübergehend|временн|\b(?:später|plus tard|m[aá]s tarde|mais tarde|più tardi"
        r"|позже)\b|稍[后後]|しばらく|try again in\b|unavailable|not (?:ready|available)|generic failure|\bbusy\b"
        r"|\b(?:internal|server|system|unexpected|database|backend|unknown)(?: \w+)? (?:error|failure|problem)"
        r"|overload|maintenance|time(?:d|-)? ?out|out of memory|shutting down|at (?:present|this time|the moment)"
        r"|\bconnection (?:was )?(?:lost|refused|reset)|saslauthd|\bLDAP\b|\bSQL\b|no space left|disk (?:is )?full"
        r"|\b(?:could not|couldn't|cannot|can't|unable to|failed to) (?:contact|connect|reach|open|access)",
        Reason.AUTH_TEMPORARY,
    ),
    (
        r"\b(?:log|sign) ?in (?:at|to|on|via|through) (?:https?:|(?:the|our|your) web)"
        r"|terms (?:of (?:service|use)|and cond)",
        Reason.AUTH_WEB_LOGIN_REQUIRED,
    ),
    (
        rf"{_OFF} (?:for|by|in) (?:the|your|this|its) (?:tenant|domain|organi[sz]ation)"
        r"|security defaults policy|conditional access|did not meet the criteria to be authenticated",
        Reason.DISABLED_FOR_DOMAIN,
    ),
    (
        rf"SmtpClientAuthentication is disabled|\b(?:IMAP4?|POP3?|SMTP|protocol|service)\b[^.]{{0,40}}{_OFF}"
        r"|\b(?:not (?:enabled|allowed|permitted|authori[sz]ed|activated)|yet to enable|please enable)\b"
        r"[^.]{0,40}\b(?:IMAP4?|POP3?|SMTP)\b|access rights to this service",
        Reason.DISABLED_FOR_ACCOUNT,
    ),
    (
        r"\b(?:IP|address|host|country|location|region|network)\b.{0,60}\b(?:blocked|banned|black ?listed|denied"
        r"|not (?:allowed|permitted)|restricted|listed)\b|\bgeo\w{0,9}[- ](?:block|restrict|fenc)"
        r"|\b(?:blocked|banned|black ?listed|denied|not (?:allowed|permitted))\b.{0,30}"
        r"\b(?:IP|address|host|country|location|region|network)\b",
        Reason.SERVER_REFUSED,
    ),
    (
        rf"\b(?:account|user|mail ?box|log[io]n|e-?mail)\b[^.]{{0,40}}\b{_LOCKED}\b"
        rf"|\b{_LOCKED} (?:account|user|mail ?box)\b|account (?:has )?expired",
        Reason.ACCOUNT_DISABLED,
    ),
    # Nobody's are taken: the password has not been looked at.
    (
        r"\blog[io]ns (?:are |were |have been )?(?:\w+ )?"
        r"(?:disabled|suspended|closed|not (?:accepted|allowed|permitted))",
        Reason.AUTH_TEMPORARY,
    ),
    (
        r"\b(?:unknown|unrecogni[sz]ed|unsupported|unimplemented|invalid) command|error in IMAP command",
        Reason.BAD_COMMAND,
    ),
    (r"command (?:is )?(?:not|in)\b[^.]{0,10}(?:valid|state)|received in invalid state", Reason.PROTOCOL_ERROR),
)


# Response codes

# What a code alone means in a login.
_LOGIN_CODES = {
    # RFC 5530 §3
    Protocol.IMAP: _rules(
        (r"\[UNAVAILABLE\]", Reason.AUTH_TEMPORARY),
        (r"\[SERVERBUG\]", Reason.SYSTEM_ERROR),
        (r"\[INUSE\]", Reason.MAILBOX_IN_USE),
        (r"\[LIMIT\]", Reason.LOGIN_RATE_LIMITED),
        (r"\[(?:CONTACTADMIN|NOPERM)\]", Reason.ACCOUNT_DISABLED),
        (r"\[(?:AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED)\]", Reason.AUTH_INVALID_CREDENTIALS),
    ),
    Protocol.POP3: _rules(
        (r"bad command", Reason.SASL_MALFORMED),
        (r"\[SYS/TEMP\]", Reason.AUTH_TEMPORARY),  # RFC 3206 §4
        (r"\[SYS/PERM\]", Reason.SYSTEM_ERROR),
    ),
    # RFC 4954 §6, RFC 5248 §2.4
    Protocol.SMTP: _rules(
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
    Protocol.IMAP: _rules(
        (r"invalid credentials|\[AUTHENTICATIONFAILED\]", Reason.AUTH_INVALID_CREDENTIALS),
        (r"\[CLIENTBUG\]", Reason.BAD_COMMAND),
        (r"\[THROTTLED\]", Reason.THROTTLED),
        (r"\[PRIVACYREQUIRED\]", Reason.STARTTLS_REQUIRED),
        (r"\[OVERQUOTA\]", Reason.MAILBOX_FULL),
        (r"^BAD\b", Reason.BAD_COMMAND),
    ),
    Protocol.POP3: _rules(
        (r"\[IN-USE\]", Reason.MAILBOX_IN_USE),  # RFC 2449 §8.1.2
        (r"username and password not accepted|invalid credentials|\[AUTH\]", Reason.AUTH_INVALID_CREDENTIALS),
    ),
    Protocol.SMTP: _rules(
        (r"authentication required|p=WantAuthError", Reason.AUTH_MISSING),
        (r"out of storage|over quota|^\d+ [45]\.2\.2\b", Reason.MX_MAILBOX_FULL),  # RFC 3463 §3.3, as what follows
        (r"^\d+ 5\.1\.[136]\b|user unknown", Reason.MX_USER_UNKNOWN),
        (r"^\d+ 5\.2\.1\b", Reason.MX_USER_DISABLED),
        (r"^\d+ [45]\.(?:2\.3|3\.4)\b", Reason.MESSAGE_LIMIT),
    ),
}
