"""Basic authentication (RFC 7617), for everything that is answered, as exporter-toolkit has it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.server.passwords import Busy
from exporter.web.server.websettings import WebSettings

# RFC 7617 §2.1: charset="UTF-8" tells clients how to encode what they send.
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="gmail-exporter", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Lets in who knows a password, where there are any."""

    app: ASGIApp
    settings: WebSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or ask for a password."""
        users = self.settings.config.users
        answer: ASGIApp = self.app
        if users:
            said = credentials(Headers(scope=scope).get("authorization", ""))
            try:
                if said is None or not await self.settings.passwords.admits(users, *said):
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
