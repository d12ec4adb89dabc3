"""Why a probe ended: each reason with its blame, its retry, and what is wrong in words.

The texts of a reason, of a blame and of a retry stand in its own row, and only there: the terminal, the pages, the
dashboard and the documentation take them from here. What is to be done about a reason stands in `remedy`.
"""

from __future__ import annotations

from functools import lru_cache

from exporter.model.address import is_ip_address
from exporter.model.enumeration import TableEnum

ANY_PROVIDER = "the mail provider"
GOOGLE = "Google"
_GOOGLE_DOMAINS = (".gmail.com", ".googlemail.com", ".google.com", ".googleapis.com")

_OF_NO_FAILURE = {
    "protocol": "the protocol",
    "during": "in a phase",
    "token_host": "its host",
    "odd": "check protocol and port, and look for a proxy or captive portal",
    **dict.fromkeys(("silence", "ending"), "what to look at depends on the phase"),
}


def provider_of(host: str) -> str:
    """Return the name of a host's operator for people: Google, or the mail provider."""
    return GOOGLE if f".{host.lower().removesuffix('.')}".endswith(_GOOGLE_DOMAINS) else ANY_PROVIDER


@lru_cache(maxsize=4096)
def provider_name(host: str) -> str:
    """Return whose host it is, as far as its name shows: Google's, that of a domain, or an address by itself.

    The last two labels of a name stand for its domain, which takes some providers of one country for one.
    """
    if provider_of(host) == GOOGLE:
        return GOOGLE
    if is_ip_address(host):
        return host
    return ".".join(host.lower().removesuffix(".").split(".")[-2:])


def fill(text: str, provider: str = ANY_PROVIDER, *, account: str = "NAME", **more: str) -> str:
    """Return a text with its placeholders filled in: `{provider}`, `{account}`, and those of `more`."""
    words = {**_OF_NO_FAILURE, **more, "provider": provider, "Provider": provider[0].upper() + provider[1:]}
    return text.format(account=account, **words)


class Blame(TableEnum):
    """Which party is at fault. `label` is its name in a word or two, `party` its description."""

    label: str
    party: str

    # fmt: off
    PROVIDER = "provider", "{provider}", "the operator of the mail server"
    NETWORK = "network", "network", "between this host and the server: resolver, firewall, proxy or Internet provider"
    ACCOUNT = "account", "account", "the mailbox, its owner, its quota or its administrator"
    TOKEN = "token", "OAuth grant", "the OAuth client or its grant"
    CLIENT = "client", "this exporter", "the exporter's configuration or host, or a fault of its own"
    UNKNOWN = "unknown", "not known", "nobody: the evidence shows nothing, or contradicts itself"
    # fmt: on


class Retry(TableEnum):
    """When the next login may be made after a failure. `meaning` is the text that people see."""

    meaning: str

    SAFE = "safe", "The next login comes at its usual time."
    BACKOFF = "backoff", "The time to the next login doubles with each such refusal, up to 6 hours."
    HOLD = "hold", "No further login with this secret: the next one comes with another, or after a release."
    WAIT24 = "wait24", "Logins are tried hourly: the limit of the server ends within 24 hours."


