"""A fault of this program while it answers a request: told in the log, and to the client only that there was one."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.host.reserve import USED_UP
from exporter.model.message import show

FAULT = "This is a fault of the exporter: its log has the details.\n"
NO_FILES = "This exporter may open no more files: raise its limit (LimitNOFILE=, ulimit -n), and restart it.\n"

log = structlog.get_logger("web")


def answer_to(error: Exception) -> tuple[int, str]:
    """Return the status and the text with which a client is told of an error that no part expects."""
    if isinstance(error, OSError) and error.errno in USED_UP:
        return 503, NO_FILES
    return 500, FAULT


@dataclass(frozen=True, slots=True)
class Faults:
    """Answers with an error where a part fails."""

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
        except Exception as error:  # no request may end the connection without an answer
            log.exception("fault while a request was answered", method=scope["method"], path=show(scope["path"]))
            if not is_begun:
                status, text = answer_to(error)
                await PlainTextResponse(text, status)(scope, receive, send)
