"""Who may have a token, and whose each token is: the rules of a token endpoint, refused in Google's words.

Two grants: the refresh token of RFC 6749 §6, and the signed JWT of RFC 7523 §2.1 with which a service account acts
for a mailbox of its domain. No network here, and no clock.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SCOPE: Final = "https://mail.google.com/"
REFRESH: Final = "refresh_token"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# google-auth names this audience whatever the key file's token_uri.
GOOGLE_AUDIENCE: Final = "https://oauth2.googleapis.com/token"

# Between the server's clock and a client's.
LEEWAY_SECONDS = 60

REVOKED = "Token has been expired or revoked."
BAD_SIGNATURE = "Invalid JWT Signature."
NOT_SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
NOT_DELEGATED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the "
    "scopes requested."
)

Form = Mapping[str, str]


class Refused(Exception):
    """A request deserves no token: the error's code and description (RFC 6749 §5.2), and the HTTP status."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.description = description
        self.status = status


class Credentials(NamedTuple):
    """What an OAuth client of an installed program has for one user."""

    client_id: str
    client_secret: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Token:
    """What an access token is good for, and until when."""

    user: str
    client_id: str
    scope: str
    until: float


@dataclass(frozen=True, slots=True)
class _ServiceAccount:
    key_id: str
    key: rsa.RSAPublicKey
    subjects: frozenset[str]


class Grants:
    """Clients, service accounts, and the access tokens issued to them."""

    def __init__(self, token_uri: str) -> None:
        self.token_uri = token_uri
        self._clients: dict[str, tuple[str, Credentials]] = {}
        self._accounts: dict[str, _ServiceAccount] = {}
        self._tokens: dict[str, Token] = {}
        self._revoked: set[str] = set()

    def add_client(self, user: str) -> Credentials:
        """Register a client, with a refresh token that the user has granted it."""
        number = 10**11 + secrets.randbelow(10**11)
        credentials = Credentials(
            f"{number}-{secrets.token_hex(16)}.apps.googleusercontent.com",
            f"GOCSPX-{secrets.token_urlsafe(21)}",
            f"1//0{secrets.token_urlsafe(48)}",
        )
        self._clients[credentials.client_id] = user, credentials
        return credentials

    def add_service_account(self, *subjects: str) -> dict[str, str]:
        """Create a service account that may act for these mailboxes; what its JSON key file holds."""
        key = rsa.generate_private_key(65537, 2048)
        key_id = secrets.token_hex(20)
        email = f"exporter-{secrets.token_hex(4)}@gmail-exporter-tests.iam.gserviceaccount.com"
        self._accounts[email] = _ServiceAccount(key_id, key.public_key(), frozenset(subjects))
        return {
            "type": "service_account",
            "project_id": "gmail-exporter-tests",
            "private_key_id": key_id,
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "client_email": email,
            "client_id": str(10**20 + secrets.randbelow(10**20)),
            "token_uri": self.token_uri,
        }

    def issue(self, token: Token) -> str:
        """A new access token that is good for that."""
        name = f"ya29.{secrets.token_urlsafe(96)}"
        self._tokens[name] = token
        return name

    def find(self, name: str, now: float) -> Token | None:
        """What an access token is good for; None if it is none, or no longer."""
        token = self._tokens.get(name)
        return token if token is not None and now < token.until else None

    def revoke(self, user: str) -> None:
        """End the user's access tokens, and the refresh tokens that the user has granted so far."""
        self._tokens = {name: token for name, token in self._tokens.items() if token.user != user}
        self._revoked |= {credentials.refresh_token for owner, credentials in self._clients.values() if owner == user}

    def check(self, form: Form, now: float) -> str:
        """Whose mailbox a request deserves a token for.

        Raises:
            Refused: nobody's.
        """
        grant = form.get("grant_type", "")
        if grant == REFRESH:
            return self._check_refresh(form)
        if grant == JWT_BEARER:
            return self._check_jwt(form.get("assertion", ""), now)
        raise Refused("unsupported_grant_type", f"Invalid grant_type: {grant}")

    def _check_refresh(self, form: Form) -> str:
        if not form.get("client_id"):
            raise Refused("invalid_request", "Could not determine client ID from request.")
        if form["client_id"] not in self._clients:
            raise Refused("invalid_client", "The OAuth client was not found.", 401)
        user, credentials = self._clients[form["client_id"]]
        if form.get("client_secret") != credentials.client_secret:
            raise Refused("invalid_client", "Unauthorized", 401)
        if not form.get("refresh_token"):
            raise Refused("invalid_request", "Missing required parameter: refresh_token")
        if form["refresh_token"] != credentials.refresh_token:
            raise Refused("invalid_grant", "Bad Request")
        if form["refresh_token"] in self._revoked:
            raise Refused("invalid_grant", REVOKED)
        if form.get("scope", SCOPE) != SCOPE:
            raise Refused("invalid_scope", "Bad Request")
        return user

    def _check_jwt(self, assertion: str, now: float) -> str:
        """As RFC 7523 §3 asks, and Google's rules for domain-wide delegation."""
        header, claims = _part(assertion, 0), _part(assertion, 1)
        if not header or not claims:
            raise Refused("invalid_grant", "Bad Request")
        account = self._accounts.get(str(claims.get("iss")))
        if account is None:
            raise Refused("invalid_grant", "Invalid JWT: No valid verifier found for issuer")
        named = header.get("alg") == "RS256" and header.get("kid") == account.key_id
        if not named or not _is_signed(assertion, account.key):
            raise Refused("invalid_grant", BAD_SIGNATURE)
        if not _is_timely(claims.get("iat"), claims.get("exp"), now):
            raise Refused("invalid_grant", NOT_SHORT_LIVED)
        if claims.get("aud") not in (self.token_uri, GOOGLE_AUDIENCE):
            right = f"The right audience is {self.token_uri}"
            raise Refused("invalid_grant", f"Invalid JWT: Failed audience check. {right}")
        subject = claims.get("sub")
        if not isinstance(subject, str) or "@" not in subject:
            raise Refused("invalid_request", 'Invalid impersonation "sub" field.')
        if subject not in account.subjects or claims.get("scope") != SCOPE:
            raise Refused("unauthorized_client", NOT_DELEGATED, 401)
        return subject


def client_id(form: Form) -> str:
    """Who asks, as the request says: a client's id, or a JWT's issuer."""
    return form.get("client_id") or str(_part(form.get("assertion", ""), 1).get("iss", ""))


def _part(assertion: str, index: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a JWT; nothing where it is none (RFC 7515 §3.1)."""
    parts = assertion.split(".")
    try:
        found = json.loads(_decode(parts[index])) if len(parts) == 3 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _is_signed(assertion: str, key: rsa.RSAPublicKey) -> bool:
    """Whether the signature is that key's, by RS256 (RFC 7518 §3.3)."""
    signed, _, signature = assertion.rpartition(".")
    try:
        key.verify(_decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_timely(issued: object, expires: object, now: float) -> bool:
    """Whether it was issued by now, has not ended, and was never good for more than an hour."""
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return False
    return 0 < expires - issued <= 3600 and issued <= now + LEEWAY_SECONDS and expires > now - LEEWAY_SECONDS
