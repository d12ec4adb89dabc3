"""Why a probe ended: each reason with its blame, its retry, and its texts for people.

The texts of a reason, of a blame and of a retry stand in its own row, and only there: the terminal, the pages, the
dashboard and the documentation take them from here. They are true of any server; what is to be done at a provider that
is known stands in `remedy`.
"""

from __future__ import annotations

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


def fill(text: str, provider: str = ANY_PROVIDER, *, account: str = "NAME", **more: str) -> str:
    """Return a text of this file with its placeholders filled in: `{provider}`, `{account}`, and those of `more`."""
    words = {**_OF_NO_FAILURE, **more, "provider": provider, "Provider": provider[0].upper() + provider[1:]}
    return text.format(account=account, **words)


class Blame(TableEnum):
    """Which party is at fault. `label` is its name in a word or two, `party` its description."""

    label: str
    party: str

    # fmt: off
    PROVIDER = "provider", "{provider}", "the operator of the mail server"
    NETWORK = "network", "network", "between this host and the server: the resolver, a firewall, a proxy, the provider"
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

    `blame` is `unknown` where only evidence can tell. `summary` says what is wrong, so that it can follow "imap: ";
    `remedy` says what to do about it. Both are templates for `fill`: `{protocol}` is the protocol's name, `{during}`
    the phase in words; `{silence}` and `{ending}` say what to look at where the server falls silent or ends the
    connection then, `{odd}` where it says what is not of the protocol; `{token_host}` is that of access tokens.
    """

    blame: Blame
    retry: Retry
    summary: str
    remedy: str

    # fmt: off
    OK = "ok", Blame.CLIENT, Retry.SAFE, \
        "nothing is wrong", \
        "Nothing to do."

    # DNS
    DNS_NOT_FOUND = "dns_not_found", Blame.UNKNOWN, Retry.SAFE, \
        "its name is not in the DNS", \
        "This host's resolver does not know the name: check the spelling, /etc/resolv.conf and the resolver itself."
    DNS_NO_ADDRESS = "dns_no_address", Blame.UNKNOWN, Retry.SAFE, \
        "its name has no address of the wanted family", \
        "The name exists but has no address of the wanted family: set ip_family to one that it has."
    DNS_ERROR = "dns_error", Blame.UNKNOWN, Retry.SAFE, \
        "the resolver fails", \
        "The resolver failed or refused: check the name servers in /etc/resolv.conf."

    # Transport
    TIMEOUT = "timeout", Blame.UNKNOWN, Retry.SAFE, \
        "no answer {during}", \
        "No answer before the deadline: {silence}."
    REFUSED = "refused", Blame.UNKNOWN, Retry.SAFE, \
        "the connection was refused", \
        "The connection was refused: check host and port, and firewalls that answer in the server's place."
    UNREACHABLE = "unreachable", Blame.UNKNOWN, Retry.SAFE, \
        "there is no route to it", \
        "No route to the server: check this host's network, its default route and firewalls."
    RESET = "reset", Blame.UNKNOWN, Retry.SAFE, \
        "the connection was reset {during}", \
        "The connection was reset: {ending}."
    CLOSED = "closed", Blame.UNKNOWN, Retry.BACKOFF, \
        "the connection was closed {during}", \
        "The connection was closed without an answer: {ending}."
    ADDRESS_FAMILY_UNAVAILABLE = "address_family_unavailable", Blame.CLIENT, Retry.SAFE, \
        "this host has no route of that address family", \
        "This host has no route of that address family: give it one, or set ip_family to the other."
    MX_ADDRESS_LITERAL = "mx_address_literal", Blame.ACCOUNT, Retry.SAFE, \
        "the domain's MX record names an address in place of a host", \
        "An MX record must name a host (RFC 5321 §5.1): give the server a name, and put that into the record."
    MX_RECORDS_CHANGED = "mx_records_changed", Blame.ACCOUNT, Retry.SAFE, \
        "the domain has other mail exchanges than expected", \
        ("If you have changed the MX records, change expect; if not, somebody else has: mail for the domain goes there "
         "now.")
    MTA_STS_TXT_MISSING = "mta_sts_txt_missing", Blame.ACCOUNT, Retry.SAFE, \
        "no MTA-STS policy is announced", \
        ("Publish a TXT record at _mta-sts and the domain, such as v=STSv1; id=20260101; or set expect_mta_sts: false. "
         "To take a policy back, serve one with mode: none first (RFC 8461 §8.3).")
    MTA_STS_TXT_AMBIGUOUS = "mta_sts_txt_ambiguous", Blame.ACCOUNT, Retry.SAFE, \
        "several MTA-STS records are there, so that none is valid", \
        "Leave one TXT record at _mta-sts and the domain that begins with v=STSv1 (RFC 8461 §3.1)."
    MTA_STS_POLICY_UNREACHABLE = "mta_sts_policy_unreachable", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy cannot be fetched", \
        ("Serve the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with status 200, without a redirect, and "
         "with a certificate for that name that the public trusts; the reason is in detail.")
    MTA_STS_POLICY_INVALID = "mta_sts_policy_invalid", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy is not valid", \
        ("Correct what detail names: senders go by the policy that they have, then by none. It is text/plain, of at "
         "most 64 KiB, with version, mode, mx and max_age (RFC 8461 §3.2).")
    MTA_STS_POLICY_EXPIRED = "mta_sts_policy_expired", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy has expired, so that nothing protects the domain", \
        "Let the policy be fetched again: senders that had it have none any more."
    MTA_STS_TESTING = "mta_sts_testing", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy is in testing, and protects nothing yet", \
        "Once the reports (TLS-RPT) show no failures, set mode: enforce in the policy and another id in the record."
    MTA_STS_MX_MISMATCH = "mta_sts_mx_mismatch", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy does not cover a mail exchange", \
        ("Add the exchange to the mx of the policy, and set another id in the record; or remove it from the MX "
         "records. With mode: enforce, senders do not deliver to it.")
    MTA_STS_CERTIFICATE = "mta_sts_certificate", Blame.ACCOUNT, Retry.SAFE, \
        "the certificate is not one that the MTA-STS policy demands", \
        ("Give the exchange a certificate for its name that the public trusts, and STARTTLS: under mode: enforce, "
         "senders do not deliver to it.")
    MTA_STS_POLICY_CHANGED = "mta_sts_policy_changed", Blame.ACCOUNT, Retry.SAFE, \
        "the MTA-STS policy has changed", \
        "If you have not changed it, find out who has: the policy decides where senders deliver."
    DANE_MISMATCH = "dane_mismatch", Blame.ACCOUNT, Retry.SAFE, \
        "the certificate matches no TLSA record", \
        ("Publish a TLSA record of the certificate, or of its key, before the exchange uses it, and remove the old one "
         "after its TTL (RFC 7671 §8.1): senders that know DANE do not deliver.")
    DANE_UNAUTHENTICATED = "dane_unauthenticated", Blame.ACCOUNT, Retry.SAFE, \
        "TLSA records are there without DNSSEC, and mean nothing", \
        "Sign the zones of the domain and of the exchange, with a DS record above each; or remove the TLSA records."
    MX_NULL = "mx_null", Blame.ACCOUNT, Retry.SAFE, \
        "the domain says that it takes no mail", \
        "The domain has a null MX record (RFC 7505): remove it, and add one for each server that takes its mail."
    ADDRESS_NOT_PUBLIC = "address_not_public", Blame.CLIENT, Retry.SAFE, \
        "its address is not public", \
        "Without probe.allow, /probe connects to public addresses only: name the host there, if it may be probed."

    # TLS
    CERTIFICATE_EXPIRED = "certificate_expired", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate has expired", \
        ("A certificate of the chain has expired: check this host's clock; renew the certificate if the server is "
         "yours, else find out what really answers at that address.")
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate is not valid yet", \
        "A certificate of the chain is not valid yet: check this host's clock first, then the certificate."
    CERTIFICATE_HOSTNAME_MISMATCH = "certificate_hostname_mismatch", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate is for another name", \
        ("No subject alternative name of the certificate is the name that is asked for: check host and "
         "tls.server_name, then what really answers at that address.")
    CERTIFICATE_UNTRUSTED = "certificate_untrusted", Blame.UNKNOWN, Retry.HOLD, \
        "its certificate is not trusted here", \
        ("The certificate's issuer is not trusted here: if it is a private authority, set tls.ca_file to its "
         "certificate; else check for a proxy that intercepts TLS.")
    TLS_NO_SNI = "tls_no_sni", Blame.CLIENT, Retry.SAFE, \
        "the handshake named no server", \
        "The handshake named no server (SNI): set host to a DNS name, or set tls.server_name."
    TLS_FAILED = "tls_failed", Blame.UNKNOWN, Retry.SAFE, \
        "the TLS handshake failed", \
        ("The TLS handshake failed, for the reason in detail: check port and security (tls or starttls), "
         "tls.min_version, and proxies in between.")
    STARTTLS_UNAVAILABLE = "starttls_unavailable", Blame.UNKNOWN, Retry.HOLD, \
        "it does not offer STARTTLS, or refuses it", \
        ("The server does not offer STARTTLS, or refuses it: check port and security; if the server offers it "
         "elsewhere, something in between takes it away.")
    STARTTLS_INJECTION = "starttls_injection", Blame.UNKNOWN, Retry.HOLD, \
        "it goes on in the clear after STARTTLS", \
        ("Plaintext came where TLS should begin: something in between injects it, or the server's TLS is broken. Do "
         "not trust this network until you know which.")
    STARTTLS_PREAUTH = "starttls_preauth", Blame.UNKNOWN, Retry.HOLD, \
        "it claims a login before TLS", \
        ("The server greets as if somebody were logged in (PREAUTH), after which TLS cannot begin: so an attacker in "
         "between keeps a session in the clear. Do not trust this network; otherwise use security: tls.")

    # Protocol
    PROTOCOL_VIOLATION = "protocol_violation", Blame.UNKNOWN, Retry.SAFE, \
        "the answer is not {protocol}", \
        "The answer is not of this protocol: {odd}."
    RESPONSE_TOO_LARGE = "response_too_large", Blame.UNKNOWN, Retry.SAFE, \
        "its answer is too large", \
        "The answer passed a size limit: check the port; the server or something in between may be flooding."
    SERVER_BUSY = "server_busy", Blame.PROVIDER, Retry.BACKOFF, \
        "the server refuses for now", \
        "The server refused for now: look at its log if it is yours, or the status page of {provider}, and wait."
    SERVER_REFUSED = "server_refused", Blame.PROVIDER, Retry.BACKOFF, \
        "the server refuses", \
        "The server refused for good, for the reason in detail: look at its log if it is yours, or ask its operator."
    TEMPORARY_SYSTEM_ERROR = "temporary_system_error", Blame.PROVIDER, Retry.BACKOFF, \
        "the server reports a temporary fault of its own", \
        "The server has a fault of its own: look at its log if it is yours, or the status page of {provider}."
    SYSTEM_ERROR = "system_error", Blame.PROVIDER, Retry.BACKOFF, \
        "the server reports a fault of its own", \
        "The server has a fault of its own: look at its log if it is yours, or the status page of {provider}."
    SESSION_EXPIRED = "session_expired", Blame.PROVIDER, Retry.SAFE, \
        "the server ended an old session", \
        "The server ended a session because of its age: this is expected, the next probe starts a new one."
    IDLE_TIMEOUT = "idle_timeout", Blame.CLIENT, Retry.SAFE, \
        "the server waited too long for this exporter", \
        "The server waited too long for this exporter: check this host's load."
    BAD_COMMAND = "bad_command", Blame.CLIENT, Retry.BACKOFF, \
        "the server did not understand this exporter", \
        "The server did not understand a command of this exporter: report it, with detail."
    PROTOCOL_ERROR = "protocol_error", Blame.CLIENT, Retry.BACKOFF, \
        "the server objects to the order of commands", \
        "The server objects to the order of this exporter's commands: report it, with detail."
    PARTIAL_FETCH = "partial_fetch", Blame.PROVIDER, Retry.BACKOFF, \
        "the server answered only in part", \
        "The server could answer only in part: look at its log if it is yours, or the status page of {provider}."
    MAILBOX_MISSING = "mailbox_missing", Blame.ACCOUNT, Retry.SAFE, \
        "a folder is missing or hidden", \
        "The server does not know the folder, or hides it: look for it in the mailbox with a mail client."
    FOLDER_HIDDEN = "folder_hidden", Blame.ACCOUNT, Retry.SAFE, \
        "a folder is hidden from mail clients", \
        "No folder is shown that is marked for this use (RFC 6154): let the server mark one, or remove it from folders."

    # Deliveries
    MESSAGE_MISSING = "message_missing", Blame.PROVIDER, Retry.SAFE, \
        "the message did not arrive in time", \
        ("The server that accepted the message has not delivered it: look in the sender's mailbox for a report, and at "
         "the queue of the server if it is yours, or the status page of {provider}.")
    MESSAGE_IN_SPAM = "message_in_spam", Blame.PROVIDER, Retry.SAFE, \
        "the message is in spam", \
        ("The message is taken for spam: check SPF, DKIM and DMARC of the sender's domain, and the reputation of its "
         "address; mark the message as not spam in the mailbox.")
    MESSAGE_NOT_CLEARED = "message_not_cleared", Blame.CLIENT, Retry.SAFE, \
        "test messages cannot be cleared away", \
        ("Test messages stay in the mailbox: let the server show a folder that is marked as \\Trash, and offer MOVE or "
         "UIDPLUS; or set cleanup or sent_copy to keep.")

    # Login: the credential
    CREDENTIAL_UNAVAILABLE = "credential_unavailable", Blame.CLIENT, Retry.SAFE, \
        "the account's secret cannot be used", \
        "The secret cannot be used, for the reason in detail: check the file or the variable that the account names."
    AUTH_INVALID_CREDENTIALS = "auth_invalid_credentials", Blame.ACCOUNT, Retry.HOLD, \
        "user name or password is refused", \
        "Check user name and password, and whether {provider} wants an app password; write the right one to the secret."
    AUTH_APP_PASSWORD_REQUIRED = "auth_app_password_required", Blame.ACCOUNT, Retry.HOLD, \
        "the account needs an app password", \
        "This is the account's own password: make an app password in its settings at {provider}, or use OAuth 2.0."
    AUTH_WEB_LOGIN_REQUIRED = "auth_web_login_required", Blame.ACCOUNT, Retry.HOLD, \
        "{provider} wants the account's owner to sign in with a browser", \
        ("{Provider} finds the sign-in suspicious: sign in with a browser as this account, confirm the activity, then "
         "release the account {account}.")
    AUTH_ACCOUNT_LOOKUP_FAILED = "auth_account_lookup_failed", Blame.ACCOUNT, Retry.BACKOFF, \
        "{provider} does not find the account", \
        "{Provider} does not find the account: use the full primary address as username."
    ACCOUNT_DISABLED = "account_disabled", Blame.ACCOUNT, Retry.HOLD, \
        "the account is disabled", \
        ("The server lets nobody log in to this account: ask its administrator, for the reason in detail; then "
         "release the account {account}.")
    ACCOUNT_DELETED = "account_deleted", Blame.ACCOUNT, Retry.HOLD, \
        "the account has been deleted", \
        ("The account has been deleted: restore it and then release the account {account}; or name "
         "another.")

    # Login: OAuth 2.0
    OAUTH_TOKEN_REJECTED = "oauth_token_rejected", Blame.TOKEN, Retry.HOLD, \
        "the server refused a fresh access token", \
        ("The mail server refused a fresh access token: check that the grant is of this very user and covers mail. "
         "If the secret stays the same, then release the account {account}.")
    OAUTH_SCOPE_INSUFFICIENT = "oauth_scope_insufficient", Blame.TOKEN, Retry.HOLD, \
        "the OAuth grant does not cover mail", \
        "The grant does not cover mail: consent again, with the scope https://mail.google.com/."
    OAUTH_GRANT_REVOKED = "oauth_grant_revoked", Blame.TOKEN, Retry.HOLD, \
        "the OAuth grant was revoked or has expired", \
        "The refresh token has expired or was revoked: consent again."
    OAUTH_GRANT_INVALID = "oauth_grant_invalid", Blame.TOKEN, Retry.HOLD, \
        "the OAuth grant is not valid", \
        "The refresh token is not one of this client: consent again, with this client_id."
    OAUTH_REAUTH_REQUIRED = "oauth_reauth_required", Blame.ACCOUNT, Retry.HOLD, \
        "the account's owner must consent again", \
        ("A policy requires the account's owner to sign in again: consent again, or let the administrator exempt "
         "this client; then release the account {account}.")
    OAUTH_CLOCK_SKEW = "oauth_clock_skew", Blame.CLIENT, Retry.BACKOFF, \
        "this host's clock is wrong", \
        "This host's clock is wrong, so its signatures are not valid: start NTP."
    OAUTH_KEY_INVALID = "oauth_key_invalid", Blame.TOKEN, Retry.HOLD, \
        "the service account's key is not valid", \
        "The service account's key was deleted or replaced: make a new one."
    OAUTH_SUBJECT_INVALID = "oauth_subject_invalid", Blame.CLIENT, Retry.HOLD, \
        "the service account may not act for this user", \
        "The username is not one that the service account can act for: use the user's primary address."
    OAUTH_SERVICE_ACCOUNT_DISABLED = "oauth_service_account_disabled", Blame.TOKEN, Retry.HOLD, \
        "the service account is disabled", \
        "The service account or its project is disabled: enable it; then release the account {account}."
    OAUTH_DELEGATION_MISSING = "oauth_delegation_missing", Blame.ACCOUNT, Retry.WAIT24, \
        "the service account has no delegation for mail", \
        "The administrator of the domain has not allowed this client to act for its users: allow it for mail."
    OAUTH_CLIENT_INVALID = "oauth_client_invalid", Blame.TOKEN, Retry.HOLD, \
        "the OAuth client is not valid", \
        ("The token endpoint does not know this client_id with this client_secret: check both. If the secrets stay "
         "the same, then release the account {account}.")
    OAUTH_CLIENT_DELETED = "oauth_client_deleted", Blame.TOKEN, Retry.HOLD, \
        "the OAuth client has been deleted", \
        "The OAuth client was deleted: make a new one, and consent again."
    OAUTH_CLIENT_DISABLED = "oauth_client_disabled", Blame.TOKEN, Retry.HOLD, \
        "the OAuth client is disabled", \
        "The OAuth client is disabled: enable it; then release the account {account}."
    OAUTH_ACCESS_DENIED = "oauth_access_denied", Blame.ACCOUNT, Retry.HOLD, \
        "an administrator's policy denies the OAuth client", \
        "The administrator does not allow this client: ask for it; then release the account {account}."
    OAUTH_ENDPOINT_ERROR = "oauth_endpoint_error", Blame.PROVIDER, Retry.BACKOFF, \
        "no token came from the token endpoint", \
        "No token came from the token endpoint, for the reason in detail: check that this host reaches {token_host}."

    # Login: access switched off
    DISABLED_FOR_ACCOUNT = "disabled_for_account", Blame.ACCOUNT, Retry.HOLD, \
        "the account has {protocol} switched off", \
        ("Let the account's owner or administrator switch on {protocol} for mail clients, in its settings at "
         "{provider}; then release the account {account}.")
    DISABLED_FOR_DOMAIN = "disabled_for_domain", Blame.ACCOUNT, Retry.HOLD, \
        "the administrator has {protocol} switched off", \
        ("Let the administrator of the domain switch on {protocol} for mail clients; then "
         "release the account {account}.")

    # Login: limits
    TOO_MANY_CONNECTIONS = "too_many_connections", Blame.ACCOUNT, Retry.BACKOFF, \
        "the account has too many sessions open", \
        ("Too many sessions of this account are open: find its other mail clients and close some, or raise the "
         "server's limit.")
    BANDWIDTH_EXCEEDED = "bandwidth_exceeded", Blame.ACCOUNT, Retry.WAIT24, \
        "the account passed its daily transfer limit", \
        "The account passed its daily transfer limit: pause bulk mail clients; the limit ends within 24 hours."
    THROTTLED = "throttled", Blame.ACCOUNT, Retry.BACKOFF, \
        "the account is slowed down", \
        "The server slows this account down: use fewer clients and commands."
    LOGIN_RATE_LIMITED = "login_rate_limited", Blame.ACCOUNT, Retry.BACKOFF, \
        "the account logs in too often", \
        ("Too many logins of this account, or too many that failed: find its other clients, and let them keep their "
         "sessions.")
    LOGIN_DELAY = "login_delay", Blame.ACCOUNT, Retry.BACKOFF, \
        "POP3 logins follow each other too fast", \
        "POP3 logins follow each other too fast: raise login_interval above the server's LOGIN-DELAY."
    MAILBOX_IN_USE = "mailbox_in_use", Blame.ACCOUNT, Retry.BACKOFF, \
        "another client has the mailbox open", \
        "Another client has the mailbox open, and the server lets in one at a time: let only one client poll it."
    MAILBOX_FULL = "mailbox_full", Blame.ACCOUNT, Retry.BACKOFF, \
        "the mailbox is full", \
        "The mailbox has no storage left: free some, or raise its quota."
    SENDING_LIMIT = "sending_limit", Blame.ACCOUNT, Retry.WAIT24, \
        "the account passed its daily sending limit", \
        "The account passed its daily sending limit: send less; the limit ends within 24 hours."
    MESSAGE_LIMIT = "message_limit", Blame.CLIENT, Retry.SAFE, \
        "the message is too large", \
        "The message has too many recipients or is too large."
    AUTH_TEMPORARY = "auth_temporary", Blame.PROVIDER, Retry.BACKOFF, \
        "the server cannot check credentials at the moment", \
        "The server cannot check credentials now: look at its log if it is yours, or the status page of {provider}."

    # Login: how this exporter asks
    LOGIN_MECHANISM_UNAVAILABLE = "login_mechanism_unavailable", Blame.CLIENT, Retry.SAFE, \
        "the server offers no login mechanism that the account can use", \
        "No login mechanism is offered that the account can use: set mechanism to auto, use TLS, or use OAuth 2.0."
    LOGIN_PREAUTH = "login_preauth", Blame.CLIENT, Retry.SAFE, \
        "somebody is logged in there before the login", \
        ("The server greets as if somebody were logged in (PREAUTH), so there is no login to check: look at host and "
         "port; where that is meant, remove account from the endpoint.")
    AUTH_MECHANISM = "auth_mechanism", Blame.CLIENT, Retry.HOLD, \
        "the server does not accept this login mechanism", \
        ("The server does not accept this way to log in: set mechanism to auto; where it takes no passwords, use "
         "OAuth 2.0; then release the account {account}.")
    AUTH_MISSING = "auth_missing", Blame.CLIENT, Retry.SAFE, \
        "the server wants a login first", \
        "The server wants a login first: give the endpoint an account."
    SASL_MALFORMED = "sasl_malformed", Blame.CLIENT, Retry.HOLD, \
        "the server could not read the login", \
        ("The server could not read the login: report it; set mechanism to auto, and then "
         "release the account {account}.")
    STARTTLS_REQUIRED = "starttls_required", Blame.CLIENT, Retry.SAFE, \
        "the server wants STARTTLS first", \
        "The server takes no login in the clear: set security to starttls, or to tls and the port of that."

    # SMTP: the greeting of this exporter
    EHLO_THROTTLED = "ehlo_throttled", Blame.NETWORK, Retry.BACKOFF, \
        "the server delays this host", \
        "The server delays this address or EHLO name: probe less often, set client_name, or use another address."
    EHLO_INVALID = "ehlo_invalid", Blame.CLIENT, Retry.BACKOFF, \
        "the server does not accept this host's name", \
        ("The server does not accept what EHLO says: set client_name to the DNS name of this host's public address, in "
         "the endpoint or in the defaults of the configuration file; without it, EHLO says an address literal.")

    # smtp-relay.gmail.com
    RELAY_LIMIT = "relay_limit", Blame.ACCOUNT, Retry.WAIT24, \
        "the SMTP relay's daily limit is passed", \
        "The SMTP relay's limit is passed, for up to 24 hours: send less, or let its administrator raise it."
    RELAY_DENIED = "relay_denied", Blame.ACCOUNT, Retry.HOLD, \
        "the SMTP relay does not allow this host", \
        ("The SMTP relay does not allow this host: let its administrator allow this host's address; then "
         "release the account {account}.")

    # Google's MX hosts
    MX_NO_PTR = "mx_no_ptr", Blame.NETWORK, Retry.SAFE, \
        "this host has no matching reverse DNS", \
        "This host's address has no matching reverse DNS: set a PTR record whose name points back to it."
    MX_IP_NOT_AUTHORIZED = "mx_ip_not_authorized", Blame.NETWORK, Retry.SAFE, \
        "{provider} accepts no mail from this address range", \
        ("{Provider} accepts no mail from this address range (residential or dial-up): send through your provider's "
         "relay.")
    MX_SENDER_UNAUTHENTICATED = "mx_sender_unauthenticated", Blame.CLIENT, Retry.SAFE, \
        "the sender passes neither SPF nor DKIM", \
        "The sender passes neither SPF nor DKIM: publish SPF, or sign with DKIM."
    MX_RATE_LIMITED = "mx_rate_limited", Blame.NETWORK, Retry.BACKOFF, \
        "{provider} slows this host down", \
        "{Provider} sees too much unsolicited mail from this address or domain: stop sending for some time."
    MX_BAD_REPUTATION = "mx_bad_reputation", Blame.NETWORK, Retry.BACKOFF, \
        "this host has a bad reputation with {provider}", \
        "This address or domain has a very low reputation with {provider}: send only what is wanted."
    MX_POLICY = "mx_policy", Blame.ACCOUNT, Retry.SAFE, \
        "the recipient's policy does not allow this", \
        "The recipient's domain requires TLS or an allowed address: use TLS, or ask its administrator."
    MX_USER_UNKNOWN = "mx_user_unknown", Blame.ACCOUNT, Retry.SAFE, \
        "the recipient does not exist", \
        "The recipient does not exist: check the address."
    MX_USER_DISABLED = "mx_user_disabled", Blame.ACCOUNT, Retry.SAFE, \
        "the recipient is disabled", \
        "The recipient's account is disabled or inactive: restore it."
    MX_MAILBOX_FULL = "mx_mailbox_full", Blame.ACCOUNT, Retry.BACKOFF, \
        "the recipient's storage is full", \
        "The recipient's storage is full: free some, or raise its quota."
    MX_RECIPIENT_RATE = "mx_recipient_rate", Blame.ACCOUNT, Retry.BACKOFF, \
        "the recipient receives too much mail", \
        "The recipient receives too much mail at once: send fewer test messages."

    INTERNAL = "internal", Blame.CLIENT, Retry.BACKOFF, \
        "a fault of this exporter", \
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
