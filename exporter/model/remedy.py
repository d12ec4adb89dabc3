"""What to do about a failure: for each reason what is true of any server, and its place at a provider that is known.

Access tokens have a provider of their own: that of the token endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from exporter.model.reason import GOOGLE, Reason, fill, provider_of
from exporter.model.remedy_at_google import AT_GOOGLE, STATUS, STATUS_PAGE
from exporter.model.settings import Account
from exporter.model.verdict import Fact, Judgement, Verdict

_RAISE_LIMIT = "Raise the exporter's limit of open files (systemd: LimitNOFILE; else ulimit -n), and restart it."

REMEDIES: Mapping[Reason, str] = {
    Reason.OK: "Nothing to do.",
    # DNS
    Reason.DNS_NOT_FOUND: (
        "This host's resolver does not know the name: check the spelling, /etc/resolv.conf and the resolver itself."
    ),
    Reason.DNS_NO_ADDRESS: "The name exists but has no address of the wanted family: set ip_family to one that it has.",
    Reason.DNS_ERROR: "The resolver failed or refused: check the name servers in /etc/resolv.conf.",
    # Transport
    Reason.TIMEOUT: "No answer before the deadline: {silence}.",
    Reason.REFUSED: "The connection was refused: check host and port, and firewalls that answer in the server's place.",
    Reason.UNREACHABLE: "No route to the server: check this host's network, its default route and firewalls.",
    Reason.RESET: "The connection was reset: {ending}.",
    Reason.CLOSED: "The connection was closed without an answer: {ending}.",
    Reason.ADDRESS_FAMILY_UNAVAILABLE: (
        "This host has no route of that address family: give it one, or set ip_family to the other."
    ),
    Reason.MX_ADDRESS_LITERAL: (
        "An MX record must name a host (RFC 5321 §5.1): give the server a name, and put that into the record."
    ),
    Reason.MX_RECORDS_CHANGED: (
        "If you have changed the MX records, change expect; if not, somebody else has: mail for the domain goes there "
        "now."
    ),
    Reason.MTA_STS_TXT_MISSING: (
        "Publish a TXT record at _mta-sts and the domain, such as v=STSv1; id=20260101; or set expect_mta_sts: false. "
        "To take a policy back, serve one with mode: none first (RFC 8461 §8.3)."
    ),
    Reason.MTA_STS_TXT_AMBIGUOUS: (
        "Leave one TXT record at _mta-sts and the domain that begins with v=STSv1 (RFC 8461 §3.1)."
    ),
    Reason.MTA_STS_POLICY_UNREACHABLE: (
        "Serve the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with status 200, without a redirect, and "
        "with a certificate for that name that the public trusts; the reason is in detail."
    ),
    Reason.MTA_STS_POLICY_INVALID: (
        "Correct what detail names: senders go by the policy that they have, then by none. It is text/plain, of at "
        "most 64 KiB, with version, mode, mx and max_age (RFC 8461 §3.2)."
    ),
    Reason.MTA_STS_POLICY_EXPIRED: "Let the policy be fetched again: senders that had it have none any more.",
    Reason.MTA_STS_TESTING: (
        "Once the reports (TLS-RPT) show no failures, set mode: enforce in the policy and another id in the record."
    ),
    Reason.MTA_STS_MX_MISMATCH: (
        "Add the exchange to the mx of the policy, and set another id in the record; or remove it from the MX records. "
        "With mode: enforce, senders do not deliver to it."
    ),
    Reason.MTA_STS_CERTIFICATE: (
        "Give the exchange a certificate for its name that the public trusts, and STARTTLS: under mode: enforce, "
        "senders do not deliver to it."
    ),
    Reason.MTA_STS_POLICY_CHANGED: (
        "If you have not changed it, find out who has: the policy decides where senders deliver."
    ),
    Reason.DANE_MISMATCH: (
        "Publish a TLSA record of the certificate, or of its key, before the exchange uses it, and remove the old one "
        "after its TTL (RFC 7671 §8.1): senders that know DANE do not deliver."
    ),
    Reason.DANE_UNAUTHENTICATED: (
        "Sign the zones of the domain and of the exchange, with a DS record above each; or remove the TLSA records."
    ),
    Reason.MX_NULL: (
        "The domain has a null MX record (RFC 7505): remove it, and add one for each server that takes its mail."
    ),
    Reason.ADDRESS_NOT_PUBLIC: (
        "Without probe.allow, /probe connects to public addresses only: name the host there, if it may be probed."
    ),
    # TLS
    Reason.CERTIFICATE_EXPIRED: (
        "A certificate of the chain has expired: check this host's clock; renew the certificate if the server is "
        "yours, else find out what really answers at that address."
    ),
    Reason.CERTIFICATE_NOT_YET_VALID: (
        "A certificate of the chain is not valid yet: check this host's clock first, then the certificate."
    ),
    Reason.CERTIFICATE_HOSTNAME_MISMATCH: (
        "No subject alternative name of the certificate is the name that is asked for: check host and tls.server_name, "
        "then what really answers at that address."
    ),
    Reason.CERTIFICATE_UNTRUSTED: (
        "The certificate's issuer is not trusted here: if it is a private authority, set tls.ca_file to its "
        "certificate; else check for a proxy that intercepts TLS."
    ),
    Reason.TLS_NO_SNI: "The handshake named no server (SNI): set host to a DNS name, or set tls.server_name.",
    Reason.TLS_FAILED: (
        "The TLS handshake failed, for the reason in detail: check port and security (tls or starttls), "
        "tls.min_version, and proxies in between."
    ),
    Reason.STARTTLS_UNAVAILABLE: (
        "The server does not offer STARTTLS, or refuses it: check port and security; if the server offers it "
        "elsewhere, something in between takes it away."
    ),
    Reason.STARTTLS_INJECTION: (
        "Plaintext came where TLS should begin: something in between injects it, or the server's TLS is broken. Do not "
        "trust this network until you know which."
    ),
    Reason.STARTTLS_PREAUTH: (
        "The server greets as if somebody were logged in (PREAUTH), after which TLS cannot begin: so an attacker in "
        "between keeps a session in the clear. Do not trust this network; otherwise use security: tls."
    ),
    # Protocol
    Reason.PROTOCOL_VIOLATION: "The answer is not of this protocol: {odd}.",
    Reason.RESPONSE_TOO_LARGE: (
        "The answer passed a size limit: check the port; the server or something in between may be flooding."
    ),
    Reason.SERVER_BUSY: (
        "The server refused for now: look at its log if it is yours, or the status page of {provider}, and wait."
    ),
    Reason.SERVER_REFUSED: (
        "The server refused for good, for the reason in detail: look at its log if it is yours, or ask its operator."
    ),
    Reason.TEMPORARY_SYSTEM_ERROR: (
        "The server has a fault of its own: look at its log if it is yours, or the status page of {provider}."
    ),
    Reason.SYSTEM_ERROR: (
        "The server has a fault of its own: look at its log if it is yours, or the status page of {provider}."
    ),
    Reason.SESSION_EXPIRED: (
        "The server ended a session because of its age: this is expected, the next probe starts a new one."
    ),
    Reason.IDLE_TIMEOUT: "The server waited too long for this exporter: check this host's load.",
    Reason.BAD_COMMAND: "The server did not understand a command of this exporter: report it, with detail.",
    Reason.PROTOCOL_ERROR: "The server objects to the order of this exporter's commands: report it, with detail.",
    Reason.PARTIAL_FETCH: (
        "The server could answer only in part: look at its log if it is yours, or the status page of {provider}."
    ),
    Reason.MAILBOX_MISSING: (
        "The server does not know the folder, or hides it: look for it in the mailbox with a mail client."
    ),
    Reason.FOLDER_HIDDEN: (
        "No folder is shown that is marked for this use (RFC 6154): let the server mark one, or remove it from folders."
    ),
    # Deliveries
    Reason.MESSAGE_MISSING: (
        "The server that accepted the message has not delivered it: look in the sender's mailbox for a report, and at "
        "the queue of the server if it is yours, or the status page of {provider}."
    ),
    Reason.MESSAGE_IN_SPAM: (
        "The message is taken for spam: check SPF, DKIM and DMARC of the sender's domain, and the reputation of its "
        "address; mark the message as not spam in the mailbox."
    ),
    Reason.MESSAGE_NOT_CLEARED: (
        "Test messages stay in the mailbox: let the server show a folder that is marked as \\Trash, and offer MOVE or "
        "UIDPLUS; or set cleanup or sent_copy to keep."
    ),
    # Login: the credential
    Reason.CREDENTIAL_UNAVAILABLE: (
        "The secret cannot be used, for the reason in detail: check the file or the variable that the account names."
    ),
    Reason.AUTH_INVALID_CREDENTIALS: (
        "Check user name and password, and whether {provider} wants an app password; write the right one to the secret."
    ),
    Reason.AUTH_APP_PASSWORD_REQUIRED: (
        "This is the account's own password: make an app password in its settings at {provider}, or use OAuth 2.0."
    ),
    Reason.AUTH_WEB_LOGIN_REQUIRED: (
        "{Provider} finds the sign-in suspicious: sign in with a browser as this account, confirm the activity, then "
        "release the account {account}."
    ),
    Reason.AUTH_ACCOUNT_LOOKUP_FAILED: (
        "{Provider} does not find the account: use the full primary address as username."
    ),
    Reason.ACCOUNT_DISABLED: (
        "The server lets nobody log in to this account: ask its administrator, for the reason in detail; then release "
        "the account {account}."
    ),
    Reason.ACCOUNT_DELETED: (
        "The account has been deleted: restore it and then release the account {account}; or name another."
    ),
    # Login: OAuth 2.0
    Reason.OAUTH_TOKEN_REJECTED: (
        "The mail server refused a fresh access token: check that the grant is of this very user and covers mail. If "
        "the secret stays the same, then release the account {account}."
    ),
    Reason.OAUTH_SCOPE_INSUFFICIENT: (
        "The grant does not cover mail: consent again, with the scope https://mail.google.com/."
    ),
    Reason.OAUTH_GRANT_REVOKED: "The refresh token has expired or was revoked: consent again.",
    Reason.OAUTH_GRANT_INVALID: "The refresh token is not one of this client: consent again, with this client_id.",
    Reason.OAUTH_REAUTH_REQUIRED: (
        "A policy requires the account's owner to sign in again: consent again, or let the administrator exempt this "
        "client; then release the account {account}."
    ),
    Reason.OAUTH_CLOCK_SKEW: "This host's clock is wrong, so its signatures are not valid: start NTP.",
    Reason.OAUTH_KEY_INVALID: "The service account's key was deleted or replaced: make a new one.",
    Reason.OAUTH_SUBJECT_INVALID: (
        "The username is not one that the service account can act for: use the user's primary address."
    ),
    Reason.OAUTH_SERVICE_ACCOUNT_DISABLED: (
        "The service account or its project is disabled: enable it; then release the account {account}."
    ),
    Reason.OAUTH_DELEGATION_MISSING: (
        "The administrator of the domain has not allowed this client to act for its users: allow it for mail."
    ),
    Reason.OAUTH_CLIENT_INVALID: (
        "The token endpoint does not know this client_id with this client_secret: check both. If the secrets stay the "
        "same, then release the account {account}."
    ),
    Reason.OAUTH_CLIENT_DELETED: "The OAuth client was deleted: make a new one, and consent again.",
    Reason.OAUTH_CLIENT_DISABLED: "The OAuth client is disabled: enable it; then release the account {account}.",
    Reason.OAUTH_ACCESS_DENIED: (
        "The administrator does not allow this client: ask for it; then release the account {account}."
    ),
    Reason.OAUTH_ENDPOINT_ERROR: (
        "No token came from the token endpoint, for the reason in detail: check that this host reaches {token_host}."
    ),
    # Login: access switched off
    Reason.DISABLED_FOR_ACCOUNT: (
        "Let the account's owner or administrator switch on {protocol} for mail clients, in its settings at "
        "{provider}; then release the account {account}."
    ),
    Reason.DISABLED_FOR_DOMAIN: (
        "Let the administrator of the domain switch on {protocol} for mail clients; then release the account {account}."
    ),
    # Login: limits
    Reason.TOO_MANY_CONNECTIONS: (
        "Too many sessions of this account are open: find its other mail clients and close some, or raise the server's "
        "limit."
    ),
    Reason.BANDWIDTH_EXCEEDED: (
        "The account passed its daily transfer limit: pause bulk mail clients; the limit ends within 24 hours."
    ),
    Reason.THROTTLED: "The server slows this account down: use fewer clients and commands.",
    Reason.LOGIN_RATE_LIMITED: (
        "Too many logins of this account, or too many that failed: find its other clients, and let them keep their "
        "sessions."
    ),
    Reason.LOGIN_DELAY: "POP3 logins follow each other too fast: raise login_interval above the server's LOGIN-DELAY.",
    Reason.MAILBOX_IN_USE: (
        "Another client has the mailbox open, and the server lets in one at a time: let only one client poll it."
    ),
    Reason.MAILBOX_FULL: "The mailbox has no storage left: free some, or raise its quota.",
    Reason.SENDING_LIMIT: "The account passed its daily sending limit: send less; the limit ends within 24 hours.",
    Reason.MESSAGE_LIMIT: "The message has too many recipients or is too large.",
    Reason.AUTH_TEMPORARY: (
        "The server cannot check credentials now: look at its log if it is yours, or the status page of {provider}."
    ),
    # Login: how this exporter asks
    Reason.LOGIN_MECHANISM_UNAVAILABLE: (
        "No login mechanism is offered that the account can use: set mechanism to auto, use TLS, or use OAuth 2.0."
    ),
    Reason.LOGIN_PREAUTH: (
        "The server greets as if somebody were logged in (PREAUTH), so there is no login to check: look at host and "
        "port; where that is meant, remove account from the endpoint."
    ),
    Reason.AUTH_MECHANISM: (
        "The server does not accept this way to log in: set mechanism to auto; where it takes no passwords, use OAuth "
        "2.0; then release the account {account}."
    ),
    Reason.AUTH_MISSING: "The server wants a login first: give the endpoint an account.",
    Reason.SASL_MALFORMED: (
        "The server could not read the login: report it; set mechanism to auto, and then release the account {account}."
    ),
    Reason.STARTTLS_REQUIRED: (
        "The server takes no login in the clear: set security to starttls, or to tls and the port of that."
    ),
    # SMTP: the greeting of this exporter
    Reason.EHLO_THROTTLED: (
        "The server delays this address or EHLO name: probe less often, set client_name, or use another address."
    ),
    Reason.EHLO_INVALID: (
        "The server does not accept what EHLO says: set client_name to the DNS name of this host's public address, in "
        "the endpoint or in the defaults of the configuration file; without it, EHLO says an address literal."
    ),
    # smtp-relay.gmail.com
    Reason.RELAY_LIMIT: (
        "The SMTP relay's limit is passed, for up to 24 hours: send less, or let its administrator raise it."
    ),
    Reason.RELAY_DENIED: (
        "The SMTP relay does not allow this host: let its administrator allow this host's address; then release the "
        "account {account}."
    ),
    # Google's MX hosts
    Reason.MX_NO_PTR: "This host's address has no matching reverse DNS: set a PTR record whose name points back to it.",
    Reason.MX_IP_NOT_AUTHORIZED: (
        "{Provider} accepts no mail from this address range (residential or dial-up): send through your provider's "
        "relay."
    ),
    Reason.MX_SENDER_UNAUTHENTICATED: "The sender passes neither SPF nor DKIM: publish SPF, or sign with DKIM.",
    Reason.MX_RATE_LIMITED: (
        "{Provider} sees too much unsolicited mail from this address or domain: stop sending for some time."
    ),
    Reason.MX_BAD_REPUTATION: (
        "This address or domain has a very low reputation with {provider}: send only what is wanted."
    ),
    Reason.MX_POLICY: "The recipient's domain requires TLS or an allowed address: use TLS, or ask its administrator.",
    Reason.MX_USER_UNKNOWN: "The recipient does not exist: check the address.",
    Reason.MX_USER_DISABLED: "The recipient's account is disabled or inactive: restore it.",
    Reason.MX_MAILBOX_FULL: "The recipient's storage is full: free some, or raise its quota.",
    Reason.MX_RECIPIENT_RATE: "The recipient receives too much mail at once: send fewer test messages.",
    Reason.FILES_USED_UP: _RAISE_LIMIT,
    Reason.INTERNAL: "A fault of this exporter: report it, with the traceback from its log.",
}
"""For every reason what to do at any server: a template for `fill`.

