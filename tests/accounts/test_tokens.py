"""Tokens from a real token endpoint over TLS, by google-auth, and all its failures."""

from __future__ import annotations

import json
import ssl
import sys
import time
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from exporter.accounts.tokens import SCOPE, AccessToken, fetch_token, reason_of, secret_parts, token_secrets
from exporter.model.outcome import MAX_DETAIL
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.settings import Account, SecretRef
from exporter.probing.dialogue import CredentialUnavailable
from tests.accounts.conftest import Secrets
from tests.examples import SENTINEL
from tests.servers.authority import Authority
from tests.servers.tokens import CLOSE, HANG, Alter, Reply, Script, TokenServer, error, html, redirect
from tests.waiting import PATIENCE

USER = "probe@example.com"
CHUNKED = {"Transfer-Encoding": "chunked"}
UNUSABLE = "the token endpoint gave no usable answer"


def fetch(account: Account) -> AccessToken:
    """Read the secrets, and get a token."""
    return fetch_token(account, token_secrets(account, {}))


def failed(account: Account) -> CredentialUnavailable:
    """Return the error of `fetch`."""
    with pytest.raises(CredentialUnavailable) as caught:
        fetch(account)
    return caught.value


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth repeats a request at once, rather than after seconds."""
    monkeypatch.setattr("google.auth._exponential_backoff.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def account(secrets: Secrets) -> Account:
    """An account with a refresh token."""
    return secrets.refresh(USER)


@pytest.fixture(params=["refresh", "service"])
def either(request: pytest.FixtureRequest, secrets: Secrets) -> Account:
    """An account of either kind."""
    return secrets.refresh(USER) if request.param == "refresh" else secrets.service(USER)


# The token


def test_token(either: Account, trusted: TokenServer) -> None:
    """One request gets a token of the account, with the lifetime that the endpoint sends."""
    token = fetch(either)
    assert trusted.holder(token.value) == USER
    assert token.expires_at == pytest.approx(time.time() + trusted.expires_in, abs=PATIENCE)
    assert [request.answer for request in trusted.requests] == ["granted"]
    assert token.value not in repr(token)


def test_trust_does_not_depend_on_python(
    either: Account, trusted: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint is verified as mail servers are, not as this Python would do by default."""
    monkeypatch.setattr(ssl, "create_default_context", None)
    assert fetch(either).value
    assert trusted.requests


def test_no_lifetime(either: Account, trusted: TokenServer) -> None:
    """Without a lifetime it is an hour, as Google's is."""
    trusted.script(Alter({"expires_in": None}))
    assert fetch(either).expires_at == pytest.approx(time.time() + 3600, abs=PATIENCE)


def test_lifetime_as_text(either: Account, trusted: TokenServer) -> None:
    """Some endpoints send the number as text."""
    trusted.script(Alter({"expires_in": "1800"}))
    assert fetch(either).expires_at == pytest.approx(time.time() + 1800, abs=PATIENCE)


@pytest.mark.parametrize("scope", [None, "", f"openid {SCOPE}"])
def test_scope_for_mail(either: Account, trusted: TokenServer, scope: str | None) -> None:
    """A missing scope is the requested one (RFC 6749 §5.1); a wider one is accepted."""
    trusted.script(Alter({"scope": scope}))
    assert fetch(either).value


def test_another_scope(either: Account, trusted: TokenServer) -> None:
    """A grant without mail is an error before any login."""
    trusted.script(Alter({"scope": "openid https://www.googleapis.com/auth/gmail.modify"}))
    error = failed(either)
    assert error.reason is Reason.OAUTH_SCOPE_INSUFFICIENT
    assert str(error) == "the grant is for openid https://www.googleapis.com/auth/gmail.modify"


# Refusals of the endpoint, with Google's texts


class Row(NamedTuple):
    """An answer of catalogue section 7, and how it must be classified."""

    code: str
    description: str | None
    status: int
    reason: Reason
    blame: tuple[Blame, ...]
    retry: Retry = Retry.HOLD


