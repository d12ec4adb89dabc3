"""The token server grants, refuses and misbehaves as `tokens.py` and `grants.py` claim, over real HTTPS."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.servers.dovecot import OPS_USER, PROBE_USER
from tests.servers.grants import GOOGLE_AUDIENCE, JWT_BEARER, NOT_DELEGATED, NOT_SHORT_LIVED, REFRESH, SCOPE
from tests.servers.process import is_listening, loopback_addresses
from tests.servers.tokens import CLOSE, HANG, Alter, Reply, TokenServer, Wait, error, html, redirect
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.authority import Authority

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLAIMS = {"sub": PROBE_USER, "scope": SCOPE, "aud": GOOGLE_AUDIENCE}

Answer = tuple[int, Any]


class Client:
    """Asks for tokens by one user's refresh token, and for others by the JWTs of one service account."""

    def __init__(self, tokens: TokenServer, context: ssl.SSLContext, key_file: Mapping[str, str] | None = None) -> None:
        self.tokens = tokens
        self.context = context
        self.credentials = tokens.client(PROBE_USER)
        self.key_file = key_file or {}

    def send(self, method: str, path: str, body: str | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request; the answer, and its body."""
        connection = http.client.HTTPSConnection("localhost", self.tokens.port, timeout=PATIENCE, context=self.context)
        try:
            connection.request(method, path, body, FORM)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def ask(self, form: Mapping[str, str]) -> Answer:
        """Ask for a token; the status, and what the JSON of the answer says."""
        response, body = self.send("POST", "/token", urlencode(form))
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        return response.status, json.loads(body)

    def refresh(self, **changes: str) -> Answer:
        """Use the refresh token."""
        return self.ask({"grant_type": REFRESH, **self.credentials._asdict(), **changes})

    def delegate(self, *, header: Mapping[str, Any] | None = None, key: str = "", **changes: Any) -> Answer:
        """Use the service account, with other claims (None leaves one out), another header or another key."""
        now = int(time.time())
        claims = {"iss": self.key_file["client_email"], "iat": now, "exp": now + 3600, **CLAIMS, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.ask({"grant_type": JWT_BEARER, "assertion": self.sign(claims, header or {}, key)})

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any], key: str = "") -> str:
        """A JWT in compact form (RFC 7515 §7.1)."""
        head = {"alg": "RS256", "typ": "JWT", "kid": self.key_file["private_key_id"], **header}
        signed = f"{_encode(json.dumps(head).encode())}.{_encode(json.dumps(claims).encode())}"
        private = load_pem_private_key((key or self.key_file["private_key"]).encode(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return f"{signed}.{_encode(private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def key_file(token_server: TokenServer) -> Mapping[str, str]:
    """A service account of all these tests; a key takes a while to make."""
    return token_server.service_account(PROBE_USER)


@pytest.fixture
def client(tokens: TokenServer, authority: Authority, key_file: Mapping[str, str]) -> Client:
    """A client with credentials of both kinds."""
    return Client(tokens, authority.client_context, key_file)


def test_refresh(tokens: TokenServer, client: Client) -> None:
    """A refresh token is good for access tokens of its user, each of them new, for as long as it is told to be."""
    status, said = client.refresh()
    token = said.pop("access_token")
    assert status == 200
    assert said == {"expires_in": 3599, "scope": SCOPE, "token_type": "Bearer"}
    assert re.fullmatch(r"ya29\.[\w-]{100,}", token)
    assert tokens.holder(token) == PROBE_USER
    tokens.expires_in = 7
    again = client.refresh(scope=SCOPE)[1]
    assert again["expires_in"] == 7
    assert again["access_token"] != token
    tokens.clock = lambda: time.time() + 8
    assert (tokens.holder(token), tokens.holder(again["access_token"])) == (PROBE_USER, None)


@pytest.mark.parametrize(
    ("changes", "status", "code", "description"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type", "Invalid grant_type: password"),
        ({"client_id": ""}, 400, "invalid_request", "Could not determine client ID from request."),
        ({"client_id": "another"}, 401, "invalid_client", "The OAuth client was not found."),
        ({"client_secret": "wrong"}, 401, "invalid_client", "Unauthorized"),
        ({"refresh_token": ""}, 400, "invalid_request", "Missing required parameter: refresh_token"),
        ({"refresh_token": "1//wrong"}, 400, "invalid_grant", "Bad Request"),
        ({"scope": "https://www.googleapis.com/auth/gmail.modify"}, 400, "invalid_scope", "Bad Request"),
    ],
)
def test_refresh_refused(client: Client, changes: Mapping[str, str], status: int, code: str, description: str) -> None:
    """What is wrong with a refresh is said in Google's words."""
    assert client.refresh(**changes) == (status, {"error": code, "error_description": description})


def test_another_clients_token(tokens: TokenServer, client: Client) -> None:
    """A refresh token is good for the client it was granted to, and for no other."""
    refused = 400, {"error": "invalid_grant", "error_description": "Bad Request"}
    assert client.refresh(refresh_token=tokens.client(PROBE_USER).refresh_token) == refused


def test_delegation(tokens: TokenServer, client: Client) -> None:
    """A service account gets tokens for its subjects, with its own audience and the one that google-auth writes."""
    for audience in (GOOGLE_AUDIENCE, tokens.token_uri):
        status, said = client.delegate(aud=audience)
        assert status == 200
        assert tokens.holder(said["access_token"]) == PROBE_USER


def test_key_file(tokens: TokenServer) -> None:
    """A key file has what google-auth wants of one, and each a key of its own."""
    one, another = tokens.service_account(PROBE_USER), tokens.service_account(PROBE_USER)
    assert one["type"] == "service_account"
    assert one["token_uri"] == tokens.token_uri
    assert one["private_key"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert set(one) > {"project_id", "private_key_id", "client_email", "client_id"}
    assert one["private_key"] != another["private_key"]


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changes", "status", "code", "description"),
    [
        ({"iss": "nobody@example.com"}, 400, "invalid_grant", "Invalid JWT: No valid verifier found for issuer"),
        ({"iat": NOW - 7200, "exp": NOW - 3600}, 400, "invalid_grant", NOT_SHORT_LIVED),
        ({"iat": NOW + 1800, "exp": NOW + 3600}, 400, "invalid_grant", NOT_SHORT_LIVED),
        ({"iat": NOW, "exp": NOW + 3601}, 400, "invalid_grant", NOT_SHORT_LIVED),
        ({"exp": None}, 400, "invalid_grant", NOT_SHORT_LIVED),
        ({"iat": "now"}, 400, "invalid_grant", NOT_SHORT_LIVED),
        ({"sub": OPS_USER}, 401, "unauthorized_client", NOT_DELEGATED),
        ({"scope": f"{SCOPE} openid"}, 401, "unauthorized_client", NOT_DELEGATED),
        ({"scope": None}, 401, "unauthorized_client", NOT_DELEGATED),
        ({"sub": None}, 400, "invalid_request", 'Invalid impersonation "sub" field.'),
        ({"header": {"alg": "HS256"}}, 400, "invalid_grant", "Invalid JWT Signature."),
        ({"header": {"kid": "deleted"}}, 400, "invalid_grant", "Invalid JWT Signature."),
    ],
)
def test_delegation_refused(
    client: Client, changes: Mapping[str, Any], status: int, code: str, description: str
) -> None:
    """What is wrong with a JWT is said in Google's words."""
    assert client.delegate(**changes) == (status, {"error": code, "error_description": description})


def test_wrong_audience(tokens: TokenServer, client: Client) -> None:
    """A JWT for somebody else is refused, with the audience that is right here."""
    _, said = client.delegate(aud="https://example.com/token")
    right = f"The right audience is {tokens.token_uri}"
    assert said == {"error": "invalid_grant", "error_description": f"Invalid JWT: Failed audience check. {right}"}


def test_signature(tokens: TokenServer, client: Client) -> None:
    """A JWT is refused that another key has signed, or whose claims were changed after it was signed."""
    refused = 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    assert client.delegate(key=tokens.service_account(PROBE_USER)["private_key"]) == refused
    claims = {"iss": client.key_file["client_email"], "iat": NOW, "exp": NOW + 3600, **CLAIMS}
    head, _, signature = client.sign(claims, {}).split(".")
    forged = f"{head}.{_encode(json.dumps({**claims, 'sub': OPS_USER}).encode())}.{signature}"
    assert client.ask({"grant_type": JWT_BEARER, "assertion": forged}) == refused


@pytest.mark.parametrize("assertion", ["", "one", "a.b", "a.b.c", "e30.e30.", "W10.W10.W10", "é.é.é"])
def test_no_jwt(client: Client, assertion: str) -> None:
    """What is no JWT is refused."""
    refused = 400, {"error": "invalid_grant", "error_description": "Bad Request"}
    assert client.ask({"grant_type": JWT_BEARER, "assertion": assertion}) == refused


def test_clock(tokens: TokenServer, client: Client) -> None:
    """By a clock that is an hour ahead or behind, a client's JWT is not timely."""
    for ahead in (7200, -3600):
        tokens.clock = lambda ahead=ahead: time.time() + ahead  # type: ignore[misc]
        assert client.delegate()[1]["error_description"] == NOT_SHORT_LIVED


def test_revoke(tokens: TokenServer, client: Client) -> None:
    """Revoked, a user's tokens are no longer good, neither kind; another's are, and so is a new grant."""
    token, other = client.refresh()[1]["access_token"], tokens.access_token(OPS_USER)
    tokens.revoke(PROBE_USER)
    assert (tokens.holder(token), tokens.holder(other)) == (None, OPS_USER)
    refused = 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    assert client.refresh() == refused
    client.credentials = tokens.client(PROBE_USER)
    assert client.refresh()[0] == 200


def test_requests(tokens: TokenServer, client: Client) -> None:
    """Requests are recorded: who, how, when and with what result, but nothing secret."""
    before = time.time()
    token = client.refresh()[1]["access_token"]
    client.refresh(client_secret="wrong")
    client.delegate()
    tokens.script(html(503))
    client.send("POST", "/token", "grant_type=refresh_token")
    assert [(each.grant, each.client_id, each.answer) for each in tokens.requests] == [
        (REFRESH, client.credentials.client_id, "granted"),
        (REFRESH, client.credentials.client_id, "invalid_client"),
        (JWT_BEARER, client.key_file["client_email"], "granted"),
        (REFRESH, "", "503"),
    ]
    assert all(before <= each.time <= time.time() for each in tokens.requests)
    for secret in (token, client.credentials.client_secret, client.credentials.refresh_token):
        assert secret not in repr(tokens.requests)
    tokens.reset()
    assert tokens.requests == []


def test_tokeninfo(tokens: TokenServer, client: Client) -> None:
    """It tells whose a token is, for what and until when; of a bad one it tells nothing."""
    token = client.refresh()[1]["access_token"]
    response, body = client.send("GET", f"/tokeninfo?access_token={token}")
    said = json.loads(body)
    assert response.status == 200
    assert (said["email"], said["scope"], said["azp"]) == (PROBE_USER, SCOPE, client.credentials.client_id)
    assert 3500 < int(said["expires_in"]) < 3600
    assert abs(int(said["exp"]) - time.time() - 3599) < PATIENCE
    for bad in (tokens.access_token(PROBE_USER, expires_in=-1), "nonsense", ""):
        response, body = client.send("GET", f"/tokeninfo?access_token={bad}")
        assert (response.status, json.loads(body)) == (400, {"error_description": "Invalid Value"})
    assert tokens.introspections == [PROBE_USER, None, None, None]


@pytest.mark.parametrize(
    ("script", "status", "content_type", "body"),
    [
        (html(), 502, "text/html; charset=UTF-8", b"<!DOCTYPE html>"),
        (error("internal_failure", "Backend Error", 500), 500, "application/json; charset=utf-8", b"Backend Error"),
        (Reply(200, b"[1]"), 200, "application/json; charset=utf-8", b"[1]"),
        (Reply(200, b"x" * 1_000_000, "text/plain"), 200, "text/plain", b"x" * 1_000_000),
    ],
    ids=["html", "error", "not an object", "large"],
)
def test_scripted_reply(
    tokens: TokenServer, client: Client, script: Reply, status: int, content_type: str, body: bytes
) -> None:
    """A scripted answer is given as it is, once; the next one is as usual."""
    tokens.script(script)
    response, said = client.send("POST", "/token", "")
    assert (response.status, response.headers["Content-Type"]) == (status, content_type)
    assert body in said
    assert client.refresh()[0] == 200


def test_redirect(tokens: TokenServer, client: Client) -> None:
    """A redirect says where to."""
    tokens.script(redirect("https://example.com/", 307))
    response, _ = client.send("POST", "/token", "")
    assert (response.status, response.headers["Location"]) == (307, "https://example.com/")


def test_scripts_in_order(tokens: TokenServer, client: Client) -> None:
    """Scripts apply in order, each as often as told; one for all answers stays until the reset."""
    tokens.script(error("one"), times=2)
    tokens.script(error("two"), times=None)
    said = [client.refresh()[1]["error"] for _ in range(5)]
    assert said == ["one", "one", "two", "two", "two"]
    tokens.reset()
    assert client.refresh()[0] == 200


def test_close(tokens: TokenServer, client: Client) -> None:
    """A closed connection brings no answer."""
    tokens.script(CLOSE)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        client.refresh()
    assert [each.answer for each in tokens.requests] == ["closed"]


def test_alter(tokens: TokenServer, client: Client) -> None:
    """Fields of the answer can be other ones, or absent; lifetime and scope are the token's own then."""
    tokens.script(Alter({"expires_in": -60}))
    said = client.refresh()[1]
    assert said["expires_in"] == -60
    assert tokens.holder(said["access_token"]) is None
    tokens.script(Alter({"scope": None, "expires_in": None}))
    said = client.refresh()[1]
    assert set(said) == {"access_token", "token_type"}
    assert tokens.holder(said["access_token"]) == PROBE_USER
    tokens.script(Alter({"scope": "openid"}))
    said = client.refresh()[1]
    assert said["scope"] == "openid"
    _, body = client.send("GET", f"/tokeninfo?access_token={said['access_token']}")
    assert json.loads(body)["scope"] == "openid"
    tokens.script(Alter({"scope": "openid"}))
    assert client.refresh(client_secret="wrong")[0] == 401


def test_wait(tokens: TokenServer, client: Client) -> None:
    """A slow answer is as usual, and holds up no other."""
    tokens.script(Wait(0.3))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.refresh)
        wait_until(lambda: tokens.requests)
        assert client.refresh()[0] == 200
        assert slow.result(PATIENCE)[0] == 200
    assert [each.answer for each in tokens.requests] == ["granted", "granted"]


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def hanging(tokens: TokenServer, client: Client) -> Iterator[Callable[[], Answer]]:
    """A request that hangs; call it for its answer."""
    tokens.script(HANG)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.refresh)
        wait_until(lambda: tokens.requests)
        yield lambda: answer.result(PATIENCE)