`{silence}` and `{ending}` say what to look at where the server falls silent or ends the connection then, `{odd}` where
it says what is not of the protocol; `{token_host}` is the host that gives access tokens.
"""

OF_GROUND: Mapping[tuple[Verdict, Fact], str] = {
    (Verdict.PROVIDER_DOWN, Fact.SAME_PORT_UP): (
        "Try another network: if it works there, tell our internet provider; else wait. Change no password."
    ),
    (Verdict.PROVIDER_DOWN, Fact.ON_THIS_HOST): (
        "Start the mail server on the exporter's own host; its log says why it does not listen."
    ),
    (Verdict.EXPORTER, Fact.CLOCK_WRONG): (
        "Set the clock of the exporter's host: timedatectl set-ntp true. The certificate itself is valid."
    ),
    (Verdict.EXPORTER, Fact.FILES_USED_UP): _RAISE_LIMIT,
    (Verdict.EXPORTER, Fact.PUBLIC_ROOT): (
        "Renew the authorities of the exporter's host: apt-get install --only-upgrade ca-certificates."
    ),
    (Verdict.INTERCEPTED, Fact.PORTAL): (
        "Open any page in a browser there, and log in to the captive portal; or use another network."
    ),
    (Verdict.INTERCEPTED, Fact.MUST_BE_PUBLIC): (
        "Find the firewall or antivirus that removes STARTTLS. Type no password until then; port 465 has TLS."
    ),
    (Verdict.RESOLVER_FAILING, Fact.RESOLVER_LIES): (
        "Find what redirects the name: a filter, a hosts file or a portal. Type no password until then."
    ),
}
"""What to do about a verdict that rests on a fact, in place of the verdict's own remedy."""