TOKEN, ACCOUNT, CLIENT, GOOGLE = (Blame.TOKEN,), (Blame.ACCOUNT,), (Blame.CLIENT,), (Blame.PROVIDER,)
# fmt: off
CATALOGUE = [
    Row("invalid_grant", "Token has been expired or revoked.", 400, Reason.OAUTH_GRANT_REVOKED, TOKEN + ACCOUNT),
    Row("invalid_grant", "Bad Request", 400, Reason.OAUTH_GRANT_INVALID, TOKEN),
    Row("invalid_grant", "reauth related error (invalid_rapt)", 400, Reason.OAUTH_REAUTH_REQUIRED, ACCOUNT),
    Row("invalid_grant", "reauth related error (rapt_required)", 400, Reason.OAUTH_REAUTH_REQUIRED, ACCOUNT),
    Row("invalid_grant", "The account has been deleted", 400, Reason.ACCOUNT_DELETED, ACCOUNT),
    Row("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
        "Check your iat and exp values in the JWT claim.", 400, Reason.OAUTH_CLOCK_SKEW, CLIENT, Retry.BACKOFF),
    Row("invalid_grant", "Invalid JWT Signature.", 400, Reason.OAUTH_KEY_INVALID, TOKEN),
    Row("invalid_grant", "Invalid email or User ID", 400, Reason.OAUTH_SUBJECT_INVALID, CLIENT),
    Row("invalid_grant", "Not a valid email", 400, Reason.OAUTH_SUBJECT_INVALID, CLIENT),
    Row("invalid_grant", "Invalid JWT: No valid verifier found for issuer", 400, Reason.OAUTH_SUBJECT_INVALID, CLIENT),
    Row("invalid_grant", "Robot is disabled.", 400, Reason.OAUTH_SERVICE_ACCOUNT_DISABLED, TOKEN),
    Row("invalid_request", 'Invalid impersonation "sub" field', 400, Reason.OAUTH_SUBJECT_INVALID, CLIENT),
    Row("invalid_request", "Invalid impersonation prn email address.", 400, Reason.OAUTH_SUBJECT_INVALID, CLIENT),
    Row("unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not "
        "authorized for any of the scopes requested.", 401, Reason.OAUTH_DELEGATION_MISSING, ACCOUNT, Retry.WAIT24),
    Row("unauthorized_client", "Client is unauthorized to retrieve access tokens using this method.", 401,
        Reason.OAUTH_DELEGATION_MISSING, ACCOUNT, Retry.WAIT24),
    Row("unauthorized_client", "Unauthorized client or scope in request.", 401,
        Reason.OAUTH_DELEGATION_MISSING, ACCOUNT, Retry.WAIT24),
    Row("invalid_client", "The OAuth client was not found.", 401, Reason.OAUTH_CLIENT_INVALID, TOKEN),
    Row("invalid_client", "Unauthorized", 401, Reason.OAUTH_CLIENT_INVALID, TOKEN),
    Row("deleted_client", "The OAuth client was deleted.", 401, Reason.OAUTH_CLIENT_DELETED, TOKEN),
    Row("disabled_client", "The OAuth client was disabled.", 401, Reason.OAUTH_CLIENT_DISABLED, TOKEN),
    Row("access_denied", "Requested client not authorized", 400, Reason.OAUTH_ACCESS_DENIED, ACCOUNT),
    Row("access_denied", "Account restricted", 403, Reason.OAUTH_ACCESS_DENIED, ACCOUNT),
    # What is not in the catalogue: RFC 6749 §5.2, and unknown errors.
    Row("invalid_grant", None, 400, Reason.OAUTH_GRANT_INVALID, TOKEN),
    Row("invalid_scope", "Bad Request", 400, Reason.OAUTH_SCOPE_INSUFFICIENT, TOKEN),
    Row("unsupported_grant_type", "Invalid grant_type: ", 400, Reason.OAUTH_ENDPOINT_ERROR, GOOGLE, Retry.BACKOFF),
    Row("invalid_request", "Missing required parameter", 400, Reason.OAUTH_ENDPOINT_ERROR, GOOGLE, Retry.BACKOFF),
    Row("quite_new", "", 400, Reason.OAUTH_ENDPOINT_ERROR, GOOGLE, Retry.BACKOFF),
]
# fmt: on


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: f"{row.code}-{row.description}"[:50])
def test_refusal(account: Account, trusted: TokenServer, row: Row) -> None:
    """Each has its reason, with blame and retry, and the endpoint's own text."""
    trusted.script(error(row.code, row.description, row.status))
    refused = failed(account)
    assert refused.reason is row.reason
    assert refused.reason.blame in row.blame
    assert refused.reason.retry is row.retry
    assert str(refused) == (f"{row.code}: {row.description}" if row.description else row.code)
    assert len(trusted.requests) == 1


