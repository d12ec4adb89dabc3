"""Access tokens from Google's token endpoint (RFC 6749 §6, RFC 7523 §2.1), by google-auth.

google-auth is an optional dependency, imported only where an account needs it. It blocks: call it in a thread.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from urllib.parse import parse_qs

from exporter.accounts.secrets import place_of, read_secret_text, read_token
from exporter.model.message import invisible_in
from exporter.model.reason import Reason
from exporter.model.settings import Account, OAuth2, SecretRef, Tls
from exporter.probing.client_tls import build_context
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.redact import Redactor
from exporter.probing.search import Secrets

SCOPE = "https://mail.google.com/"
"""What IMAP, POP3 and SMTP need; all three refuse a token of a narrower scope."""

TIMEOUT = 10.0
"""Seconds for one request to the token endpoint."""

MAX_ANSWER = 64 << 10
"""Octets that are read of an answer of the token endpoint."""

_NO_ANSWER = "the token endpoint gave no usable answer"
_LIFETIME = 3600.0  # seconds, where the answer has no expires_in
_TOKEN = re.compile(r"[\x21-\x7e]+")  # RFC 6749 appendix A.12, without the space, which RFC 6750 §2.1 does not allow
_SECRET_FIELDS = ("client_secret", "refresh_token", "assertion")
_TOKEN_FIELDS = ("access_token", "refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token, and when it expires, in Unix seconds. The repr never shows the token."""

    value: str = field(repr=False)
    expires_at: float