_OF_TOKENS = frozenset(reason for reason in Reason if reason.startswith("oauth_")) - {Reason.OAUTH_TOKEN_REJECTED} | {
    Reason.ACCOUNT_DELETED
}
"""What the token endpoint says; of the others the mail server is the judge."""


def step_of(judgement: Judgement, provider: str) -> str:
    """Return what to do about a verdict, by the fact that it rests on where that says more.

    "" where the reason says it: of the account, the token, or the exporter without such a fact.
    """
    verdict = judgement.verdict
    for ground in judgement.grounds:
        if text := OF_GROUND.get((verdict, ground)):
            return text
    if verdict in (Verdict.ACCOUNT, Verdict.TOKEN, Verdict.EXPORTER):
        return ""
    return fill(verdict.remedy, provider).replace("Google's status page", f"Google's status page ({STATUS_PAGE})")


def evidence_at(host: str) -> str:
    """Return where else to look, in half a sentence, when a server falls silent or ends the connection."""
    return STATUS if provider_of(host) == GOOGLE else "see its log if it is yours"


def party_of(reason: Reason, host: str, account: Account | None) -> str:
    """Return the name of the provider that a failure is with: that of the mail server, or of the token endpoint."""
    return provider_of(token_host(account)) if reason in _OF_TOKENS and account else provider_of(host)


def token_host(account: Account) -> str:
    """Return the host that gives the account's access tokens. Service accounts are Google's."""
    uri = account.oauth2.token_uri if account.oauth2 else ""
    return urlsplit(uri).hostname or "oauth2.googleapis.com"


def remedy_of(reason: Reason, host: str, account: Account | None, **more: str) -> str:
    """Return what to do about a reason, at the provider that it is with; `more` as for `fill`."""
    provider = party_of(reason, host, account)
    text = AT_GOOGLE.get(reason, REMEDIES[reason]) if provider == GOOGLE else REMEDIES[reason]
    if account:
        more |= {"account": account.name, "token_host": token_host(account)}
    return fill(text, provider, **more)
