"""A token endpoint as Google's (https://oauth2.googleapis.com/token), over TLS on an ephemeral loopback port.

What it grants is in `grants.py`. It tells a mail server whose a token is, as Google's tokeninfo does, and every answer
of the token endpoint can be scripted.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.servers.grants import SCOPE, Credentials, Grants, Refused, Token, client_id
from tests.servers.process import free_port, loopback_addresses

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tests.servers.authority import Authority, Certificate

EXPIRES_IN: Final = 3599
IO_SECONDS = 10.0
MAX_BODY = 65536


@dataclass(slots=True)
class Request:
    """One request for a token, without its secrets.

    Attributes:
        grant: its grant_type.
        time: when it came, by the server's clock.
        client_id: for a JWT its issuer.
        answer: `granted`, the error's code, a scripted status or `closed`; empty while it is not answered.
    """

    grant: str
    time: float
    client_id: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Say exactly this, whatever was asked."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing for so many seconds, or until `TokenServer.release`; then answer as usual."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Take the request, and close without an answer."""


@dataclass(frozen=True, slots=True)
class Alter:
    """Grant what deserves it, with other fields in the answer; one that is None is left out (RFC 6749 §5.1).

    An `expires_in` and a `scope` are the token's own then: a mail server refuses it accordingly.
    """

    fields: Mapping[str, object]


Script = Reply | Wait | Close | Alter

HANG: Final = Wait()
CLOSE: Final = Close()


def error(code: str, description: str | None = None, status: int = 400) -> Reply:
    """A refusal as Google words one."""
    described = {} if description is None else {"error_description": description}
    return _json(status, {"error": code, **described})


def html(status: int = 502) -> Reply:
    """A page for people, as from a proxy on the way."""
    body = f"<!DOCTYPE html>\n<html><title>Error {status}</title><p>That's an error.</html>\n"
    return Reply(status, body.encode(), "text/html; charset=UTF-8")


def redirect(url: str, status: int = 302) -> Reply:
    """A redirect to somewhere else."""
    return Reply(status, headers={"Location": url})


def bearer(mechanism: str, user: str, token: str) -> bytes:
    """What a client says first by XOAUTH2, or by OAUTHBEARER (RFC 7628 §3.1), before base64."""
    if mechanism == "XOAUTH2":
        return f"user={user}\1auth=Bearer {token}\1\1".encode()
    return f"n,a={user},\1auth=Bearer {token}\1\1".encode()