def test_failure_of_the_endpoint(trusted: TokenServer, secrets: Secrets) -> None:
    """The request is repeated within seconds, at most twice."""
    trusted.script(error("internal_failure", "Backend Error", 503), times=None)
    refused = failed(secrets.service(USER))
    assert (refused.reason, refused.reason.blame, refused.reason.retry) == (
        Reason.OAUTH_ENDPOINT_ERROR, Blame.PROVIDER, Retry.BACKOFF
    )  # fmt: skip
    assert str(refused) == "internal_failure: Backend Error"
    assert 1 < len(trusted.requests) <= 3


@pytest.mark.parametrize("subtype", ["invalid_rapt", "rapt_required"])
def test_refusal_with_a_text_of_google_auth(account: Account, trusted: TokenServer, subtype: str) -> None:
    """With this field in the answer google-auth has a text about gcloud; the endpoint's is shown."""
    body = {
        "error": "invalid_grant",
        "error_description": f"reauth related error ({subtype})",
        "error_subtype": subtype,
    }
    trusted.script(Reply(400, json.dumps(body).encode()))
    refused = failed(account)
    assert refused.reason is Reason.OAUTH_REAUTH_REQUIRED
    assert str(refused) == f"invalid_grant: reauth related error ({subtype})"


def test_revoked_grant(account: Account, trusted: TokenServer) -> None:
    """A revoked grant has its reason."""
    trusted.revoke(USER)
    assert failed(account).reason is Reason.OAUTH_GRANT_REVOKED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"client_id": "1234.apps.googleusercontent.com"}, Reason.OAUTH_CLIENT_INVALID),
        ({"client_secret": "other"}, Reason.OAUTH_CLIENT_INVALID),
        ({"refresh_token": "other"}, Reason.OAUTH_GRANT_INVALID),
    ],
    ids=str,
)
def test_wrong_client_or_grant(secrets: Secrets, change: dict[str, str], reason: Reason) -> None:
    """Each wrong part of client and grant has its reason."""
    changes: dict[str, Any] = {
        name: value if name == "client_id" else secrets.write("other", value) for name, value in change.items()
    }
    assert failed(secrets.refresh(USER, **changes)).reason is reason