def test_release(tokens: TokenServer, client: Client, hanging: Callable[[], Answer]) -> None:
    """What hangs holds up nobody else, and has its answer when it is released."""
    assert client.refresh()[0] == 200
    assert [each.answer for each in tokens.requests] == ["", "granted"]
    tokens.release()
    assert hanging()[0] == 200


@pytest.mark.parametrize("end", [TokenServer.reset, TokenServer.stop])
def test_hanging_ends(tokens: TokenServer, hanging: Callable[[], Answer], end: Callable[[TokenServer], None]) -> None:
    """What hangs is dropped by a reset, and by the server's end, at once."""
    end(tokens)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        hanging()


def test_stop_and_start(tokens: TokenServer, client: Client) -> None:
    """Stopped, with idle clients, it leaves no thread and refuses connections; started, it knows what it knew."""
    threads = set(threading.enumerate())
    token = client.refresh()[1]["access_token"]
    with socket.create_connection(("127.0.0.1", tokens.port)):
        wait_until(lambda: set(threading.enumerate()) - threads)
        tokens.stop()
    assert len(threading.enumerate()) == len(threads) - len(loopback_addresses())
    with pytest.raises(ConnectionRefusedError):
        client.refresh()
    tokens.start()
    assert client.refresh()[0] == 200
    assert tokens.holder(token) == PROBE_USER


