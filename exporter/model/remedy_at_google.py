"""What to do about a failure at Google, where that has a place in its settings."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.model.reason import Reason

STATUS_PAGE = "www.google.com/appsstatus/dashboard"
STATUS = f"see the status page of Google, {STATUS_PAGE}"
"""Half a sentence, where Google alone can end a failure."""

_RELEASE = "then release the account {account}."
_APP_PASSWORD = "myaccount.google.com → Security → 2-Step Verification → App passwords"  # noqa: S105 (a place)
_SCOPE = "the scope https://mail.google.com/"
_SHOW_IN_IMAP = "Gmail → Settings → See all settings → Labels → Show in IMAP."

AT_GOOGLE: Mapping[Reason, str] = {
    Reason.CERTIFICATE_EXPIRED: (
        "A certificate of the chain has expired: check this host's clock, then what really answers at that address."
    ),
    Reason.CERTIFICATE_HOSTNAME_MISMATCH: (
        "The certificate is for another name: check host and tls.server_name, then check for interception."
    ),
    Reason.CERTIFICATE_UNTRUSTED: (
        "The certificate's issuer is not trusted here: check for a proxy that intercepts TLS, and whether this host's "
        "certificates of authorities are old; if the proxy is yours, set tls.ca_file."
    ),
    Reason.SERVER_BUSY: f"The server refused for now: {STATUS}, and wait.",
    Reason.SERVER_REFUSED: "The server refused permanently, with a text that no rule knows: see detail.",
    Reason.TEMPORARY_SYSTEM_ERROR: f"The server reports a fault of its own: {STATUS}; there is nothing to do here.",
    Reason.SYSTEM_ERROR: f"The server ended the session with an error of its own: {STATUS}.",
    Reason.PARTIAL_FETCH: f"The server could answer only in part: {STATUS}.",
    Reason.MAILBOX_MISSING: f"The folder is missing or hidden: {_SHOW_IN_IMAP}",
    Reason.FOLDER_HIDDEN: f"Mail clients do not see the folder: {_SHOW_IN_IMAP}",
    Reason.AUTH_INVALID_CREDENTIALS: (
        "Check the user name, and make a new app password (a change of the Google password revokes it): "
        f"{_APP_PASSWORD}."
    ),
    Reason.AUTH_APP_PASSWORD_REQUIRED: (
        f"This is the account's own password: make an app password ({_APP_PASSWORD}) or use OAuth 2.0."
    ),
    Reason.AUTH_TEMPORARY: f"The server cannot check credentials at the moment: {STATUS}.",
    Reason.ACCOUNT_DISABLED: (
        f"The account may not send mail: Admin console → Directory → Users → the user → Reactivate; {_RELEASE}"
    ),
    Reason.ACCOUNT_DELETED: (
        f"The account has been deleted: restore it (Admin console → Directory → Users) and {_RELEASE[:-1]}; or name "
        "another."
    ),
    Reason.OAUTH_TOKEN_REJECTED: (
        f"The mail server refused a fresh access token: check that the grant is of this very user and has {_SCOPE}. If "
        f"the secret stays the same, {_RELEASE}"
    ),
    Reason.OAUTH_GRANT_REVOKED: (
        "The refresh token has expired or was revoked: consent again. If that happens weekly, publish the consent "
        "screen: Google Cloud console → APIs & Services → OAuth consent screen → Publish app."
    ),
    Reason.OAUTH_REAUTH_REQUIRED: (
        "A session-control policy requires the user to sign in again: Admin console → Security → Google Cloud session "
        f"control → exempt trusted apps, and {_RELEASE[:-1]}; or use a service account."
    ),
    Reason.OAUTH_KEY_INVALID: (
        "The service account's key was deleted or replaced: make a new one (Google Cloud console → IAM & Admin → "
        "Service accounts → Keys)."
    ),
    Reason.OAUTH_SUBJECT_INVALID: (
        "The username is not one that a service account can act for: use a Workspace user's primary address."
    ),
    Reason.OAUTH_SERVICE_ACCOUNT_DISABLED: (
        "The service account or its project is disabled: Google Cloud console → IAM & Admin → Service accounts; "
        f"{_RELEASE}"
    ),
    Reason.OAUTH_DELEGATION_MISSING: (
        "The Workspace administrator has not allowed this client: Admin console → Security → API controls → "
        f"Domain-wide delegation: the numeric client ID with {_SCOPE} (up to 24 h)."
    ),
    Reason.OAUTH_CLIENT_INVALID: (
        "Google does not know this client_id with this client_secret: Google Cloud console → Credentials. If the "
        f"secrets stay the same, {_RELEASE}"
    ),
    Reason.OAUTH_CLIENT_DELETED: (
        "The OAuth client was deleted (Google also deletes unused ones): make a new one, and consent again."
    ),
    Reason.OAUTH_CLIENT_DISABLED: (
        f"The OAuth client is disabled: Google Cloud console → APIs & Services → Credentials; {_RELEASE}"
    ),
    Reason.OAUTH_ACCESS_DENIED: (
        "The administrator does not allow this client: Admin console → Security → API controls → App access control; "
        f"{_RELEASE}"
    ),
    Reason.DISABLED_FOR_ACCOUNT: (
        "Gmail → Settings → See all settings → Forwarding and POP/IMAP → Enable POP for all mail or, on Workspace, "
        f"Enable IMAP (a personal account has IMAP always on); {_RELEASE}"
    ),
    Reason.DISABLED_FOR_DOMAIN: (
        "The Workspace administrator: Admin console → Apps → Google Workspace → Gmail → End User Access → POP and IMAP "
        f"access → Enable; {_RELEASE}"
    ),
    Reason.TOO_MANY_CONNECTIONS: (
        "More than 15 sessions of this account are open: find its other mail clients and close some."
    ),
    Reason.LOGIN_DELAY: "POP3 logins follow each other too fast: raise login_interval above Gmail's 300 s.",
    Reason.MAILBOX_FULL: "The mailbox has no storage left: free some at one.google.com/storage, or buy more.",
    Reason.RELAY_LIMIT: (
        "The SMTP relay's limit is passed for up to 24 hours: see Admin console → Gmail → Routing → SMTP relay."
    ),
    Reason.RELAY_DENIED: (
        "The SMTP relay does not allow this host: Admin console → Apps → Gmail → Routing → SMTP relay service; "
        f"{_RELEASE}"
    ),
    Reason.MX_BAD_REPUTATION: (
        "This address or domain has a very low reputation with Google: see postmaster.google.com."
    ),
    Reason.MX_MAILBOX_FULL: "The recipient's storage is full: free some at one.google.com/storage.",
}
"""In place of what `REMEDIES` says."""
