"""A fault of this program while it answers a request: told in the log, and to the client only that there was one."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.model.message import show

FAULT = "This is a fault of the exporter: its log has the details.\n"

log = structlog.get_logger("web")


@dataclass(frozen=True, slots=True)
class Faults:
    """Answers 500 where a part fails."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        is_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except ClientDisconnect:
            pass  # nobody reads an answer
        except Exception:  # no request may end the connection without an answer
            log.exception("fault while a request was answered", method=scope["method"], path=show(scope["path"]))
            if not is_begun:
                await PlainTextResponse(FAULT, 500)(scope, receive, send)
