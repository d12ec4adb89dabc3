"""`POST /accounts/NAME/release`: permit an account that is held one login.

It may change what a mail server sees, so it is for those who have shown who they are, or who are on this host. That it
does not lock the account is seen to by the login budget, whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.accounts.ledger_schema import LedgerError
from exporter.model.mailbox import Mailbox
from exporter.model.release import Answer, Release
from exporter.model.settings import Account
from exporter.views.release import no_account, told
from exporter.web.server.clients import is_of_this_host
from exporter.web.server.websettings import WebSettings

OFF = "Releasing over HTTP is switched off: start with --web.enable-lifecycle, or use the command of the page.\n"

NOT_PERMITTED = (
    "Only clients of this host may release an account, as long as the exporter asks nobody for a password or a client "
    "certificate: repeat it there, by an address such as localhost, or name users in --web.config.file.\n"
)

STATUS: Mapping[Answer, HTTPStatus] = {
    Answer.RELEASED: HTTPStatus.OK,
    Answer.ALREADY: HTTPStatus.CONFLICT,
    Answer.TOO_EARLY: HTTPStatus.TOO_MANY_REQUESTS,
    Answer.ENDS_BY_ITSELF: HTTPStatus.CONFLICT,
    Answer.NOT_HELD: HTTPStatus.CONFLICT,
}

log = structlog.get_logger("accounts")


@dataclass(frozen=True, slots=True)
class Releases:
    """Releases accounts on request."""

    settings: WebSettings
    is_enabled: bool
    release: Callable[[str], Awaitable[tuple[Release, Mailbox]]]
    """Releases an account; it raises a KeyError where there is none of that name."""
    accounts: Callable[[], Mapping[str, Account]]
    """All accounts, by their names."""
    probe: Callable[[str], Awaitable[object]]
    """Probes an endpoint, so that its page shows the result."""

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [Route("/accounts/{name}/release", self.release_now, methods=["POST"])]

    def permits(self, request: Request) -> bool:
        """Whether the client may release an account."""
        if not self.is_enabled:
            return False
        # With passwords or client certificates, nobody else comes so far.
        return self.settings.config.authenticates or is_of_this_host(request.scope)

    async def release_now(self, request: Request) -> Response:
        """Release an account, and say what became of it; for the button of a page, redirect to its endpoint."""
        if not self.permits(request):
            return PlainTextResponse(NOT_PERMITTED if self.is_enabled else OFF, 403)
        name, endpoint = request.path_params["name"], request.query_params.get("endpoint", "")
        try:
            release, mailbox = await self.release(name)
        except KeyError:
            return PlainTextResponse(f"{no_account(name, self.accounts())}\n", 404)
        except LedgerError as error:
            return PlainTextResponse(f"The login budgets cannot be used: {error}.\n", 503)
        client = request.client.host if request.client and request.client.host else "a Unix socket"
        log.info("release requested", account=name, client=client, answer=release.answer.value)
        if endpoint:
            await self.probe(endpoint)
            return RedirectResponse(f"../../endpoints/{quote(endpoint, safe='')}", 303)
        now = time.time()
        headers = {}
        if release.answer is Answer.TOO_EARLY and release.at is not None:
            headers["Retry-After"] = str(max(1, round(release.at - now)))
        text = told(release, mailbox, name, now)
        return PlainTextResponse(f"{text}\n", STATUS[release.answer], headers)
