"""Basic authentication (RFC 7617) for every request, as exporter-toolkit has it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.server.clients import client_of
from exporter.web.server.passwords import Busy
from exporter.web.server.websettings import WebSettings

# RFC 7617 §2.1: clients are to encode user and password in UTF-8.
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="gmail-exporter", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Asks for a user and the password, where the web configuration has users."""

    app: ASGIApp
    settings: WebSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        users = self.settings.config.users
        answer: ASGIApp = self.app
        if users:
            given = credentials(Headers(scope=scope).get("authorization", ""))
            try:
                if given is None or not await self.settings.passwords.check(
                    users, *given, client_of(scope.get("client"))
                ):
                    answer = PlainTextResponse("A user and the password are needed.\n", 401, _CHALLENGE)
            except Busy:
                text = "Too many passwords are being compared: try again.\n"
                answer = PlainTextResponse(text, 503, {"Retry-After": "1"})
        await answer(scope, receive, send)


def credentials(authorization: str) -> tuple[str, bytes] | None:
    """Return the user and the password of an Authorization header, None where it has none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