class Reason(TableEnum):
    """Why a probe ended: one closed enumeration.

    `blame` is `unknown` where only evidence can tell. `summary` says what is wrong, so that it can follow "imap: ": a
    template for `fill`, in which `{protocol}` is the protocol's name and `{during}` the phase in words.
    """

    blame: Blame
    retry: Retry
    summary: str

    # fmt: off
    OK = "ok", Blame.CLIENT, Retry.SAFE, \
        "nothing is wrong"

    # DNS
    DNS_NOT_FOUND = "dns_not_found", Blame.UNKNOWN, Retry.SAFE, \
        "its name is not in the DNS"
    DNS_NO_ADDRESS = "dns_no_address", Blame.UNKNOWN, Retry.SAFE, \
        "its name has no address of the wanted family"
    DNS_ERROR = "dns_error", Blame.UNKNOWN, Retry.SAFE, \
        "the resolver fails"

    # Transport
    TIMEOUT = "timeout", Blame.UNKNOWN, Retry.SAFE, \
        "no answer {during}"
    REFUSED = "refused", Blame.UNKNOWN, Retry.SAFE, \
        "the connection was refused"
    UNREACHABLE = "unreachable", Blame.UNKNOWN, Retry.SAFE, \
        "there is no route to it"
    RESET = "reset", Blame.UNKNOWN, Retry.SAFE, \
        "the connection was reset {during}"
    CLOSED = "closed", Blame.UNKNOWN, Retry.BACKOFF, \
        "the connection was closed {during}"
    ADDRESS_FAMILY_UNAVAILABLE = "address_family_unavailable", Blame.CLIENT, Retry.SAFE, \
        "this host has no route of that address family"
    MX_ADDRESS_LITERAL = "mx_address_literal", Blame.ACCOUNT, Retry.SAFE, \
        "the domain's MX record names an address in place of a host"
    MX_RECORDS_CHANGED = "mx_records_changed", Blame.ACCOUNT, Retry.SAFE, \
        "the domain has other mail exchanges than expected"
    MTA_STS_TXT_MISSING = "mta_sts_txt_missing", Blame.ACCOUNT, Retry.SAFE, \
        "no MTA-STS policy is announced"
    MTA_STS_TXT_AMBIGUOUS = "mta_sts_txt_ambiguous", Blame.ACCOUNT, Retry.SAFE, \
        "several MTA-STS records are there, so that none is valid"
    MTA_STS_POLICY_UNREACHABLE = "mta_sts_policy_unreachable", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy cannot be fetched"
    MTA_STS_POLICY_INVALID = "mta_sts_policy_invalid", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy is not valid"
    MTA_STS_POLICY_EXPIRED = "mta_sts_policy_expired", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy has expired, so that nothing protects the domain"
    MTA_STS_TESTING = "mta_sts_testing", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy is in testing, and protects nothing yet"
    MTA_STS_MX_MISMATCH = "mta_sts_mx_mismatch", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy does not cover a mail exchange"
    MTA_STS_CERTIFICATE = "mta_sts_certificate", Blame.ACCOUNT, Retry.SAFE, \
        "the certificate is not one that the MTA-STS policy demands"
    MTA_STS_POLICY_CHANGED = "mta_sts_policy_changed", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy has changed"
    DANE_MISMATCH = "dane_mismatch", Blame.ACCOUNT, Retry.SAFE, \
        "the certificate matches no TLSA record"
    DANE_UNAUTHENTICATED = "dane_unauthenticated", Blame.ACCOUNT, Retry.SAFE, \
        "TLSA records are there without DNSSEC, and mean nothing"
    MX_NULL = "mx_null", Blame.ACCOUNT, Retry.SAFE, \
        "the domain says that it takes no mail"
    ADDRESS_NOT_PUBLIC = "address_not_public", Blame.CLIENT, Retry.SAFE, \
        "its address is not public"

    # TLS
    CERTIFICATE_EXPIRED = "certificate_expired", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate has expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate is not valid yet"
    CERTIFICATE_HOSTNAME_MISMATCH = "certificate_hostname_mismatch", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate is for another name"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate is not trusted here"
    TLS_NO_SNI = "tls_no_sni", Blame.CLIENT, Retry.SAFE, \
        "the handshake named no server"
    TLS_FAILED = "tls_failed", Blame.UNKNOWN, Retry.SAFE, \
        "the TLS handshake failed"
    STARTTLS_UNAVAILABLE = "starttls_unavailable", Blame.UNKNOWN, Retry.HOLD, \
        "it does not offer STARTTLS, or refuses it"
    STARTTLS_INJECTION = "starttls_injection", Blame.UNKNOWN, Retry.HOLD, \
        "it goes on in the clear after STARTTLS"
    STARTTLS_PREAUTH = "starttls_preauth", Blame.UNKNOWN, Retry.HOLD, \
        "it claims a login before TLS"

    # Protocol
    PROTOCOL_VIOLATION = "protocol_violation", Blame.UNKNOWN, Retry.SAFE, \
        "the answer is not {protocol}"
    RESPONSE_TOO_LARGE = "response_too_large", Blame.UNKNOWN, Retry.SAFE, \
        "its answer is too large"
    SERVER_BUSY = "server_busy", Blame.PROVIDER, Retry.BACKOFF, \
        "the server refuses for now"
    SERVER_REFUSED = "server_refused", Blame.PROVIDER, Retry.BACKOFF, \
        "the server refuses"
    TEMPORARY_SYSTEM_ERROR = "temporary_system_error", Blame.PROVIDER, Retry.BACKOFF, \
        "the server reports a temporary fault of its own"
    SYSTEM_ERROR = "system_error", Blame.PROVIDER, Retry.BACKOFF, \
        "the server reports a fault of its own"
    SESSION_EXPIRED = "session_expired", Blame.PROVIDER, Retry.SAFE, \
        "the server ended an old session"
    IDLE_TIMEOUT = "idle_timeout", Blame.CLIENT, Retry.SAFE, \
        "the server waited too long for this exporter"
    BAD_COMMAND = "bad_command", Blame.CLIENT, Retry.BACKOFF, \
        "the server did not understand this exporter"
    PROTOCOL_ERROR = "protocol_error", Blame.CLIENT, Retry.BACKOFF, \
        "the server objects to the order of commands"
    PARTIAL_FETCH = "partial_fetch", Blame.PROVIDER, Retry.BACKOFF, \
        "the server answered only in part"
    MAILBOX_MISSING = "mailbox_missing", Blame.ACCOUNT, Retry.SAFE, \
        "a folder is missing or hidden"
    FOLDER_HIDDEN = "folder_hidden", Blame.ACCOUNT, Retry.SAFE, \
        "a folder is hidden from mail clients"

    # Deliveries
    MESSAGE_MISSING = "message_missing", Blame.PROVIDER, Retry.SAFE, \
        "the message did not arrive in time"
    MESSAGE_IN_SPAM = "message_in_spam", Blame.PROVIDER, Retry.SAFE, \
        "the message is in spam"
    MESSAGE_NOT_CLEARED = "message_not_cleared", Blame.CLIENT, Retry.SAFE, \
        "test messages cannot be cleared away"

    # Login: the credential
    CREDENTIAL_UNAVAILABLE = "credential_unavailable", Blame.CLIENT, Retry.SAFE, \
        "the account's secret cannot be used"
    AUTH_INVALID_CREDENTIALS = "auth_invalid_credentials", Blame.ACCOUNT, Retry.HOLD, \
        "user name or password is refused"
    AUTH_APP_PASSWORD_REQUIRED = "auth_app_password_required", Blame.ACCOUNT, Retry.HOLD, \
        "the account needs an app password"
    AUTH_WEB_LOGIN_REQUIRED = "auth_web_login_required", Blame.ACCOUNT, Retry.HOLD, \
        "{provider} wants the account's owner to sign in with a browser"
    AUTH_ACCOUNT_LOOKUP_FAILED = "auth_account_lookup_failed", Blame.ACCOUNT, Retry.BACKOFF, \
        "{provider} does not find the account"
    ACCOUNT_DISABLED = "account_disabled", Blame.ACCOUNT, Retry.HOLD, \
        "the account is disabled"
    ACCOUNT_DELETED = "account_deleted", Blame.ACCOUNT, Retry.HOLD, \
        "the account has been deleted"

    # Login: OAuth 2.0
    OAUTH_TOKEN_REJECTED = "oauth_token_rejected", Blame.TOKEN, Retry.HOLD, \
        "the server refused a fresh access token"
    OAUTH_SCOPE_INSUFFICIENT = "oauth_scope_insufficient", Blame.TOKEN, Retry.HOLD, \
        "the OAuth grant does not cover mail"
    OAUTH_GRANT_REVOKED = "oauth_grant_revoked", Blame.TOKEN, Retry.HOLD, \
        "the OAuth grant was revoked or has expired"
    OAUTH_GRANT_INVALID = "oauth_grant_invalid", Blame.TOKEN, Retry.HOLD, \
        "the OAuth grant is not valid"
    OAUTH_REAUTH_REQUIRED = "oauth_reauth_required", Blame.ACCOUNT, Retry.HOLD, \
        "the account's owner must consent again"
    OAUTH_CLOCK_SKEW = "oauth_clock_skew", Blame.CLIENT, Retry.BACKOFF, \
        "this host's clock is wrong"
    OAUTH_KEY_INVALID = "oauth_key_invalid", Blame.TOKEN, Retry.HOLD, \
        "the service account's key is not valid"
    OAUTH_SUBJECT_INVALID = "oauth_subject_invalid", Blame.CLIENT, Retry.HOLD, \
        "the service account may not act for this user"
    OAUTH_SERVICE_ACCOUNT_DISABLED = "oauth_service_account_disabled", Blame.TOKEN, Retry.HOLD, \
        "the service account is disabled"
    OAUTH_DELEGATION_MISSING = "oauth_delegation_missing", Blame.ACCOUNT, Retry.WAIT24, \
        "the service account has no delegation for mail"
    OAUTH_CLIENT_INVALID = "oauth_client_invalid", Blame.TOKEN, Retry.HOLD, \
        "the OAuth client is not valid"
    OAUTH_CLIENT_DELETED = "oauth_client_deleted", Blame.TOKEN, Retry.HOLD, \
        "the OAuth client has been deleted"
    OAUTH_CLIENT_DISABLED = "oauth_client_disabled", Blame.TOKEN, Retry.HOLD, \
        "the OAuth client is disabled"
    OAUTH_ACCESS_DENIED = "oauth_access_denied", Blame.ACCOUNT, Retry.HOLD, \
        "an administrator's policy denies the OAuth client"
    OAUTH_ENDPOINT_ERROR = "oauth_endpoint_error", Blame.PROVIDER, Retry.BACKOFF, \
        "no token came from the token endpoint"

    # Login: access switched off
    DISABLED_FOR_ACCOUNT = "disabled_for_account", Blame.ACCOUNT, Retry.HOLD, \
        "the account has {protocol} switched off"
    DISABLED_FOR_DOMAIN = "disabled_for_domain", Blame.ACCOUNT, Retry.HOLD, \
        "the administrator has {protocol} switched off"

    # Login: limits
    TOO_MANY_CONNECTIONS = "too_many_connections", Blame.ACCOUNT, Retry.BACKOFF, \
        "the account has too many sessions open"
    BANDWIDTH_EXCEEDED = "bandwidth_exceeded", Blame.ACCOUNT, Retry.WAIT24, \
        "the account passed its daily transfer limit"
    THROTTLED = "throttled", Blame.ACCOUNT, Retry.BACKOFF, \
        "the account is slowed down"
    LOGIN_RATE_LIMITED = "login_rate_limited", Blame.ACCOUNT, Retry.BACKOFF, \
        "the account logs in too often"
    LOGIN_DELAY = "login_delay", Blame.ACCOUNT, Retry.BACKOFF, \
        "POP3 logins follow each other too fast"
    MAILBOX_IN_USE = "mailbox_in_use", Blame.ACCOUNT, Retry.BACKOFF, \
        "another client has the mailbox open"
    MAILBOX_FULL = "mailbox_full", Blame.ACCOUNT, Retry.BACKOFF, \
        "the mailbox is full"
    SENDING_LIMIT = "sending_limit", Blame.ACCOUNT, Retry.WAIT24, \
        "the account passed its daily sending limit"
    MESSAGE_LIMIT = "message_limit", Blame.CLIENT, Retry.SAFE, \
        "the message is too large"
    AUTH_TEMPORARY = "auth_temporary", Blame.PROVIDER, Retry.BACKOFF, \
        "the server cannot check credentials at the moment"

    # Login: how this exporter asks
    LOGIN_MECHANISM_UNAVAILABLE = "login_mechanism_unavailable", Blame.CLIENT, Retry.SAFE, \
        "the server offers no login mechanism that the account can use"
    LOGIN_PREAUTH = "login_preauth", Blame.CLIENT, Retry.SAFE, \
        "somebody is logged in there before the login"
    AUTH_MECHANISM = "auth_mechanism", Blame.CLIENT, Retry.HOLD, \
        "the server does not accept this login mechanism"
    AUTH_MISSING = "auth_missing", Blame.CLIENT, Retry.SAFE, \
        "the server wants a login first"
    SASL_MALFORMED = "sasl_malformed", Blame.CLIENT, Retry.HOLD, \
        "the server could not read the login"
    STARTTLS_REQUIRED = "starttls_required", Blame.CLIENT, Retry.SAFE, \
        "the server wants STARTTLS first"

    # SMTP: the greeting of this exporter
    EHLO_THROTTLED = "ehlo_throttled", Blame.NETWORK, Retry.BACKOFF, \
        "the server delays this host"
    EHLO_INVALID = "ehlo_invalid", Blame.CLIENT, Retry.BACKOFF, \
        "the server does not accept this host's name"

    # smtp-relay.gmail.com
    RELAY_LIMIT = "relay_limit", Blame.ACCOUNT, Retry.WAIT24, \
        "the SMTP relay's daily limit is passed"
    RELAY_DENIED = "relay_denied", Blame.ACCOUNT, Retry.HOLD, \
        "the SMTP relay does not allow this host"

    # Google's MX hosts
    MX_NO_PTR = "mx_no_ptr", Blame.NETWORK, Retry.SAFE, \
        "this host has no matching reverse DNS"
    MX_IP_NOT_AUTHORIZED = "mx_ip_not_authorized", Blame.NETWORK, Retry.SAFE, \
        "{provider} accepts no mail from this address range"
    MX_SENDER_UNAUTHENTICATED = "mx_sender_unauthenticated", Blame.CLIENT, Retry.SAFE, \
        "the sender passes neither SPF nor DKIM"
    MX_RATE_LIMITED = "mx_rate_limited", Blame.NETWORK, Retry.BACKOFF, \
        "{provider} slows this host down"
    MX_BAD_REPUTATION = "mx_bad_reputation", Blame.NETWORK, Retry.BACKOFF, \
        "this host has a bad reputation with {provider}"
    MX_POLICY = "mx_policy", Blame.ACCOUNT, Retry.SAFE, \
        "the recipient's policy does not allow this"
    MX_USER_UNKNOWN = "mx_user_unknown", Blame.ACCOUNT, Retry.SAFE, \
        "the recipient does not exist"
    MX_USER_DISABLED = "mx_user_disabled", Blame.ACCOUNT, Retry.SAFE, \
        "the recipient is disabled"
    MX_MAILBOX_FULL = "mx_mailbox_full", Blame.ACCOUNT, Retry.BACKOFF, \
        "the recipient's storage is full"
    MX_RECIPIENT_RATE = "mx_recipient_rate", Blame.ACCOUNT, Retry.BACKOFF, \
        "the recipient receives too much mail"

    FILES_USED_UP = "files_used_up", Blame.CLIENT, Retry.SAFE, \
        "this exporter has no file descriptor left"
    INTERNAL = "internal", Blame.CLIENT, Retry.BACKOFF, \
        "a fault of this exporter"
    # fmt: on


CERTIFICATE_REASONS = frozenset(
    {
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NOT_YET_VALID,
        Reason.CERTIFICATE_HOSTNAME_MISMATCH,
        Reason.CERTIFICATE_UNTRUSTED,
    }
)