# No usable answer


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (html(404), f"{UNUSABLE} (HTTP 404)"),
        (html(200), f"{UNUSABLE} (HTTP 200)"),
        (redirect("https://example.com/"), f"{UNUSABLE} (HTTP 302)"),
        (redirect("http://localhost/", 307), f"{UNUSABLE} (HTTP 307)"),
        (Reply(400, b"{}", headers=CHUNKED), "the token endpoint: IncompleteRead(0 bytes read)"),
        (CLOSE, "the token endpoint: Remote end closed connection without response"),
        (Reply(200, b""), f"{UNUSABLE} (HTTP 200)"),
        (Reply(200, b"access_token=x"), f"{UNUSABLE} (HTTP 200)"),
        (Reply(200, b"[]"), f"{UNUSABLE} (HTTP 200)"),
        (Reply(400, b"[1]"), f"{UNUSABLE} (HTTP 400)"),
        (Reply(200, b"null"), f"{UNUSABLE} (HTTP 200)"),
        (Reply(200, b"{}"), f"{UNUSABLE} (HTTP 200)"),
        (Reply(400, b"{}"), f"{UNUSABLE} (HTTP 400)"),
        (Reply(200, b"\xff\xfe\x00"), f"{UNUSABLE} (HTTP 200)"),
        (Reply(400, b"\xff\xfe\x00"), f"{UNUSABLE} (HTTP 400)"),
        (Reply(200, b"[" * 60000), f"{UNUSABLE} (HTTP 200)"),
        (Reply(200, b'{"access_token": "' + b"x" * 100_000 + b'"}'), f"{UNUSABLE} (HTTP 200)"),
        (Reply(400, b'{"error": null, "error_description": null}'), f"{UNUSABLE} (HTTP 400)"),
        (Reply(400, b'{"error": {"code": 7}}'), "{'code': 7}"),
        (Alter({"access_token": None}), f"{UNUSABLE} (HTTP 200)"),
        (Alter({"access_token": ""}), UNUSABLE),
        (Alter({"access_token": 5}), UNUSABLE),
        (Alter({"access_token": ["ya29"]}), UNUSABLE),
        (Alter({"access_token": "two words"}), UNUSABLE),
        (Alter({"access_token": "line\r\nA1 LOGOUT"}), UNUSABLE),
        (Alter({"access_token": "tök"}), UNUSABLE),
        (Alter({"expires_in": "soon"}), f"{UNUSABLE} (HTTP 200)"),
        (Alter({"expires_in": 1e300}), f"{UNUSABLE} (HTTP 200)"),
        (Alter({"expires_in": [3600]}), f"{UNUSABLE} (HTTP 200)"),
        (Alter({"expires_in": -3600}), "the token endpoint gave a token that has expired"),
        (Alter({"expires_in": 0}), "the token endpoint gave a token that has expired"),
    ],
)
def test_no_usable_answer(either: Account, trusted: TokenServer, script: Script, message: str) -> None:
    """The endpoint is to blame, one request was made, and the detail is one short line."""
    trusted.script(script)
    unusable = failed(either)
    assert unusable.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert unusable.reason.blame is Blame.PROVIDER
    assert unusable.reason.retry is Retry.BACKOFF
    assert str(unusable) == message
    assert len(trusted.requests) == 1


def test_internal_error(account: Account, trusted: TokenServer) -> None:
    """After an HTML page with status 500 google-auth repeats the request a few times."""
    trusted.script(html(500), times=None)
    unusable = failed(account)
    assert (str(unusable), unusable.reason) == (f"{UNUSABLE} (HTTP 500)", Reason.OAUTH_ENDPOINT_ERROR)
    assert 1 < len(trusted.requests) <= 3


