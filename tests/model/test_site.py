"""The address of the pages, and the names that flags allow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter import web
from exporter.model.message import Unacceptable
from exporter.model.site import (
    Site,
    parse_allowed_host,
    parse_external_url,
    parse_route_prefix,
    parse_telemetry_path,
)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://monitoring.example.com", "https://monitoring.example.com/"),
        ("https://Monitoring.Example.COM/gmail", "https://monitoring.example.com/gmail/"),
        ("http://localhost:9993/", "http://localhost:9993/"),
        ("http://192.0.2.7:80//", "http://192.0.2.7:80/"),
        ("https://[2001:DB8::1]:9993/a/b/", "https://[2001:db8::1]:9993/a/b/"),
        ("HTTPS://example.com./%C3%BC", "https://example.com/%C3%BC/"),
        ("https://example.com//a//", "https://example.com/a/"),
    ],
)
def test_an_external_url(text: str, url: str) -> None:
    """It ends with a slash, so that a path can be put behind it."""
    assert parse_external_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "monitoring.example.com",
        "/gmail",
        "//example.com/",
        "ftp://example.com/",
        "https://",
        "https:///gmail",
        "https://[::1",
        "https://[x]/",
        "https://a:b:c/",
        "https://a:99999/",
        "https://a:0/",
        "https://user@example.com/",
        "https://user:s3cret@example.com/",
        "https://example.com/?a=b",
        "https://example.com/?",
        "https://example.com/#a",
        "https://example.com/a b",
        "https://example.com/ü",
        "https://ü.example.com/",
        "https://example..com/",
        'https://example.com/"',
        "https://a\u2100b/",
        "https://example.com/\n",
    ],
)
def test_what_is_no_external_url(text: str) -> None:
    """The message says what is wanted, and does not repeat it."""
    with pytest.raises(Unacceptable) as caught:
        parse_external_url(text)
    assert "s3cret" not in str(caught.value)


def test_the_host_of_an_external_url() -> None:
    """By which requests may address the server."""
    assert Site("https://monitoring.example.com/").external_host == "monitoring.example.com"
    assert Site("https://[2001:db8::1]:9993/").external_host == "2001:db8::1"
    assert Site().external_host is None


def test_allowed_hosts() -> None:
    """Names, all below a domain, or any."""
    site = Site(allowed_hosts=tuple(map(parse_allowed_host, ["A.example.", "*.b.example"])))
    assert [site.allows(name) for name in ("a.example", "x.b.example", "b.example", "c.example")] == [
        True,
        True,
        False,
        False,
    ]
    assert Site(allowed_hosts=(parse_allowed_host("*"),)).allows("c.example")
    assert not Site().allows("a.example")


@pytest.mark.parametrize(
    "text", ["", "a.example:80", "http://a.example", "a/b", "a b", "*.", "a.*", "[::1]:80", "ü.example"]
)
def test_what_is_no_allowed_host(text: str) -> None:
    """The message says what is wanted."""
    with pytest.raises(Unacceptable):
        parse_allowed_host(text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("/gmail", "/gmail"), ("gmail/", "/gmail"), ("//a/b//", "/a/b"), ("/", ""), ("", ""), ("/%C3%BC", "/%C3%BC")],
)
def test_a_route_prefix(text: str, prefix: str) -> None:
    """As Prometheus takes it: with or without slashes around it."""
    assert parse_route_prefix(text) == prefix


@pytest.mark.parametrize(
    "text", ["/a b", "/a?b", "/a#b", "/ü", "/a//b", "/..", "/a/./b", "/%zz", '/"', "/a\\b", "/{a}"]
)
def test_what_is_no_route_prefix(text: str) -> None:
    """The message says what is wanted."""
    with pytest.raises(Unacceptable, match="must be a path such as /gmail"):
        parse_route_prefix(text)
    with pytest.raises(Unacceptable):
        parse_external_url(f"https://example.com{text}")


def test_the_prefix_is_the_path_of_the_address() -> None:
    """Unless it is given."""
    url = "https://example.com/a/b/"
    assert Site.of(url, (), None, "/metrics").route_prefix == "/a/b"
    assert Site.of(url, (), "", "/metrics").route_prefix == ""
    assert Site.of(None, (), None, "/metrics") == Site()
    assert Site.of("https://example.com/", (), None, "/metrics").route_prefix == ""
    assert [Site(url, (), "/c").external_path, Site("", (), "/c").external_path] == ["/a/b/", "/c/"]


@pytest.mark.parametrize("text", ["/metrics", "/stats", "/a/b", "/metrics-2", "/gmail/metrics"])
def test_a_telemetry_path(text: str) -> None:
    """Any path that is not answered already."""
    assert parse_telemetry_path(text) == text


def test_every_path_of_the_pages_is_answered_already() -> None:
    """None of them can become that of the metrics."""
    sources = "".join(path.read_text("utf-8") for path in Path(web.__path__[0]).glob("*.py"))
    paths = re.findall(r'Route\("(/[^"{]+)', sources)
    assert {"/deliveries", "/config"} <= {*paths}
    for path in paths:
        with pytest.raises(Unacceptable):
            parse_telemetry_path(path.removesuffix("/"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "metrics", "/metrics/", "//metrics", "/a?b", "/a b", "/{a}", "/../a", "/ü", "/%41"),
        *("/probe", "/config", "/-/metrics", "/api/metrics", "/static/x", "/endpoints/x", "/reasons", "/accounts/x"),
    ],
)
def test_what_is_no_telemetry_path(text: str) -> None:
    """Or a path of a page."""
    with pytest.raises(Unacceptable, match="must be a path such as /metrics"):
        parse_telemetry_path(text)