def token_secrets(account: Account, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read the secrets that the account's tokens are made from, and return them.

    Raises:
        CredentialUnavailable: one of them cannot be read.
    """
    if account.oauth2:
        return tuple(read_token(ref, environ) for ref in (account.oauth2.client_secret, account.oauth2.refresh_token))
    assert account.service_account is not None  # noqa: S101 (an account has exactly one credential)
    return (read_secret_text(account.service_account, environ),)


_MISSING = "OAuth 2.0 needs the package google-auth: run make install, or pip install '.[oauth]' in a checkout"


def fetch_token(account: Account, secrets: tuple[str, ...]) -> AccessToken:
    """Get an access token for the account from its `token_secrets`. It blocks until the endpoint answers.

    Raises:
        CredentialUnavailable: the endpoint refused, cannot be reached, or the secrets are not usable; its reason says
            which. No message contains a secret.
    """
    try:
        from google.auth import exceptions  # noqa: PLC0415 (an extra)
    except ImportError:
        raise CredentialUnavailable(_MISSING) from None
    if account.oauth2:
        credentials = _of_refresh_token(account.oauth2, *secrets)
    else:
        assert account.service_account is not None  # noqa: S101 (an account has exactly one credential)
        credentials = _of_service_account(account.service_account, account.username, secrets[0])
    transport = _Transport()
    try:
        credentials.refresh(transport)
        return _token_of(credentials, transport)
    except exceptions.TransportError as error:
        text, reason = f"the token endpoint: {error}", Reason.OAUTH_ENDPOINT_ERROR
    except CredentialUnavailable as error:
        text, reason = str(error), error.reason
    except Exception:  # noqa: BLE001 (RefreshError, which may lack the answer; any error where the answer is no object)
        text, reason = _refused(transport)
    # An endpoint may send back what it was sent, or what it has just made.
    known = Secrets([*secret_parts(account, secrets), *transport.secrets()])
    raise CredentialUnavailable(Redactor(known, _names_of(account)).text(text), reason)


def secret_parts(account: Account, secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is secret in `token_secrets`: of a service account's key file the body of the private key alone."""
    if account.oauth2:
        return secrets
    try:
        key = json.loads(secrets[0])["private_key"].splitlines()
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ()  # no key, so nothing of it is sent
    return ("".join(line for line in key if not line.startswith("-----")),)


def _names_of(account: Account) -> tuple[str, ...]:
    return account.username, *((account.oauth2.client_id, account.oauth2.token_uri) if account.oauth2 else ())


def _of_refresh_token(oauth2: OAuth2, client_secret: str, refresh_token: str) -> Any:
    from google.oauth2.credentials import Credentials  # noqa: PLC0415 (an extra)

    return Credentials(  # type: ignore[no-untyped-call]
        token=None,
        refresh_token=refresh_token,
        token_uri=oauth2.token_uri,
        client_id=oauth2.client_id,
        client_secret=client_secret,
    )


def _of_service_account(reference: SecretRef, username: str, text: str) -> Any:
    from google.oauth2.service_account import Credentials  # noqa: PLC0415 (an extra)

    place = place_of(reference)
    try:
        info = json.loads(text)
    except (ValueError, RecursionError):
        raise CredentialUnavailable(f"{place} is not JSON{_because(text)}") from None
    if not isinstance(info, dict) or info.get("type") != "service_account":
        raise CredentialUnavailable(f'{place} is not the key of a service account: wanted "type": "service_account"')
    try:
        make = Credentials.from_service_account_info
        return make(info, scopes=[SCOPE], subject=username)  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 (to the operator every error is the same, and its text may contain the key)
        why = f"{place} holds no usable private key{_because(text)}"
        raise CredentialUnavailable(f"{why}: download a new one") from None


def _because(text: str) -> str:
    """Name an invisible character of a file that cannot be used, which may be the cause."""
    found = invisible_in(text, allowed="\r\n\t")
    return f": it has an invisible character, {found}" if found else ""


def _token_of(credentials: Any, transport: _Transport) -> AccessToken:
    if not isinstance(credentials.token, str) or not _TOKEN.fullmatch(credentials.token):
        raise CredentialUnavailable(_NO_ANSWER, Reason.OAUTH_ENDPOINT_ERROR)
    # RFC 6749 §5.1: without a scope in the answer it is the requested one.
    granted = transport.answer().get("scope")
    if isinstance(granted, str) and granted and SCOPE not in granted.split():
        raise CredentialUnavailable(f"the grant is for {granted}", Reason.OAUTH_SCOPE_INSUFFICIENT)
    expiry = credentials.expiry
    expires_at = expiry.replace(tzinfo=UTC).timestamp() if expiry else time.time() + _LIFETIME
    if expires_at <= time.time():
        raise CredentialUnavailable("the token endpoint gave a token that has expired", Reason.OAUTH_ENDPOINT_ERROR)
    return AccessToken(credentials.token, expires_at)


# Google may change its descriptions: the error decides, and the description only refines it.
_REASONS: tuple[tuple[str, re.Pattern[str], Reason], ...] = tuple(
    (error, re.compile(pattern, re.IGNORECASE), reason)
    for error, pattern, reason in (
        ("invalid_grant", r"expired or revoked", Reason.OAUTH_GRANT_REVOKED),
        ("invalid_grant", r"reauth related error|invalid_rapt|rapt_required", Reason.OAUTH_REAUTH_REQUIRED),
        ("invalid_grant", r"account has been deleted", Reason.ACCOUNT_DELETED),
        ("invalid_grant", r"short-lived token|iat and exp", Reason.OAUTH_CLOCK_SKEW),
        ("invalid_grant", r"JWT signature", Reason.OAUTH_KEY_INVALID),
        ("invalid_grant", r"invalid email|not a valid email|no valid verifier", Reason.OAUTH_SUBJECT_INVALID),
        ("invalid_grant", r"robot is disabled", Reason.OAUTH_SERVICE_ACCOUNT_DISABLED),
        ("invalid_grant", r"", Reason.OAUTH_GRANT_INVALID),
        ("invalid_request", r"impersonation|prn email", Reason.OAUTH_SUBJECT_INVALID),
        ("unauthorized_client", r"", Reason.OAUTH_DELEGATION_MISSING),
        ("invalid_client", r"", Reason.OAUTH_CLIENT_INVALID),
        ("deleted_client", r"", Reason.OAUTH_CLIENT_DELETED),
        ("disabled_client", r"", Reason.OAUTH_CLIENT_DISABLED),
        ("access_denied", r"", Reason.OAUTH_ACCESS_DENIED),
        ("invalid_scope", r"", Reason.OAUTH_SCOPE_INSUFFICIENT),
    )
)


def reason_of(error: str, description: str) -> Reason:
    """Return what an error answer of the token endpoint means (RFC 6749 §5.2)."""
    for name, pattern, reason in _REASONS:
        if error == name and pattern.search(description):
            return reason
    return Reason.OAUTH_ENDPOINT_ERROR


def _refused(transport: _Transport) -> tuple[str, Reason]:
    """Return the endpoint's own text and its reason; google-auth replaces some texts by its own."""
    answer = transport.answer()
    error, description = str(answer.get("error") or ""), str(answer.get("error_description") or "")
    if not error:
        status = f" (HTTP {transport.last.status})" if transport.last else ""
        return f"{_NO_ANSWER}{status}", Reason.OAUTH_ENDPOINT_ERROR
    return f"{error}: {description}" if description else error, reason_of(error, description)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP answer, as google-auth expects it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a token endpoint has none, and they could send a secret anywhere."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow it."""


class _Transport:
    """google-auth's transport on the standard library: one POST an hour needs no HTTP client."""

    def __init__(self) -> None:
        self.last: _Answer | None = None
        self._sent: list[str] = []

    def answer(self) -> dict[str, Any]:
        """Return the last answer; empty where it is not a JSON object."""
        try:
            answer = json.loads(self.last.data) if self.last else {}
        except (ValueError, RecursionError):
            return {}
        return answer if isinstance(answer, dict) else {}

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that were sent, and the tokens that came."""
        came = map(self.answer().get, _TOKEN_FIELDS)
        return (*self._sent, *(token for token in came if isinstance(token, str)))

    def __call__(
        self, url: object, method: str = "GET", body: bytes | None = None, headers: Any = None, **_: object
    ) -> _Answer:
        """Make one request.

        Raises:
            google.auth.exceptions.TransportError: no answer came.
        """
        from google.auth.exceptions import TransportError  # noqa: PLC0415 (an extra)

        if not isinstance(url, str) or not url.startswith("https://"):  # a key's file may have anything
            raise TransportError("its address must begin with https://")  # type: ignore[no-untyped-call]
        form = parse_qs((body or b"").decode())
        self._sent = [form[name][0] for name in _SECRET_FIELDS if name in form]
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=build_context(Tls())))
        try:
            request = urllib.request.Request(url, body, headers or {}, method=method)  # noqa: S310 (https, see above)
            with _answer_of(opener, request) as answer:
                self.last = _Answer(answer.status, dict(answer.headers), answer.read(MAX_ANSWER))
        except Exception as error:  # noqa: BLE001 (of the socket, of HTTP, of an address or a name that is none)
            text = str(error.reason if isinstance(error, urllib.error.URLError) else error)
            raise TransportError(text) from None  # type: ignore[no-untyped-call]
        return self.last


def _answer_of(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> Any:
    """Return the answer, open, also where its status is an error."""
    try:
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        return error