def test_endpoint_hangs(account: Account, trusted: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request ends with its timeout."""
    monkeypatch.setattr("exporter.accounts.tokens.TIMEOUT", 0.2)
    trusted.script(HANG)
    begun = time.monotonic()
    hanging = failed(account)
    assert time.monotonic() - begun < PATIENCE / 2
    assert (str(hanging), hanging.reason) == (
        "the token endpoint: The read operation timed out", Reason.OAUTH_ENDPOINT_ERROR
    )  # fmt: skip


def test_endpoint_not_reachable(account: Account, trusted: TokenServer) -> None:
    """The detail has the operating system's text."""
    trusted.stop()
    absent = failed(account)
    assert absent.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert "Connection refused" in str(absent)


def test_endpoint_not_trusted(
    account: Account, tmp_path: Path, trusted: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To an endpoint of an unknown authority nothing is sent."""
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    untrusted = failed(account)
    assert untrusted.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert "certificate verify failed" in str(untrusted)
    assert trusted.requests == []


def test_expired_certificate(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detail has OpenSSL's text."""
    with TokenServer(authority, authority.expired) as tokens:
        monkeypatch.setenv("SSL_CERT_FILE", str(tokens.ca_file))
        untrusted = failed(Secrets(tmp_path, tokens, {}).refresh(USER))
        assert "certificate has expired" in str(untrusted)
        assert tokens.requests == []


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_another_scheme(secrets: Secrets, trusted: TokenServer, scheme: str) -> None:
    """A secret is sent only over TLS, also if the key's file has another scheme."""
    uri = trusted.token_uri.replace("https", scheme)
    for account in (secrets.refresh(USER, token_uri=uri), secrets.service(USER, token_uri=uri)):
        refused = failed(account)
        assert str(refused) == "the token endpoint: its address must begin with https://"
        assert refused.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert trusted.requests == []


# Service accounts


def test_service_account_without_delegation(secrets: Secrets, trusted: TokenServer) -> None:
    """The administrator has not allowed the service account to act for this user."""
    key = trusted.service_account("other@example.com")
    assert failed(secrets.service(USER, key=key)).reason is Reason.OAUTH_DELEGATION_MISSING


def test_replaced_key(secrets: Secrets) -> None:
    """The endpoint does not accept a key that was replaced."""
    assert failed(secrets.service(USER, private_key_id="0" * 40)).reason is Reason.OAUTH_KEY_INVALID


@pytest.mark.parametrize("hours", [-2, 2])
def test_wrong_clock(secrets: Secrets, trusted: TokenServer, hours: int) -> None:
    """With a wrong clock a JWT is refused; a refresh token does not depend on the clock."""
    service, refresh = secrets.service(USER), secrets.refresh(USER)
    trusted.clock = lambda: time.time() + timedelta(hours=hours).total_seconds()
    wrong = failed(service)
    assert (wrong.reason, wrong.reason.blame) == (Reason.OAUTH_CLOCK_SKEW, Blame.CLIENT)
    assert fetch(refresh).value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        (SENTINEL, "is not JSON"),
        ('{"type": "service_account", "private_key": "' + SENTINEL, "is not JSON"),
        ("[" * 20_000, "is not JSON"),
        (
            f'{{\u00a0"type": "service_account", "private_key": "{SENTINEL}"}}',
            "is not JSON: it has an invisible character, U+00A0 (no-break space) at character 2",
        ),
        (
            f'{{"type": "service_account",\r\n\t"private_key": "{SENTINEL}\u200b"}}',
            "holds no usable private key: it has an invisible character, U+200B (zero width space) at character 63: "
            "download a new one",
        ),
        (f'["{SENTINEL}"]', 'is not the key of a service account: wanted "type": "service_account"'),
        ("{}", 'is not the key of a service account: wanted "type": "service_account"'),
        (
            f'{{"type": "authorized_user", "refresh_token": "{SENTINEL}"}}',
            'is not the key of a service account: wanted "type": "service_account"',
        ),
        (
            f'{{"installed": {{"client_secret": "{SENTINEL}"}}}}',
            'is not the key of a service account: wanted "type": "service_account"',
        ),
        ('{"type": "service_account"}', "holds no usable private key: download a new one"),
    ],
)
def test_not_a_key(secrets: Secrets, text: str, message: str) -> None:
    """The message has the file and what is wrong, and nothing of its content."""
    account = Account(name="ops", username=USER, service_account=secrets.write("key.json", text))
    unusable = failed(account)
    assert unusable.reason is Reason.CREDENTIAL_UNAVAILABLE
    assert str(unusable) == f"the file {secrets.directory / 'key.json'} {message}"


@pytest.mark.parametrize(
    "key",
    [
        "",
        SENTINEL,
        f"-----BEGIN PRIVATE KEY-----\n{SENTINEL}\n-----END PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nTUlJ\n-----END RSA PRIVATE KEY-----\n",
    ],
)
def test_broken_private_key(secrets: Secrets, trusted: TokenServer, key: str) -> None:
    """No request is made, and the message has nothing of the key."""
    broken = failed(secrets.service(USER, private_key=key))
    path = secrets.directory / "service.json"
    assert str(broken) == f"the file {path} holds no usable private key: download a new one"
    assert broken.reason is Reason.CREDENTIAL_UNAVAILABLE
    assert trusted.requests == []


