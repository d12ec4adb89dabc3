"""The texts of Gmail's refusals, and how each must be classified.

The sections are those of the catalogue of Gmail's wire texts: 2.3 and 2.4 IMAP, 3.2 POP3, 4.2 and 4.3 submission and
relay, 5 the MX hosts. Lines are separated by a line feed, and complete: with tags, codes, session ids and help links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.model.outcome import Phase
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.settings import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, CLIENT, GOOGLE, NETWORK = Blame.ACCOUNT, Blame.CLIENT, Blame.PROVIDER, Blame.NETWORK
BACKOFF, HOLD, SAFE, WAIT24 = Retry.BACKOFF, Retry.HOLD, Retry.SAFE, Retry.WAIT24
ANY = None  # the catalogue does not say

END = " d2e1a72fcca58-771e39cb4b8sm10429491b3a.92 - gsmtp"
HELP = "https://support.google.com/mail/?p="
WEBALERT = "* NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgn] Web login required."


class Row(NamedTuple):
    """One text: its section, phase, reason, possible blames and retry; None is any."""

    section: str
    text: str
    phase: Phase
    reason: Reason
    blames: tuple[Blame, ...] | None
    retry: Retry | None

    def __str__(self) -> str:
        return f"{self.section} {self.text.splitlines()[0][:60]}"


def _rows(phase: Phase, *rows: tuple[str, str, Reason, tuple[Blame, ...] | None, Retry | None]) -> Iterator[Row]:
    return (Row(section, text, phase, reason, blames, retry) for section, text, reason, blames, retry in rows)


# fmt: off
CATALOGUE: dict[Protocol, list[Row]] = {
    Protocol.IMAP: [
        *_rows(
            Phase.LOGIN,
            ("2.3", "a1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
             Reason.AUTH_INVALID_CREDENTIALS, (ACCOUNT,), HOLD),
            ("2.3", "a1 NO Invalid credentials d2e1a72fcca58-771e39cb4b8mb10429491b3a",
             Reason.AUTH_INVALID_CREDENTIALS, (ACCOUNT,), HOLD),
            ("2.3", "a1 NO [ALERT] Application-specific password required: "
             "https://support.google.com/accounts/answer/185833 (Failure)",
             Reason.AUTH_APP_PASSWORD_REQUIRED, (ACCOUNT,), HOLD),
            ("2.3", f"{WEBALERT}\na1 NO [ALERT] Please log in via your web browser: "
             "https://support.google.com/mail/accounts/answer/78754 (Failure)",
             Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("2.3", f"{WEBALERT}\na1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
             Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("2.3", "a1 NO [ALERT] Please log in via your web browser: "
             "http://support.google.com/mail/accounts/bin/answer.py?answer=78754 (Failure)",
             Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("2.3", "a1 NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and "
             "enable your account for IMAP access. (Failure)", Reason.DISABLED_FOR_ACCOUNT, (ACCOUNT,), HOLD),
            ("2.3", "a1 NO [ALERT] IMAP access is disabled for your domain. Please contact your domain administrator "
             "for questions about this feature. (Failure)", Reason.DISABLED_FOR_DOMAIN, (ACCOUNT,), HOLD),
            ("2.3", "a1 NO [ALERT] Too many simultaneous connections. (Failure)",
             Reason.TOO_MANY_CONNECTIONS, (ACCOUNT, CLIENT), BACKOFF),
            ("2.3", "a1 NO Lookup failed d2e1a72fcca58-771e39cb4b8mb10429491b3a",
             Reason.AUTH_ACCOUNT_LOOKUP_FAILED, (ACCOUNT, CLIENT, GOOGLE), BACKOFF),
            ("2.3", "a1 BAD Invalid SASL argument. d2e1a72fcca58-771e39cb4b8mb10429491b3a",
             Reason.SASL_MALFORMED, (CLIENT,), ANY),
            ("2.3", "a1 NO [ALERT] Account exceeded command or bandwidth limits. (Failure)",
             Reason.BANDWIDTH_EXCEEDED, (ACCOUNT,), WAIT24),
            ("2.3", "a1 NO Account exceeded bandwidth limits. (Failure)",
             Reason.BANDWIDTH_EXCEEDED, (ACCOUNT,), WAIT24),
            ("2.3", "a1 NO [UNAVAILABLE] Temporary System Error", Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("2.3", "a1 NO [UNAVAILABLE] Temporary System Problem (Failure)",
             Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("2.4", "* BYE [UNAVAILABLE] Temporary System Error", Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
        ),
        *_rows(
            Phase.FOLDERS,
            ("2.4", "* BYE System Error", Reason.SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("2.4", "* BYE Session expired, please login again.", Reason.SESSION_EXPIRED, ANY, SAFE),
            ("2.4", "* BYE [OVERQUOTA] Account exceeded command or bandwidth limits.",
             Reason.BANDWIDTH_EXCEEDED, (ACCOUNT,), WAIT24),
            ("2.4", "a1 NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
             Reason.BANDWIDTH_EXCEEDED, (ACCOUNT,), WAIT24),
            ("2.4", "a1 NO Slow down. [THROTTLED]", Reason.THROTTLED, (ACCOUNT,), BACKOFF),
            ("2.4", "a1 NO [NONEXISTENT] Unknown Mailbox: [Gmail]/Sent Mail (Failure)",
             Reason.MAILBOX_MISSING, (ACCOUNT, CLIENT), ANY),
            ("2.4", "a1 NO [NONEXISTENT] Unknown folder.", Reason.MAILBOX_MISSING, (ACCOUNT, CLIENT), ANY),
            ("2.4", "a1 BAD Could not parse command", Reason.BAD_COMMAND, (CLIENT,), ANY),
            ("2.4", "* BAD [CLIENTBUG] Invalid tag\na1 NO Not that", Reason.BAD_COMMAND, (CLIENT,), ANY),
            ("2.4", "a1 no some messages could not be fetched (failure)", Reason.PARTIAL_FETCH, (GOOGLE,), BACKOFF),
        ),
    ],
    Protocol.POP3: [
        *_rows(
            Phase.LOGIN,
            ("3.2", "-ERR [AUTH] Username and password not accepted.",
             Reason.AUTH_INVALID_CREDENTIALS, (ACCOUNT,), HOLD),
            # With OAuth it is oauth_token_rejected; the text is the same.
            ("3.2", "-ERR [AUTH] Invalid credentials.", Reason.AUTH_INVALID_CREDENTIALS, ANY, HOLD),
            ("3.2", "-ERR bad command", Reason.SASL_MALFORMED, (CLIENT,), ANY),
            ("3.2", "-ERR [AUTH] Application-specific password required: "
             "https://support.google.com/accounts/answer/185833", Reason.AUTH_APP_PASSWORD_REQUIRED, (ACCOUNT,), HOLD),
            ("3.2", "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754",
             Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("3.2", "-ERR [AUTH] Web login required: https://support.google.com/mail/bin/answer.py?answer=78754",
             Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("3.2", "-ERR [SYS/PERM] POP access is disabled for your domain.",
             Reason.DISABLED_FOR_DOMAIN, (ACCOUNT,), HOLD),
            ("3.2", "-ERR [SYS/TEMP] Temporary system problem. Please try again later.",
             Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("3.2", "-ERR malformed command", Reason.BAD_COMMAND, (CLIENT,), ANY),
            ("3.2", "-ERR Command not understood", Reason.BAD_COMMAND, (CLIENT, GOOGLE), BACKOFF),
            ("3.2", "-ERR [IN-USE] mailbox is locked", Reason.MAILBOX_IN_USE, (ACCOUNT, CLIENT), BACKOFF),
            ("3.2", "-ERR [LOGIN-DELAY] too soon", Reason.LOGIN_DELAY, (ACCOUNT, CLIENT), BACKOFF),
        ),
        *_rows(
            Phase.FOLDERS,
            ("3.2", "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page "
             "and enable your account for POP access.", Reason.DISABLED_FOR_ACCOUNT, (ACCOUNT,), HOLD),
        ),
    ],
    Protocol.SMTP: [
        *_rows(
            Phase.LOGIN,
            ("4.2", "535-5.7.8 Username and Password not accepted. For more information, go to"
             f"\n535 5.7.8  {HELP}BadCredentials{END}", Reason.AUTH_INVALID_CREDENTIALS, (ACCOUNT,), HOLD),
            ("4.2", "535-5.7.1 Username and Password not accepted. Learn more at"
             f"\n535 5.7.1  {HELP}BadCredentials{END}",
             Reason.AUTH_INVALID_CREDENTIALS, (ACCOUNT,), HOLD),
            ("4.2", "534-5.7.9 Application-specific password required. For more information, go to"
             f"\n534 5.7.9  {HELP}InvalidSecondFactor{END}", Reason.AUTH_APP_PASSWORD_REQUIRED, (ACCOUNT,), HOLD),
            ("4.2", "534-5.7.9 Please log in with your web browser and then try again. For more information, go to"
             f"\n534 5.7.9  {HELP}WebLoginRequired{END}", Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("4.2", "534-5.7.14 <https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgnsbt"
             "\n534-5.7.14 xRHlNxSt2_hWQZEc2cuMGk8> Please log in via your web browser and then try again."
             f"\n534 5.7.14  https://support.google.com/mail/answer/78754{END}",
             Reason.AUTH_WEB_LOGIN_REQUIRED, (ACCOUNT,), HOLD),
            ("4.2", f"454 4.7.0 Too many login attempts, please try again later.{END}",
             Reason.LOGIN_RATE_LIMITED, (ACCOUNT, CLIENT), BACKOFF),
            ("4.2", "454-4.7.0 Too many login attempts, please try again later. For more information, go to"
             f"\n454 4.7.0  https://support.google.com/mail/answer/7126229{END}",
             Reason.LOGIN_RATE_LIMITED, (ACCOUNT, CLIENT), BACKOFF),
            ("4.2", "454 4.7.0 Cannot authenticate due to temporary system problem. Try again later.",
             Reason.AUTH_TEMPORARY, (GOOGLE,), BACKOFF),
            ("4.2", "530-5.7.0 Authentication Required. For more information, go to"
             f"\n530 5.7.0  {HELP}WantAuthError{END}",
             Reason.AUTH_MISSING, (CLIENT,), ANY),
            ("4.2", f"530-5.5.1 Authentication Required. Learn more at\n530 5.5.1  {HELP}WantAuthError{END}",
             Reason.AUTH_MISSING, (CLIENT,), ANY),
            ("4.2", "530-5.7.0 Must issue a STARTTLS command first. For more information, go to"
             "\n530-5.7.0  https://support.google.com/a/answer/3221692 and review RFC 3207"
             f"\n530 5.7.0 specifications.{END}", Reason.STARTTLS_REQUIRED, (CLIENT,), ANY),
            ("4.2", f"504 5.7.4 Unrecognized Authentication Type{END}", Reason.AUTH_MECHANISM, (CLIENT,), ANY),
            ("4.2", f"504 5.7.4 XOAUTH is no longer supported{END}", Reason.AUTH_MECHANISM, (CLIENT,), ANY),
            ("4.2", f"501 5.5.2 Cannot Decode response{END}", Reason.SASL_MALFORMED, (CLIENT,), ANY),
            ("4.2", f"535 5.5.4 Optional Argument not permitted for that AUTH mode{END}",
             Reason.SASL_MALFORMED, (CLIENT,), ANY),
            ("4.2", f"554 5.7.0 Too Many Unauthenticated commands{END}", Reason.PROTOCOL_ERROR, (CLIENT,), BACKOFF),
            ("4.2", f"550 5.7.0 Mail Sending denied{END}", Reason.ACCOUNT_DISABLED, (ACCOUNT,), HOLD),
        ),
        *_rows(
            Phase.CAPABILITY,
            ("4.3", "421-4.7.0 Try again later, closing connection. (EHLO)"
             f"\n421 4.7.0  https://support.google.com/a/answer/3221692{END}",
             Reason.EHLO_INVALID, (CLIENT, NETWORK), BACKOFF),
            ("4.3", "421 4.7.0 Try again later, closing connection.",
             Reason.EHLO_THROTTLED, (CLIENT, NETWORK), BACKOFF),
            ("4.3", '501-5.5.4 HELO/EHLO argument "localhost" invalid, closing connection.'
             f'\n501 5.5.4  {HELP}helo{END}',
             Reason.EHLO_INVALID, (CLIENT,), ANY),
            ("4.3", f"501-5.5.4 Empty HELO/EHLO argument not allowed, closing connection.\n501 5.5.4  {HELP}helo{END}",
             Reason.EHLO_INVALID, (CLIENT,), ANY),
            ("4.3", f"421 4.3.0 Temporary System Problem.  Try again later (10).{END}",
             Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("4.3", f"421 4.7.0 Temporary System Problem.  Try again later (WS).{END}",
             Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("4.3", f"421 4.7.0 Temporary System Problem.  Try again later (10).{END}",
             Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("4.3", "421 4.4.5 Server busy, try again later.", Reason.SERVER_BUSY, (GOOGLE,), BACKOFF),
            ("4.3", "421 4.7.0 Connection expired, try reconnecting.", Reason.SESSION_EXPIRED, ANY, SAFE),
            ("4.3", f"451 4.4.2 Timeout - closing connection.{END}", Reason.IDLE_TIMEOUT, (CLIENT,), SAFE),
            ("4.3", "451 4.3.0 Mail server temporarily rejected message.",
             Reason.TEMPORARY_SYSTEM_ERROR, (GOOGLE,), BACKOFF),
            ("4.3", "502 5.5.1 Unrecognized command.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "502 5.5.1 Unimplemented command.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "502 5.5.1 Too many unrecognized commands, goodbye.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "503 5.5.1 EHLO/HELO first.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "503 5.5.1 MAIL first.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "503 5.5.1 RCPT first.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "503 5.5.1 Bad sequence of commands.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "503 5.7.0 No identity changes permitted.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "454 5.5.1 STARTTLS may not be repeated.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "454 4.7.0 STARTTLS: no commands allowed to pipeline after STARTTLS.",
             Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "523 5.7.10 SMTP protocol violation, no commands allowed to pipeline after STARTTLS.",
             Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "525 5.7.13 SMTP protocol violation, no commands allowed to pipeline after STARTTLS.",
             Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "555 5.5.2 Syntax error, goodbye.", Reason.PROTOCOL_ERROR, (CLIENT,), ANY),
            ("4.3", "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail"
             f"\n550-5.4.5 sending limits go to\n550 5.4.5  https://support.google.com/a/answer/166852{END}",
             Reason.SENDING_LIMIT, (ACCOUNT,), WAIT24),
            ("4.3", f"550 5.4.5 Daily sending quota exceeded.{END}", Reason.SENDING_LIMIT, (ACCOUNT,), WAIT24),
            ("4.3", "550 5.4.5 Daily SMTP relay limit exceeded for user.", Reason.RELAY_LIMIT, (ACCOUNT,), WAIT24),
            ("4.3", "550 5.7.1 Daily SMTP relay limit exceeded for customer.", Reason.RELAY_LIMIT, (ACCOUNT,), WAIT24),
            ("4.3", "450 4.2.1 Peak SMTP relay limit exceeded.", Reason.RELAY_LIMIT, (ACCOUNT,), WAIT24),
            ("4.3", f"550-5.7.1 Invalid credentials for relay [192.0.2.1].\n550 5.7.1 Learn more{END}",
             Reason.RELAY_DENIED, (ACCOUNT,), HOLD),
            ("4.3", f"550 5.7.0 Mail relay denied [192.0.2.1].{END}", Reason.RELAY_DENIED, (ACCOUNT,), HOLD),
            ("4.3", "452 4.5.3 Your message has too many recipients.", Reason.MESSAGE_LIMIT, (CLIENT,), ANY),
            ("4.3", "552 5.3.4 Your message exceeds the size limits.", Reason.MESSAGE_LIMIT, (CLIENT,), ANY),
            ("4.3", "552-5.2.3 Your message exceeded Google's message size limits.\n552 5.2.3 Learn more",
             Reason.MESSAGE_LIMIT, (CLIENT,), ANY),
            ("5", "550-5.7.25 The IP address sending this message does not have a PTR record setup, or the"
             "\n550-5.7.25 corresponding forward DNS entry does not point to the sending IP. As a policy,"
             f"\n550 5.7.25 Gmail does not accept messages from IPs with missing PTR records.{END}",
             Reason.MX_NO_PTR, (NETWORK,), ANY),
            ("5", "550-5.7.25 [192.0.2.1] The IP address sending this message does not have a PTR"
             "\n550 5.7.25 record setup",
             Reason.MX_NO_PTR, (NETWORK,), ANY),
            ("5", "421-4.7.0 The IP address sending this message does not have a PTR record setup, or\n421 4.7.0 more",
             Reason.MX_NO_PTR, (NETWORK,), ANY),
            ("5", "421-4.7.23 The IP address sending this message does not have a PTR\n421 4.7.23 record setup, or",
             Reason.MX_NO_PTR, (NETWORK,), ANY),
            ("5", "550-5.7.1 [2001:db8::1] Our system has detected that this message does"
             "\n550-5.7.1 not meet IPv6 sending guidelines regarding PTR records and"
             "\n550 5.7.1 authentication.",
             Reason.MX_NO_PTR, (NETWORK,), ANY),
            ("5", "550-5.7.1 [192.0.2.1] The IP you're using to send mail is not authorized to"
             "\n550-5.7.1 send email directly to our servers. Please use the SMTP relay at your"
             f"\n550-5.7.1 service provider instead. Learn more at\n550 5.7.1  {HELP}NotAuthorizedError{END}",
             Reason.MX_IP_NOT_AUTHORIZED, (NETWORK,), ANY),
            ("5", "550-5.7.26 Your email has been blocked because the sender is unauthenticated."
             "\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM."
             "\n550-5.7.26  Authentication results:\n550-5.7.26  DKIM = did not pass\n550 5.7.26  SPF [] did not pass",
             Reason.MX_SENDER_UNAUTHENTICATED, (CLIENT,), ANY),
            ("5", "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n550 5.7.26 Learn more",
             Reason.MX_SENDER_UNAUTHENTICATED, (CLIENT,), ANY),
            *(("5", f"421-{code} This mail has been rate limited.\n421 {code} Learn more",
               Reason.MX_SENDER_UNAUTHENTICATED, (CLIENT,), ANY) for code in ("4.7.26", "4.7.27", "4.7.30", "4.7.32")),
            *(("5", f"{code} Gmail has detected an unusual rate of {what}", Reason.MX_RATE_LIMITED,
               (NETWORK, CLIENT), BACKOFF)
              for code in ("421 4.7.28", "421 4.7.0", "550 5.7.28", "550 5.7.1")
              for what in ("mail originating from your IP address",
                           "unsolicited mail originating from your IP Netblock",
                           "mail originating from your SPF domain [example.com]",
                           "mail originating from your DKIM domain")),
            ("5", "421-4.7.0 [192.0.2.1] Our system has detected an unusual rate of"
             "\n421 4.7.0 unsolicited mail originating from your IP address.",
             Reason.MX_RATE_LIMITED, (NETWORK, CLIENT), BACKOFF),
            ("5", "421-4.7.0 [192.0.2.1] Gmail has detected that this message is suspicious due to the very low"
             "\n421 4.7.0 reputation of the sending IP address.", Reason.MX_BAD_REPUTATION, (NETWORK,), BACKOFF),
            ("5", "421 4.7.0 [192.0.2.1] This message is suspicious due to the very low reputation of the sending "
             "domain.",
             Reason.MX_BAD_REPUTATION, (NETWORK,), BACKOFF),
            ("5", "421 4.7.0 IP not in whitelist for RCPT domain, closing connection.",
             Reason.MX_POLICY, (ACCOUNT, CLIENT), ANY),
            ("5", "421 4.7.0 TLS required for RCPT domain, closing connection.",
             Reason.MX_POLICY, (ACCOUNT, CLIENT), ANY),
            ("5", "550-5.1.1 The email account that you tried to reach does not exist. Please try"
             "\n550 5.1.1 double-checking the recipient's email address", Reason.MX_USER_UNKNOWN, (ACCOUNT,), ANY),
            ("5", f"550-5.2.1 The email account that you tried to reach is disabled. Learn more at"
             f"\n550 5.2.1  {HELP}DisabledUser{END}", Reason.MX_USER_DISABLED, (ACCOUNT,), ANY),
            ("5", f"550-5.2.1 The email account that you tried to reach is inactive. Learn more at"
             f"\n550 5.2.1  {HELP}DisabledUser{END}", Reason.MX_USER_DISABLED, (ACCOUNT,), ANY),
            ("5", f"452-4.2.2 The recipient's inbox is out of storage space.\n452 4.2.2  {HELP}OverQuotaTemp{END}",
             Reason.MX_MAILBOX_FULL, (ACCOUNT,), BACKOFF),
            ("5", f"552-5.2.2 The recipient's inbox is out of storage space.\n552 5.2.2  {HELP}OverQuotaPerm{END}",
             Reason.MX_MAILBOX_FULL, (ACCOUNT,), BACKOFF),
            ("5", "452 4.2.2 The email account that you tried to reach is over quota.",
             Reason.MX_MAILBOX_FULL, (ACCOUNT,), BACKOFF),
            *(("5", f"{code} The user you are trying to contact is receiving mail {how}", Reason.MX_RECIPIENT_RATE,
               (ACCOUNT,), BACKOFF)
              for code in ("450 4.2.1", "550 5.2.1")
              for how in ("too quickly", "at a rate that prevents additional messages from being delivered")),
        ),
    ],
}
# fmt: on
