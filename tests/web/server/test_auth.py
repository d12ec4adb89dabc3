"""Basic authentication."""

from __future__ import annotations

import base64

import bcrypt
import httpx
import pytest

from exporter.config.web import WebConfig
from exporter.web.lifecycle import Lifecycle
from exporter.web.server.application import application
from exporter.web.server.auth import credentials
from exporter.web.server.passwords import Busy, Passwords
from exporter.web.server.websettings import WebSettings
from tests.examples import SENTINEL
from tests.web.conftest import Site

USERS = {"älice": bcrypt.hashpw(SENTINEL.encode(), bcrypt.gensalt(4))}


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def closed(site: Site) -> Site:
    """A site with a user."""
    site.settings.config = WebConfig(users=USERS)
    return site


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nothing"])
async def test_everything_needs_the_password(closed: Site, path: str) -> None:
    """As with exporter-toolkit; a path that does not exist is answered like any other."""
    for authorization in (None, basic("älice", "wrong"), basic("eve", SENTINEL), "Bearer x"):
        answer = await closed.request(path, **({"authorization": authorization} if authorization else {}))
        assert (answer.status_code, answer.text) == (401, "A user and the password are needed.\n")
        assert answer.headers["www-authenticate"] == 'Basic realm="gmail-exporter", charset="UTF-8"'
        assert answer.headers["x-content-type-options"] == "nosniff"
    answer = await closed.request(path, authorization=basic("älice", SENTINEL))
    assert answer.status_code != 401


async def test_without_users_no_password_is_needed(site: Site) -> None:
    """One that is sent is ignored."""
    assert (await site.request("/-/healthy", authorization=basic("eve", "x"))).status_code == 200


async def test_a_check_that_would_wait_too_long_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the time after which to try again."""

    async def busy(*_: object) -> bool:
        raise Busy

    monkeypatch.setattr(Passwords, "check", busy)
    settings = WebSettings(WebConfig(users=USERS))
    transport = httpx.ASGITransport(application(Lifecycle(site.store, site.health), settings=settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        answer = await client.get("/-/healthy", headers={"Authorization": basic("älice", SENTINEL)})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Basic YTpi", ("a", b"b")),
        ("bASIC  YTpi", ("a", b"b")),
        ("Basic YTpiOmM=", ("a", b"b:c")),
        ("Basic Og==", ("", b"")),
        ("Basic YQ==", None),
        ("Basic YTpi!", None),
        ("Basic //86Yg==", None),
        ("Basic", None),
        ("Basic äöü", None),
        ("Bearer YTpi", None),
        ("", None),
    ],
)
def test_credentials_are_taken_from_the_header(authorization: str, expected: tuple[str, bytes] | None) -> None:
    """RFC 7617 §2; None for anything else."""
    assert credentials(authorization) == expected
