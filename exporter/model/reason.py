"""Why a probe ended: the reasons, whose fault each is, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Blame(StrEnum):
    """Whose fault a failure is."""

    PROVIDER = "provider"
    NETWORK = "network"
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 (the name of a party, not a secret)
    CLIENT = "client"


class Retry(StrEnum):
    """What the next login may do after this failure."""

    SAFE = "safe"
    BACKOFF = "backoff"
    HOLD = "hold"
    WAIT24 = "wait24"


class Reason(StrEnum):
    """Why a probe ended: one closed enumeration; each member knows its blame, its retry and what to do about it."""

    blame: Blame
    retry: Retry
    remedy: str

    def __new__(cls, code: str, blame: Blame, retry: Retry, remedy: str) -> Self:
        """Make a member whose value is `code`."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.blame = blame
        member.retry = retry
        member.remedy = remedy
        return member

    # fmt: off
    OK = "ok", Blame.CLIENT, Retry.SAFE, "Nothing to do."

    # DNS
    DNS_NOT_FOUND = "dns_not_found", Blame.NETWORK, Retry.SAFE, \
        "This host's resolver does not know the name: check the spelling, /etc/resolv.conf and the resolver itself."
    DNS_NO_ADDRESS = "dns_no_address", Blame.NETWORK, Retry.SAFE, \
        "The name exists but has no address of the wanted family: set ip_family to one that it has."
    DNS_ERROR = "dns_error", Blame.NETWORK, Retry.SAFE, \
        "The resolver failed or refused: check the name servers in /etc/resolv.conf."

    # Transport
    TIMEOUT = "timeout", Blame.NETWORK, Retry.SAFE, \
        "No answer before the deadline: compare from another network; check firewalls (port 25 is often blocked)."
    REFUSED = "refused", Blame.NETWORK, Retry.SAFE, \
        "The connection was refused: check host and port, and firewalls that answer in the server's place."
    UNREACHABLE = "unreachable", Blame.NETWORK, Retry.SAFE, \
        "No route to the server: check this host's network, its default route and firewalls."
    RESET = "reset", Blame.NETWORK, Retry.SAFE, \
        "The connection was reset: compare from another network; look for a firewall or proxy in between."
    CLOSED = "closed", Blame.NETWORK, Retry.BACKOFF, \
        "The server closed the connection without a word: compare from another network."
    ADDRESS_FAMILY_UNAVAILABLE = "address_family_unavailable", Blame.CLIENT, Retry.SAFE, \
        "This host has no route of that address family: give it one, or set ip_family to the other."
    ADDRESS_NOT_PUBLIC = "address_not_public", Blame.CLIENT, Retry.SAFE, \
        "Without probe.allow, /probe connects to public addresses only: name the host there, if it may be probed."

    # TLS
    CERTIFICATE_EXPIRED = "certificate_expired", Blame.NETWORK, Retry.HOLD, \
        "A certificate of the chain has expired: check this host's clock, then who really answers at that address."
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid", Blame.NETWORK, Retry.HOLD, \
        "A certificate of the chain is not valid yet: check this host's clock first."
    CERTIFICATE_HOSTNAME_MISMATCH = "certificate_hostname_mismatch", Blame.NETWORK, Retry.HOLD, \
        "The certificate is for another name: check host and tls.server_name, then look for interception."
    CERTIFICATE_UNTRUSTED = "certificate_untrusted", Blame.NETWORK, Retry.HOLD, \
        "The certificate's issuer is not trusted here: look for a proxy that intercepts TLS, or set tls.ca_file."
    TLS_NO_SNI = "tls_no_sni", Blame.CLIENT, Retry.SAFE, \
        "The server was asked without a name: set host to a DNS name, or tls.server_name."
    TLS_FAILED = "tls_failed", Blame.NETWORK, Retry.SAFE, \
        "The TLS handshake failed: check port and security (tls or starttls), tls.min_version, and proxies in between."
    STARTTLS_UNAVAILABLE = "starttls_unavailable", Blame.NETWORK, Retry.HOLD, \
        "The server does not offer STARTTLS: a proxy may be stripping it; otherwise check the port."
    STARTTLS_INJECTION = "starttls_injection", Blame.NETWORK, Retry.HOLD, \
        "Plaintext came with the STARTTLS reply: someone in between is injecting commands. Do not trust this network."

    # Protocol
    PROTOCOL_VIOLATION = "protocol_violation", Blame.NETWORK, Retry.SAFE, \
        "The answer is not of this protocol: check protocol and port, and look for a proxy or captive portal."
    RESPONSE_TOO_LARGE = "response_too_large", Blame.NETWORK, Retry.SAFE, \
        "The answer passed a size limit: check the port; something in between may be flooding."
    SERVER_BUSY = "server_busy", Blame.PROVIDER, Retry.BACKOFF, \
        "The server refused for now: see Google's status dashboard, and wait."
    SERVER_REFUSED = "server_refused", Blame.PROVIDER, Retry.BACKOFF, \
        "The server refused for good, in words that no rule knows: read them in detail."
    TEMPORARY_SYSTEM_ERROR = "temporary_system_error", Blame.PROVIDER, Retry.BACKOFF, \
        "Google's server reports a fault of its own: see its status dashboard; nothing to do here."
    SYSTEM_ERROR = "system_error", Blame.PROVIDER, Retry.BACKOFF, \
        "Google's server ended the session with an error of its own: see its status dashboard."
    SESSION_EXPIRED = "session_expired", Blame.PROVIDER, Retry.SAFE, \
        "The server ended a session that it considers old: expected, the next probe starts a new one."
    IDLE_TIMEOUT = "idle_timeout", Blame.CLIENT, Retry.SAFE, \
        "The server waited too long for this exporter: check this host's load."
    BAD_COMMAND = "bad_command", Blame.CLIENT, Retry.BACKOFF, \
        "The server did not understand a command of this exporter: report it, with detail."
    PROTOCOL_ERROR = "protocol_error", Blame.CLIENT, Retry.BACKOFF, \
        "The server objects to the order of this exporter's commands: report it, with detail."
    PARTIAL_FETCH = "partial_fetch", Blame.PROVIDER, Retry.BACKOFF, \
        "The server could answer only in part: see Google's status dashboard."
    MAILBOX_MISSING = "mailbox_missing", Blame.ACCOUNT, Retry.SAFE, \
        "The folder is missing or hidden: Gmail → Settings → See all settings → Labels → Show in IMAP."
    FOLDER_HIDDEN = "folder_hidden", Blame.ACCOUNT, Retry.SAFE, \
        "Mail clients do not see the folder: Gmail → Settings → See all settings → Labels → Show in IMAP."

    # Login: the credential
    CREDENTIAL_UNAVAILABLE = "credential_unavailable", Blame.CLIENT, Retry.SAFE, \
        "The secret could not be read: check the file or the variable that the account names, and its permissions."
    AUTH_INVALID_CREDENTIALS = "auth_invalid_credentials", Blame.ACCOUNT, Retry.HOLD, \
        ("Check the user name and make a new app password (a change of the Google password revokes it): "
         "myaccount.google.com → Security → 2-Step Verification → App passwords.")
    AUTH_APP_PASSWORD_REQUIRED = "auth_app_password_required", Blame.ACCOUNT, Retry.HOLD, \
        ("This is the account's own password: make an app password (myaccount.google.com → Security → 2-Step "
         "Verification → App passwords) or use OAuth 2.0.")
    AUTH_WEB_LOGIN_REQUIRED = "auth_web_login_required", Blame.ACCOUNT, Retry.HOLD, \
        ("Google finds the sign-in suspicious: sign in with a browser as this account, confirm the activity, "
         "then run: gmail-exporter accounts release NAME.")
    AUTH_ACCOUNT_LOOKUP_FAILED = "auth_account_lookup_failed", Blame.ACCOUNT, Retry.BACKOFF, \
        "Google does not find the account: use the full primary address as username."
    ACCOUNT_DISABLED = "account_disabled", Blame.ACCOUNT, Retry.HOLD, \
        "The account may not send mail: Admin console → Directory → Users → the user → Reactivate."
    ACCOUNT_DELETED = "account_deleted", Blame.ACCOUNT, Retry.HOLD, \
        "The account has been deleted: restore it (Admin console → Directory → Users), or name another."

    # Login: OAuth 2.0
    OAUTH_TOKEN_REJECTED = "oauth_token_rejected", Blame.TOKEN, Retry.HOLD, \
        ("The mail server refused a fresh access token: check that the grant is of this very user and has the scope "
         "https://mail.google.com/.")
    OAUTH_SCOPE_INSUFFICIENT = "oauth_scope_insufficient", Blame.TOKEN, Retry.HOLD, \
        "The grant does not cover mail: consent again, with the scope https://mail.google.com/."
    OAUTH_GRANT_REVOKED = "oauth_grant_revoked", Blame.TOKEN, Retry.HOLD, \
        ("The refresh token has expired or was revoked: consent again. If that happens weekly, publish the consent "
         "screen: Google Cloud console → APIs & Services → OAuth consent screen → Publish app.")
    OAUTH_GRANT_INVALID = "oauth_grant_invalid", Blame.TOKEN, Retry.HOLD, \
        "The refresh token is not one of this client: consent again, with this client_id."
    OAUTH_REAUTH_REQUIRED = "oauth_reauth_required", Blame.ACCOUNT, Retry.HOLD, \
        ("A session-control policy wants the user to sign in again: Admin console → Security → Google Cloud session "
         "control → exempt trusted apps; or use a service account.")
    OAUTH_CLOCK_SKEW = "oauth_clock_skew", Blame.CLIENT, Retry.BACKOFF, \
        "This host's clock is wrong, so that what it signs is not valid: start NTP."
    OAUTH_KEY_INVALID = "oauth_key_invalid", Blame.TOKEN, Retry.HOLD, \
        ("The service account's key was deleted or replaced: make a new one (Google Cloud console → IAM & Admin → "
         "Service accounts → Keys).")
    OAUTH_SUBJECT_INVALID = "oauth_subject_invalid", Blame.CLIENT, Retry.HOLD, \
        "The username is not one that a service account can act for: use a Workspace user's primary address."
    OAUTH_SERVICE_ACCOUNT_DISABLED = "oauth_service_account_disabled", Blame.TOKEN, Retry.HOLD, \
        "The service account or its project is disabled: Google Cloud console → IAM & Admin → Service accounts."
    OAUTH_DELEGATION_MISSING = "oauth_delegation_missing", Blame.ACCOUNT, Retry.WAIT24, \
        ("The Workspace administrator has not admitted this client: Admin console → Security → API controls → "
         "Domain-wide delegation: the numeric client ID with the scope https://mail.google.com/ (up to 24 h).")
    OAUTH_CLIENT_INVALID = "oauth_client_invalid", Blame.TOKEN, Retry.HOLD, \
        "Google does not know this client_id with this client_secret: Google Cloud console → Credentials."
    OAUTH_CLIENT_DELETED = "oauth_client_deleted", Blame.TOKEN, Retry.HOLD, \
        "The OAuth client was deleted (Google deletes unused ones, too): make a new one, and consent again."
    OAUTH_CLIENT_DISABLED = "oauth_client_disabled", Blame.TOKEN, Retry.HOLD, \
        "The OAuth client is disabled: Google Cloud console → APIs & Services → Credentials."
    OAUTH_ACCESS_DENIED = "oauth_access_denied", Blame.ACCOUNT, Retry.HOLD, \
        "The administrator does not admit this client: Admin console → Security → API controls → App access control."
    OAUTH_ENDPOINT_ERROR = "oauth_endpoint_error", Blame.PROVIDER, Retry.BACKOFF, \
        "No token came from the token endpoint: see detail; check that this host reaches oauth2.googleapis.com."

    # Login: access switched off
    DISABLED_FOR_ACCOUNT = "disabled_for_account", Blame.ACCOUNT, Retry.HOLD, \
        ("Gmail → Settings → See all settings → Forwarding and POP/IMAP → Enable IMAP (or: Enable POP for all mail); "
         "then run: gmail-exporter accounts release NAME.")
    DISABLED_FOR_DOMAIN = "disabled_for_domain", Blame.ACCOUNT, Retry.HOLD, \
        ("The Workspace administrator: Admin console → Apps → Google Workspace → Gmail → End User Access → POP and "
         "IMAP access → Enable; then run: gmail-exporter accounts release NAME.")

    # Login: limits
    TOO_MANY_CONNECTIONS = "too_many_connections", Blame.ACCOUNT, Retry.BACKOFF, \
        "More than 15 sessions of this account are open: find its other mail clients and close some."
    BANDWIDTH_EXCEEDED = "bandwidth_exceeded", Blame.ACCOUNT, Retry.WAIT24, \
        "The account passed its daily transfer limit: pause bulk mail clients; it ends within 24 hours."
    THROTTLED = "throttled", Blame.ACCOUNT, Retry.BACKOFF, \
        "The server slows this account down: fewer clients and commands."
    LOGIN_RATE_LIMITED = "login_rate_limited", Blame.ACCOUNT, Retry.BACKOFF, \
        "Too many logins of this account: find the other senders, and let them keep their sessions."
    LOGIN_DELAY = "login_delay", Blame.ACCOUNT, Retry.BACKOFF, \
        "POP3 logins follow each other too fast: raise login_interval above the server's LOGIN-DELAY (Gmail: 300 s)."
    MAILBOX_IN_USE = "mailbox_in_use", Blame.ACCOUNT, Retry.BACKOFF, \
        "Another POP3 client holds the mailbox: let only one poll it."
    SENDING_LIMIT = "sending_limit", Blame.ACCOUNT, Retry.WAIT24, \
        "The account passed its daily sending limit: it ends within 24 hours; send less."
    MESSAGE_LIMIT = "message_limit", Blame.CLIENT, Retry.SAFE, \
        "The message has too many recipients or is too large."
    AUTH_TEMPORARY = "auth_temporary", Blame.PROVIDER, Retry.BACKOFF, \
        "The server cannot check credentials at the moment: see Google's status dashboard."

    # Login: how this exporter asks
    LOGIN_MECHANISM_UNAVAILABLE = "login_mechanism_unavailable", Blame.CLIENT, Retry.SAFE, \
        "The server offers no login mechanism that the account can use: set mechanism to auto, or use OAuth 2.0."
    AUTH_MECHANISM = "auth_mechanism", Blame.CLIENT, Retry.HOLD, \
        "The server does not take this login mechanism: set mechanism to auto."
    AUTH_MISSING = "auth_missing", Blame.CLIENT, Retry.SAFE, \
        "The server wants a login first: give the endpoint an account."
    SASL_MALFORMED = "sasl_malformed", Blame.CLIENT, Retry.HOLD, \
        "The server could not read the login: set mechanism to auto, and report it."
    STARTTLS_REQUIRED = "starttls_required", Blame.CLIENT, Retry.SAFE, \
        "The server wants STARTTLS first: set security to starttls."

    # SMTP: the greeting of this exporter
    EHLO_THROTTLED = "ehlo_throttled", Blame.NETWORK, Retry.BACKOFF, \
        "The server puts off clients of this address or EHLO name: probe less often, or from another address."
    EHLO_INVALID = "ehlo_invalid", Blame.CLIENT, Retry.SAFE, \
        "The server does not accept an address literal as EHLO name: report it, with detail."

    # smtp-relay.gmail.com
    RELAY_LIMIT = "relay_limit", Blame.ACCOUNT, Retry.WAIT24, \
        "The SMTP relay's limit is passed: it ends within 24 hours; see Admin console → Gmail → Routing → SMTP relay."
    RELAY_DENIED = "relay_denied", Blame.ACCOUNT, Retry.HOLD, \
        "The SMTP relay does not admit this host: Admin console → Apps → Gmail → Routing → SMTP relay service."

    # Google's MX hosts
    MX_NO_PTR = "mx_no_ptr", Blame.NETWORK, Retry.SAFE, \
        "This host's address has no matching reverse DNS: set a PTR record whose name points back to it."
    MX_IP_NOT_AUTHORIZED = "mx_ip_not_authorized", Blame.NETWORK, Retry.SAFE, \
        "Google takes no mail from this address range (residential or dial-up): send through your provider's relay."
    MX_SENDER_UNAUTHENTICATED = "mx_sender_unauthenticated", Blame.CLIENT, Retry.SAFE, \
        "The sender passes neither SPF nor DKIM: publish SPF, or sign with DKIM."
    MX_RATE_LIMITED = "mx_rate_limited", Blame.NETWORK, Retry.BACKOFF, \
        "Google sees too much unsolicited mail from this address or domain: stop sending for a while."
    MX_BAD_REPUTATION = "mx_bad_reputation", Blame.NETWORK, Retry.BACKOFF, \
        "This address or domain has a very low reputation with Google: see postmaster.google.com."
    MX_POLICY = "mx_policy", Blame.ACCOUNT, Retry.SAFE, \
        "The recipient's domain demands TLS or an admitted address: use TLS, or ask its administrator."
    MX_USER_UNKNOWN = "mx_user_unknown", Blame.ACCOUNT, Retry.SAFE, \
        "The recipient does not exist: check the address."
    MX_USER_DISABLED = "mx_user_disabled", Blame.ACCOUNT, Retry.SAFE, \
        "The recipient's account is disabled or inactive: restore it."
    MX_MAILBOX_FULL = "mx_mailbox_full", Blame.ACCOUNT, Retry.BACKOFF, \
        "The recipient's storage is full: free some at one.google.com/storage."
    MX_RECIPIENT_RATE = "mx_recipient_rate", Blame.ACCOUNT, Retry.BACKOFF, \
        "The recipient receives too much mail at once: send fewer test messages."

    INTERNAL = "internal", Blame.CLIENT, Retry.BACKOFF, \
        "A fault of this exporter: report it, with the traceback from its log."
    # fmt: on


CERTIFICATE_REASONS = frozenset(
    {
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NOT_YET_VALID,
        Reason.CERTIFICATE_HOSTNAME_MISMATCH,
        Reason.CERTIFICATE_UNTRUSTED,
    }
)
