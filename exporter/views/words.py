"""Words for people, the same on a terminal, on the pages and in the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.accounts.budget import Denial
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Blame, Reason, Retry

WHO: Mapping[Blame, str] = {
    Blame.PROVIDER: "the mail server",
    Blame.NETWORK: "the way to the server",
    Blame.ACCOUNT: "the mailbox, its owner or its administrator",
    Blame.TOKEN: "the OAuth client or its grant",
    Blame.CLIENT: "this exporter's configuration or host",
}

RETRIES: Mapping[Retry, str] = {
    Retry.SAFE: "The next login comes at its usual time.",
    Retry.BACKOFF: "The time to the next login doubles with each such refusal, up to 6 hours.",
    Retry.HOLD: "No further login until the secret, the account or the way to log in changes, or it is released.",
    Retry.WAIT24: "Logins are tried hourly: what the server counts is forgotten within 24 hours.",
}

HELD: Mapping[Denial, str] = {
    Denial.HOLD: "a server refused it, and what was refused is not tried again",
    Denial.BACKOFF: "a server asked for fewer logins",
    Denial.WAIT24: "a limit of Google's, which ends within 24 hours",
    Denial.CEILING: "max_logins_per_day is reached",
}
"""Why logins are held back to protect the account."""

DURING: Mapping[Phase, str] = {
    Phase.RESOLVE: "while its name was looked up",
    Phase.CONNECT: "while connecting",
    Phase.TLS: "in the TLS handshake",
    Phase.GREETING: "when its greeting was due",
    Phase.CAPABILITY: "when asked for its capabilities",
    Phase.STARTTLS: "when asked for TLS",
    Phase.LOGIN: "in the login",
    Phase.FOLDERS: "when asked for its folders",
    Phase.LOGOUT: "in the goodbye",
}

# What is wrong with an endpoint, so that it reads on from "imap: ". Most reasons say where by themselves.
_SAYS: Mapping[Reason, str] = {
    Reason.OK: "nothing is wrong",
    Reason.DNS_NOT_FOUND: "its name is not in the DNS",
    Reason.DNS_NO_ADDRESS: "its name has no address of the wanted family",
    Reason.DNS_ERROR: "the resolver fails",
    Reason.TIMEOUT: "no answer {during}",
    Reason.REFUSED: "the connection was refused",
    Reason.UNREACHABLE: "there is no route to it",
    Reason.RESET: "the connection was reset {during}",
    Reason.CLOSED: "the connection was closed {during}",
    Reason.ADDRESS_FAMILY_UNAVAILABLE: "this host has no route of that address family",
    Reason.ADDRESS_NOT_PUBLIC: "its address is not public",
    Reason.CERTIFICATE_EXPIRED: "its certificate has expired",
    Reason.CERTIFICATE_NOT_YET_VALID: "its certificate is not valid yet",
    Reason.CERTIFICATE_HOSTNAME_MISMATCH: "its certificate is for another name",
    Reason.CERTIFICATE_UNTRUSTED: "its certificate is not trusted here",
    Reason.TLS_NO_SNI: "it was asked without a server name",
    Reason.TLS_FAILED: "the TLS handshake failed",
    Reason.STARTTLS_UNAVAILABLE: "it does not offer STARTTLS",
    Reason.STARTTLS_INJECTION: "someone injects plaintext before TLS",
    Reason.PROTOCOL_VIOLATION: "what answers does not speak {protocol}",
    Reason.RESPONSE_TOO_LARGE: "its answer is too large",
    Reason.SERVER_BUSY: "the server refuses for now",
    Reason.SERVER_REFUSED: "the server refuses",
    Reason.TEMPORARY_SYSTEM_ERROR: "the server reports a temporary fault of its own",
    Reason.SYSTEM_ERROR: "the server reports a fault of its own",
    Reason.SESSION_EXPIRED: "the server ended an old session",
    Reason.IDLE_TIMEOUT: "the server found this exporter too slow",
    Reason.BAD_COMMAND: "the server did not understand this exporter",
    Reason.PROTOCOL_ERROR: "the server objects to the order of commands",
    Reason.PARTIAL_FETCH: "the server answered only in part",
    Reason.MAILBOX_MISSING: "a folder is missing or hidden",
    Reason.FOLDER_HIDDEN: "a folder is hidden from mail clients",
    Reason.CREDENTIAL_UNAVAILABLE: "the account's secret cannot be read",
    Reason.AUTH_INVALID_CREDENTIALS: "user name or password is refused",
    Reason.AUTH_APP_PASSWORD_REQUIRED: "the account needs an app password",
    Reason.AUTH_WEB_LOGIN_REQUIRED: "Google wants the account's owner to sign in with a browser",
    Reason.AUTH_ACCOUNT_LOOKUP_FAILED: "Google does not find the account",
    Reason.ACCOUNT_DISABLED: "the account is disabled",
    Reason.ACCOUNT_DELETED: "the account has been deleted",
    Reason.OAUTH_TOKEN_REJECTED: "the server refused a fresh access token",
    Reason.OAUTH_SCOPE_INSUFFICIENT: "the OAuth grant does not cover mail",
    Reason.OAUTH_GRANT_REVOKED: "the OAuth grant was revoked or has expired",
    Reason.OAUTH_GRANT_INVALID: "the OAuth grant is not valid",
    Reason.OAUTH_REAUTH_REQUIRED: "the account's owner must consent again",
    Reason.OAUTH_CLOCK_SKEW: "this host's clock is wrong",
    Reason.OAUTH_KEY_INVALID: "the service account's key is not valid",
    Reason.OAUTH_SUBJECT_INVALID: "the service account may not act for this user",
    Reason.OAUTH_SERVICE_ACCOUNT_DISABLED: "the service account is disabled",
    Reason.OAUTH_DELEGATION_MISSING: "the service account has no delegation for mail",
    Reason.OAUTH_CLIENT_INVALID: "the OAuth client is not valid",
    Reason.OAUTH_CLIENT_DELETED: "the OAuth client has been deleted",
    Reason.OAUTH_CLIENT_DISABLED: "the OAuth client is disabled",
    Reason.OAUTH_ACCESS_DENIED: "an administrator's policy denies the OAuth client",
    Reason.OAUTH_ENDPOINT_ERROR: "no token came from the token endpoint",
    Reason.DISABLED_FOR_ACCOUNT: "the account has {protocol} switched off",
    Reason.DISABLED_FOR_DOMAIN: "the administrator has {protocol} switched off",
    Reason.TOO_MANY_CONNECTIONS: "the account has too many sessions open",
    Reason.BANDWIDTH_EXCEEDED: "the account passed its daily transfer limit",
    Reason.THROTTLED: "the account is slowed down",
    Reason.LOGIN_RATE_LIMITED: "the account logs in too often",
    Reason.LOGIN_DELAY: "POP3 logins follow each other too fast",
    Reason.MAILBOX_IN_USE: "another POP3 client holds the mailbox",
    Reason.SENDING_LIMIT: "the account passed its daily sending limit",
    Reason.MESSAGE_LIMIT: "the message is too large",
    Reason.AUTH_TEMPORARY: "the server cannot check credentials at the moment",
    Reason.LOGIN_MECHANISM_UNAVAILABLE: "the server offers no way to log in that the account can use",
    Reason.AUTH_MECHANISM: "the server does not take this way to log in",
    Reason.AUTH_MISSING: "the server wants a login first",
    Reason.SASL_MALFORMED: "the server could not read the login",
    Reason.STARTTLS_REQUIRED: "the server wants STARTTLS first",
    Reason.EHLO_THROTTLED: "the server puts this host off",
    Reason.EHLO_INVALID: "the server does not accept this host's name",
    Reason.RELAY_LIMIT: "the SMTP relay's daily limit is passed",
    Reason.RELAY_DENIED: "the SMTP relay does not admit this host",
    Reason.MX_NO_PTR: "this host has no matching reverse DNS",
    Reason.MX_IP_NOT_AUTHORIZED: "Google takes no mail from this address range",
    Reason.MX_SENDER_UNAUTHENTICATED: "the sender passes neither SPF nor DKIM",
    Reason.MX_RATE_LIMITED: "Google slows this host down",
    Reason.MX_BAD_REPUTATION: "this host has a bad reputation with Google",
    Reason.MX_POLICY: "the recipient's policy does not admit this",
    Reason.MX_USER_UNKNOWN: "the recipient does not exist",
    Reason.MX_USER_DISABLED: "the recipient is disabled",
    Reason.MX_MAILBOX_FULL: "the recipient's storage is full",
    Reason.MX_RECIPIENT_RATE: "the recipient receives too much mail",
    Reason.INTERNAL: "a fault of this exporter",
}


def says(outcome: Outcome) -> str:
    """What is wrong, in half a sentence without a full stop; for the reasons that tell little, say where."""
    protocol = outcome.target.endpoint.protocol.value.upper()
    return _SAYS[outcome.reason].format(protocol=protocol, during=DURING[outcome.phase])


def span(seconds: float) -> str:
    """How long that is, in one unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