def test_many_at_once(tokens: TokenServer, client: Client) -> None:
    """It answers many clients at the same time, each with a token of its own."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.refresh(), range(60)))
    assert len({said["access_token"] for _, said in answers}) == 60
    assert len(tokens.requests) == 60


def test_trust(tokens: TokenServer, authority: Authority) -> None:
    """Nobody trusts it but who trusts the tests' authority, and not with a bad certificate; it takes that calmly."""
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(tokens, ssl.create_default_context()).refresh()
    with TokenServer(authority, authority.expired) as expired:
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(expired, authority.client_context).refresh()
        assert expired.requests == []


def test_other_paths(client: Client) -> None:
    """Elsewhere there is nothing."""
    for method, path in (("POST", "/o/oauth2/token"), ("GET", "/token"), ("GET", "/")):
        assert client.send(method, path, "")[0].status == 404


def test_own_mistakes(authority: Authority) -> None:
    """What goes wrong in the server itself is raised at its end."""
    server = TokenServer(authority)
    server.start()
    server.script(Reply(200, headers={"X": "é\ud800"}))
    with pytest.raises((ConnectionError, ssl.SSLError, http.client.HTTPException)):
        Client(server, authority.client_context).refresh()
    with pytest.raises(UnicodeEncodeError):
        server.stop()
    assert not server.running


def test_both_families(tokens: TokenServer) -> None:
    """It answers on 127.0.0.1, and on ::1 where there is one."""
    assert all(is_listening(tokens.port, host) for host in loopback_addresses())