@pytest.mark.parametrize("missing", ["client_email", "token_uri", "private_key"])
def test_incomplete_key(secrets: Secrets, missing: str) -> None:
    """A key without one of its fields has the same message."""
    key = {name: value for name, value in secrets.key.items() if name != missing}
    account = Account(name="ops", username=USER, service_account=secrets.write("key.json", json.dumps(key)))
    assert "holds no usable private key" in str(failed(account))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://[", "Invalid IPv6 URL"),
        ("https://a..b/token", "label empty"),
        (f"https://{'a' * 64}.example/token", "label"),
        ("https://localhost:http/token", "nonnumeric port"),
        ("https://localhost/two words", "URL can't contain control characters"),
        ("https://localhost/\u00fc", "'ascii' codec can't encode"),
        ("", "its address must begin with https://"),
        (5, "its address must begin with https://"),
        (["https://localhost/"], "its address must begin with https://"),
    ],
)
def test_address_of_a_key(secrets: Secrets, trusted: TokenServer, address: object, message: str) -> None:
    """Whatever the library for HTTP makes of an address in a key's file, the message says that it is the endpoint's."""
    unusable = failed(secrets.service(USER, token_uri=address))  # type: ignore[arg-type]
    assert str(unusable).startswith("the token endpoint: ")
    assert message in str(unusable)
    assert unusable.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert trusted.requests == []


def test_key_in_the_environment(secrets: Secrets) -> None:
    """A key may be a variable of several lines."""
    account = Account(name="ops", username=USER, service_account=SecretRef(env="KEY"))
    environ = {"KEY": json.dumps(secrets.key, indent=2)}
    assert secrets.tokens.holder(fetch_token(account, token_secrets(account, environ)).value) == USER


# The libraries, and what is shown


def test_without_google_auth(either: Account, trusted: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional dependency the message says how to install it."""
    monkeypatch.setitem(sys.modules, "google.auth", None)
    missing = failed(either)
    assert (
        str(missing)
        == "OAuth 2.0 needs the package google-auth: run make install, or pip install '.[oauth]' in a checkout"
    )
    assert missing.reason is Reason.CREDENTIAL_UNAVAILABLE
    assert trusted.requests == []


def test_text_of_the_endpoint(either: Account, trusted: TokenServer) -> None:
    """The endpoint's text is bounded and printable."""
    trusted.script(error("invalid_grant", "\x1b[31mBad\nRequest\u202e" + "x" * 2000))
    refused = str(failed(either))
    assert refused.startswith(r"invalid_grant: \x1b[31mBad\nRequest\u202exxx")
    assert len(refused) == MAX_DETAIL


def test_endpoint_sends_new_secrets(either: Account, trusted: TokenServer) -> None:
    """What the endpoint has just made is a secret, too, also where it comes back in another field."""
    token = "ya29.a0xqzdefghijklmnopqrstuvwxyz"
    trusted.script(
        Alter({"access_token": token, "scope": f"openid {token.upper()} {b64encode(token.encode()).decode()}"})
    )
    assert str(failed(either)) == "the grant is for openid [redacted] [redacted]"


def test_secret_parts(secrets: Secrets) -> None:
    """Of a key file only the body of the private key is secret, not the JSON around it."""
    refresh, service = secrets.refresh(USER), secrets.service(USER)
    assert secret_parts(refresh, token_secrets(refresh, {})) == token_secrets(refresh, {})
    [body] = secret_parts(service, token_secrets(service, {}))
    assert body == "".join(secrets.key["private_key"].splitlines()[1:-1])
    assert body.startswith("MII")
    for broken in ("", "[]", "{}", "null", '{"private_key": 7}', "[" * 100_000):
        assert secret_parts(service, (broken,)) == ()


def test_nothing_is_logged(either: Account, trusted: TokenServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither this program nor, at level info, google-auth logs anything."""
    caplog.set_level("INFO")
    trusted.revoke(USER)
    with capture_logs() as logs:
        try:
            fetch(either)
        except CredentialUnavailable as refused:
            assert refused.reason is Reason.OAUTH_GRANT_REVOKED  # noqa: PT017 (only one of the two is refused)
    assert logs == []
    assert caplog.text == ""


def test_error_decides_before_description() -> None:
    """The description only refines the error."""
    assert reason_of("invalid_client", "Token has been expired or revoked.") is Reason.OAUTH_CLIENT_INVALID
    assert reason_of("INVALID_GRANT", "") is Reason.OAUTH_ENDPOINT_ERROR
    assert reason_of("invalid_grant", "invalid jwt signature") is Reason.OAUTH_KEY_INVALID