class TokenServer:
    """One token endpoint, in threads of its own; its port stays the same from `start` to `stop` to `start`.

    Attributes:
        token_uri: of the token endpoint.
        tokeninfo_url: where a GET of this and a token tells whose it is.
        ca_file: what to trust for both.
        expires_in: for how many seconds new tokens are good.
        clock: the server's time; another one makes the client's clock wrong, or ends tokens early.
        errors: what went wrong in this server itself; raised by `stop`.
    """

    host = "localhost"

    def __init__(self, authority: Authority, certificate: Certificate | None = None) -> None:
        self.ca_file = authority.ca_file
        self.certificate = certificate or authority.issue()
        self.port = free_port()
        self.token_uri = f"https://localhost:{self.port}/token"
        # By address: Dovecot would ask its resolver for a name.
        self.tokeninfo_url = f"https://127.0.0.1:{self.port}/tokeninfo?access_token="
        self.expires_in = EXPIRES_IN
        self.clock: Callable[[], float] = time.time
        self.errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._grants = Grants(self.token_uri)
        self._requests: list[Request] = []
        self._introspections: list[str | None] = []
        self._scripts: deque[tuple[Script, int | None]] = deque()
        # What waits is let go with True, and dropped with False.
        self._gate: Future[bool] = Future()
        self._ending = False
        self._listeners: list[tuple[_Listener, threading.Thread]] = []

    @property
    def requests(self) -> list[Request]:
        """Every request for a token since the last `reset`, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def introspections(self) -> list[str | None]:
        """For each question about a token since the last `reset`, whose it was; None for a bad one."""
        with self._lock:
            return list(self._introspections)

    @property
    def running(self) -> bool:
        """Whether it was started."""
        return bool(self._listeners)

    def client(self, user: str) -> Credentials:
        """Register a client, and let the user grant it a refresh token."""
        with self._lock:
            return self._grants.add_client(user)

    def service_account(self, *subjects: str) -> dict[str, str]:
        """Create a service account that may act for these mailboxes; what its JSON key file holds."""
        with self._lock:
            return self._grants.add_service_account(*subjects)

    def access_token(self, user: str, *, expires_in: int | None = None, scope: str = SCOPE) -> str:
        """Issue an access token without being asked over HTTP."""
        lifetime = self.expires_in if expires_in is None else expires_in
        with self._lock:
            return self._grants.issue(Token(user, "", scope, self.clock() + lifetime))

    def holder(self, token: str) -> str | None:
        """Whose token that is; None if it is none, or no longer."""
        with self._lock:
            found = self._grants.find(token, self.clock())
        return None if found is None else found.user

    def revoke(self, user: str) -> None:
        """End the user's access tokens, and the refresh tokens that the user has granted so far."""
        with self._lock:
            self._grants.revoke(user)

    def script(self, answer: Script, times: int | None = 1) -> None:
        """Let the next answers be this one, after those that were scripted before; None means all of them."""
        with self._lock:
            self._scripts.append((answer, times))

    def release(self) -> None:
        """Let every request that waits now have its answer."""
        self._open_gate(answer=True)

    def reset(self) -> None:
        """Forget scripts, records, and another clock or lifetime; drop what waits. Tokens and clients stay."""
        with self._lock:
            self._scripts.clear()
            self._requests.clear()
            self._introspections.clear()
            self.expires_in, self.clock = EXPIRES_IN, time.time
        self._open_gate(answer=False)

    def start(self) -> None:
        """Start; it accepts connections on return.

        Raises:
            OSError: somebody else has taken its port.
        """
        self._ending = False
        for address in loopback_addresses():
            listener = _Listener(address, self)
            thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
            self._listeners.append((listener, thread))
            thread.start()

    def stop(self) -> None:
        """End it, and every connection; its port refuses connections then. What it has issued is not forgotten.

        Raises:
            BaseException: one of `errors`.
        """
        with self._lock:
            self._ending = True
        self._open_gate(answer=False)
        for listener, thread in self._listeners:
            listener.shutdown()
            thread.join()
            listener.server_close()
        self._listeners.clear()
        if self.errors:
            raise self.errors.pop()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, body: bytes) -> Reply | None:
        """Answer a request for a token; None closes the connection instead."""
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        with self._lock:
            request = Request(form.get("grant_type", ""), self.clock(), client_id(form))
            self._requests.append(request)
            script, gate = CLOSE if self._ending else self._next_script(), self._gate
        if isinstance(script, Reply):
            request.answer = str(script.status)
            return script
        if isinstance(script, Close) or (isinstance(script, Wait) and not _waited(gate, script.seconds)):
            request.answer = "closed"
            return None
        with self._lock:
            try:
                user = self._grants.check(form, self.clock())
            except Refused as refused:
                request.answer = refused.code
                return error(refused.code, refused.description, refused.status)
            request.answer = "granted"
            return self._grant(user, request.client_id, script.fields if isinstance(script, Alter) else {})

    def introspect(self, token: str) -> Reply:
        """Say whose a token is and what for, as Google's tokeninfo."""
        with self._lock:
            now = self.clock()
            found = self._grants.find(token, now)
            self._introspections.append(None if found is None else found.user)
        if found is None:
            # As version 3 says it. Dovecot takes an `error` for its own trouble, and calls the refusal temporary.
            return _json(400, {"error_description": "Invalid Value"})
        facts = {
            "azp": found.client_id,
            "aud": found.client_id,
            "scope": found.scope,
            "exp": str(int(found.until)),
            "expires_in": str(int(found.until - now)),
            "email": found.user,
            "email_verified": "true",
            "access_type": "offline",
        }
        return _json(200, facts)

    def _open_gate(self, *, answer: bool) -> None:
        with self._lock:
            gate, self._gate = self._gate, Future()
        gate.set_result(answer)

    def _next_script(self) -> Script | None:
        if not self._scripts:
            return None
        script, times = self._scripts.popleft()
        if times is None or times > 1:
            self._scripts.appendleft((script, None if times is None else times - 1))
        return script

    def _grant(self, user: str, client: str, changes: Mapping[str, object]) -> Reply:
        lifetime, scope = changes.get("expires_in"), changes.get("scope")
        until = self.clock() + (lifetime if isinstance(lifetime, int) else self.expires_in)
        token = self._grants.issue(Token(user, client, scope if isinstance(scope, str) else SCOPE, until))
        said = {"access_token": token, "expires_in": self.expires_in, "scope": SCOPE, "token_type": "Bearer"}
        return _json(200, {name: value for name, value in {**said, **changes}.items() if value is not None})


class _Listener(ThreadingTCPServer):
    """Listens on one address; a thread for each connection, handshake included."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, tokens: TokenServer) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.tokens = tokens
        self._open: set[ssl.SSLSocket] = set()
        super().__init__((address, tokens.port), _Handler)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        """Accept a connection, and leave its handshake to its thread."""
        plain, address = super().get_request()
        plain.settimeout(IO_SECONDS)
        context = self.tokens.certificate.context
        tls = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._open.add(tls)
        return tls, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake, then let the handler answer."""
        # A client may leave at any time, or refuse the certificate: no mistake of this server's.
        with suppress(OSError):
            request.do_handshake()
            super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what the handler raised, for a test to see."""
        self.tokens.errors.append(sys.exception() or RuntimeError("an error without an exception"))

    def server_close(self) -> None:
        """Close, with every connection, and wait for their threads."""
        for each in self._open.copy():
            with suppress(OSError):
                # Not SSLSocket's own, which takes the TLS away from the thread that is using it.
                socket.socket.shutdown(each, socket.SHUT_RDWR)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection ends with the answer."""

    protocol_version = "HTTP/1.1"
    timeout = IO_SECONDS
    server: _Listener

    def do_POST(self) -> None:
        """Answer a request for a token."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY))
        self._send(self.server.tokens.answer(body) if urlsplit(self.path).path == "/token" else html(404))

    def do_GET(self) -> None:
        """Answer a question about a token."""
        url = urlsplit(self.path)
        token = parse_qs(url.query).get("access_token", [""])[0]
        self._send(self.server.tokens.introspect(token) if url.path == "/tokeninfo" else html(404))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: a query holds a token."""

    def _send(self, reply: Reply | None) -> None:
        # No connection is to be in somebody's pool when this server stops.
        self.close_connection = True
        if reply is None:
            return
        self.send_response(reply.status)
        headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), "Connection": "close"}
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)


def _json(status: int, fields: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(fields, indent=2).encode())


def _waited(gate: Future[bool], seconds: float | None) -> bool:
    """Whether there is to be an answer, once it is time."""
    try:
        return gate.result(seconds)
    except TimeoutError:
        return True
