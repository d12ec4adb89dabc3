"""Requests that a page of another site has sent, by their headers and by the name that they use."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from exporter.config.web import WebConfig
from exporter.model.site import TELEMETRY_PATH
from exporter.web.server.application import OPEN_PATHS, application
from exporter.web.server.origins import FOREIGN, UNKNOWN_NAME, is_foreign
from tests.examples import SENTINEL
from tests.web.conftest import Connect, Serve, Site, WebFile
from tests.web.server.test_auth import USERS, basic

PAGES = ["/", "/endpoints/imap", "/reasons", "/api/v1/endpoints", "/config", "/static/style.css", "/nothing"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://exporter"},
        {"origin": "http://evil.example"},
        {"origin": "http://exporter:81"},
        {"origin": "http://exporter.evil.example"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
async def test_a_page_of_another_site_changes_nothing(site: Site, headers: dict[str, str]) -> None:
    """Its POST is refused in one line; a GET is answered."""
    answer = await site.request("/-/reload", "POST", **headers)
    assert (answer.status_code, answer.text) == (403, FOREIGN)
    assert site.reloads == 0
    assert (await site.request("/", **headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": "http://exporter"},
        {"origin": "https://EXPORTER"},
    ],
)
async def test_our_own_pages_and_other_programs_may_post(site: Site, headers: dict[str, str]) -> None:
    """A program such as curl sends none of these headers; a proxy may do TLS in front of the exporter."""
    assert (await site.request("/-/reload", "POST", **headers)).status_code == 200
    assert site.reloads == 1


@pytest.mark.parametrize(
    ("name", "own", "foreign"),
    [(b"origin", b"http://exporter", b"http://evil.example"), (b"sec-fetch-site", b"same-origin", b"cross-site")],
)
def test_each_of_several_headers_counts(name: bytes, own: bytes, foreign: bytes) -> None:
    """What says twice where it comes from, which no browser does, is foreign unless both say that it is ours."""
    for values, expected in (((own, own), False), ((own, foreign), True), ((foreign, own), True)):
        headers = Headers(raw=[(b"host", b"exporter"), *((name, value) for value in values)])
        assert is_foreign(headers) is expected


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_refused_to_an_unknown_name(site: Site, path: str) -> None:
    """421, with the flags that let the name be known."""
    answer = await site.request(path, host="evil.example")
    assert (answer.status_code, answer.text) == (421, UNKNOWN_NAME.format(name='"evil.example"'))
    assert "--web.allowed-host=NAME" in answer.text
    assert "--web.external-url=URL" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await site.request(path, host="localhost:9993")).status_code != 421


async def test_posts_are_refused_to_an_unknown_name(site: Site) -> None:
    """Nothing is reloaded."""
    for headers in ({}, {"origin": "http://evil.example"}, {"sec_fetch_site": "same-origin"}):
        answer = await site.request("/-/reload", "POST", host="evil.example", **headers)
        assert answer.status_code == 421
    assert site.reloads == 0
    assert (await site.request("/-/reload", "POST", host="127.0.0.1")).status_code == 200


@pytest.mark.parametrize("path", [TELEMETRY_PATH, *sorted({*OPEN_PATHS} - {"/probe"})])
@pytest.mark.parametrize("host", ["evil.example", "gmail-exporter.monitoring.svc:9993", "[", ""])
async def test_prometheus_may_use_any_name(site: Site, path: str, host: str) -> None:
    """Metrics, health and readiness have nothing that must not be read."""
    assert (await site.request(path, host=host)).status_code in (200, 503)


async def test_a_password_makes_every_name_known(site: Site) -> None:
    """A browser has no password for the name of another site."""
    site.settings.config = WebConfig(users=USERS)
    right = {"host": "evil.example", "authorization": basic("älice", SENTINEL)}
    assert (await site.request("/", **right)).status_code == 200
    assert (await site.request("/", host="evil.example")).status_code == 401


async def test_a_client_certificate_makes_every_name_known(web_file: WebFile) -> None:
    """TLS alone does not: nobody has to show anything."""
    required = "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem"
    assert web_file.settings(web_file.tls(*required)).config.authenticates
    assert not web_file.settings(web_file.tls()).config.authenticates


async def test_the_host_of_an_address_counts(connect: Connect, serve: Serve) -> None:
    """Not that of the header (RFC 9112 §3.2.2); a client of HTTP/1.0 may have none."""
    served = await serve(application())
    for request, status in (
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost", b"421"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: evil.example", b"404"),
        (b"GET / HTTP/1.0", b"404"),
    ):
        client = await connect(served)
        client.send(request + b"\r\nConnection: close\r\n\r\n")
        assert (await client.read_all()).split()[1] == status
