"""Requests as no client should send them, from a seed: the same seed makes the same requests.

`RequestGenerator` builds a request of parts, each of them ordinary or odd; `octets` is what goes over a socket, `scope`
what an ASGI application gets. Whoever asks for more than the tests do passes another seed and a larger count.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import unquote

METHODS = (
    "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "get", "M-SEARCH",
    "!#$",
)  # fmt: skip

PATHS = (
    "/", "/metrics", "/probe", "/config", "/reasons", "/-/healthy", "/-/ready", "/-/reload", "/endpoints/imap",
    "/endpoints/nobody", "/endpoints/imap/probe", "/api/v1/endpoints", "/api/v1/endpoints/imap", "/static/style.css",
    "/static/nothing", "/nothing", "*", "//", "//evil.example/", "/../../etc/passwd", "/%2e%2e/", "/%00", "/%ff%fe",
    "/%", "/%zz", "/endpoints/%ed%a0%80", "/endpoints/%E2%80%AE", "/endpoints/%0d%0aX:%20y",
    "/endpoints/" + "a" * 5000, "/static/%2e%2e%2fpages.py", "http://localhost/metrics", "http://evil.example/",
    "https://[::1]:9993/", "http://[/", "http://", "ftp://x/", "localhost:443", "/?", "/#fragment", "/;a=b",
    "/metrics/", "/METRICS",
)  # fmt: skip

QUERIES = (
    "", "", "", "?", "?q=%", "?q=%ff", "?q=" + "%F0%9F%92%A9" * 50, "?state=down", "?state=%00",
    "?group=host&group=none", "?page=99999999999999999999999", "?page=-1", "?page=%D9%A3", "?page=1e3", "?v=x",
    "?early", "?&&&==&", "?a;b;c", "?" + "&" * 3000, "?module=imap&target=127.0.0.1:1", "?module=imap&target=[::1",
    "?module=imap&target=%00", "?module=x&module=y", "?target=http://x/",
    "?module=imap&target=127.0.0.1:1&hostname=%F0%9F%92%A9", "?module=imap&target=127.0.0.1:99999",
    "?module=imap&debug=true", "?target=" + "a." * 300, "?module=imap&target=xn--\u00fc",
    "?module=imap&target=127.0.0.1%0d%0a:1",
)  # fmt: skip

HOSTS = (
    "localhost", "localhost:9993", "127.0.0.1", "[::1]:9993", "exporter", "evil.example", "", "[", "[::1", "[::1]x",
    "a:b:c", "host:", ":80", "host:99999999999", "a@b", "a/b", "\u00fc.example", "localhost\u3002example", "a,b",
    "a b", "..", "x" * 300, "%00", "[::1%25eth0]", "127.1",
)  # fmt: skip

ORIGINS = (
    "http://localhost", "http://[", "http://[::1", "http://[::1]x", "null", "", "//", "http:", "http://\u2100",
    "http://a\u2100b", "://", "x", "http://exporter:99999", "http://exporter:x", "https://user@exporter",
    "http://[v1.x]", "http://" + "a" * 4000, "\x80\xff",
)  # fmt: skip

NUMBERS = (
    "0", "1", "-1", "+1", "1e400", "nan", "inf", "0x10", "1_000", " 5 ", "5, 5", "9" * 30, "9" * 5000, "\u0663", "",
    "1.5", "1e-320",
)  # fmt: skip

LISTS = (
    "", "*", "*/*", "gzip", "gzip;q=0", "gzip;q=1e9", "gzip;q=", "gzip;q=9" + "9" * 400, ";;,,=",
    "identity;q=0, *;q=0", "a/b;q=0.5," * 500, "application/openmetrics-text; version=1.0.0; q=0.7",
    "text/plain;version=0.0.4;q=nan", '"', 'W/"x"', '""', "*", "\x80", "a" * 9000,
)  # fmt: skip

CREDENTIALS = (
    "Basic", "Basic ", "Basic =", "Basic ====", "Basic \x80\xff", "Basic !!!", "Bearer x", "basic " + "QQ" * 2000,
    "Basic Og==", "Basic //86Yg==", "Basic " + base64.b64encode(b"a" * 80 + b":" + b"b" * 80).decode(),
    "Basic " + base64.b64encode(b"a:\0").decode(), "Basic " + base64.b64encode("\u00fc:\u00fc".encode()).decode(),
    "Digest username=x", " ", "Basic\tYTpi", "Basic YTpi YTpi",
)  # fmt: skip

HEADERS: dict[str, Sequence[str]] = {
    "Host": HOSTS,
    "Origin": ORIGINS,
    "Referer": ORIGINS,
    "Sec-Fetch-Site": ("cross-site", "same-origin", "none", "", "\x80", "x" * 100),
    "Sec-Fetch-Mode": ("navigate", "cors", ""),
    "Authorization": CREDENTIALS,
    "Accept": LISTS,
    "Accept-Encoding": LISTS,
    "If-None-Match": LISTS,
    "If-Modified-Since": ("Thu, 01 Jan 1970 00:00:00 GMT", "yesterday", ""),
    "X-Prometheus-Scrape-Timeout-Seconds": NUMBERS,
    "Content-Length": NUMBERS,
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", "chunked, chunked", "\x0bchunked", ""),
    "Content-Type": ("application/x-www-form-urlencoded", "multipart/form-data; boundary=", "x", ""),
    "Connection": ("close", "keep-alive", "upgrade", "close, upgrade", "", "\x80"),
    "Upgrade": ("websocket", "h2c", "TLS/1.0", ""),
    "Expect": ("100-continue", "200-ok", ""),
    "Cookie": ("a=b", "=", ";;;", "\x80", "a=" + "b" * 4000),
    "X-Forwarded-For": ("192.0.2.1", "[", ""),
    "X-Forwarded-Host": HOSTS,
    "Range": ("bytes=0-", "bytes=-1", "x"),
    "X-Odd": ("\x80\xff", "\t", "a" * 2000, "e\u0301"),
}

BODIES = (
    b"", b"", b"", b"x", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\n", b"-1\r\n", b"0\r\n\r\n", b"\0" * 100,
    b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip

ODD_LINES = (
    b"", b"no colon", b": no name", b" folded", b"A: b\0c", b"A\xff: b", b"A: \x01", b"A : b", b"\r", b"A: b\rC: d",
)  # fmt: skip

VERSIONS = (
    "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One request, of parts that may be odd."""

    method: str
    target: str
    version: str
    headers: Sequence[tuple[str, str]]
    odd_lines: Sequence[bytes]
    body: bytes
    empty_lines: bytes = b""
    """In front of it."""

    @property
    def octets(self) -> bytes:
        """What a client sends."""
        lines = [_encoded(f"{self.method} {self.target} {self.version}".rstrip(" "))]
        lines += [_encoded(f"{name}: {value}") for name, value in self.headers]
        return self.empty_lines + b"\r\n".join([*lines, *self.odd_lines, b"", self.body])

    @property
    def scope(self) -> dict[str, Any]:
        """What an ASGI application gets: as of a server that lets everything pass."""
        path, _, query = self.target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 9993),
            "client": ("127.0.0.1", 40000),
            "scheme": "http",
            "method": self.method,
            "root_path": "",
            "path": unquote(_encoded(path).decode("ascii", "replace")),
            "raw_path": _encoded(path),
            "query_string": _encoded(query),
            "headers": [(_encoded(name.lower()), _encoded(value)) for name, value in self.headers],
            "state": {},
        }


class RequestGenerator:
    """Makes requests from a seed, or from random numbers that somebody else has."""

    def __init__(self, seed: int | str | Random) -> None:
        self._random = seed if isinstance(seed, Random) else Random(seed)

    def __iter__(self) -> Iterator[Request]:
        while True:
            yield self.request()

    def request(self) -> Request:
        """The next one: mostly ordinary, with a few odd parts."""
        pick = self._random
        names = pick.sample(sorted(HEADERS), k=pick.choice((0, 1, 1, 2, 3, 6)))
        headers = [(name, self._text(pick.choice(HEADERS[name]))) for name in names]
        if pick.random() < 0.8 and "Host" not in names:
            headers.insert(0, ("Host", "localhost"))
        if pick.random() < 0.05 and headers:
            headers.append(pick.choice(headers))
        return Request(
            pick.choice(METHODS) if pick.random() < 0.5 else "GET",
            self._text(pick.choice(PATHS) + pick.choice(QUERIES)),
            pick.choice(VERSIONS) if pick.random() < 0.1 else "HTTP/1.1",
            headers,
            [pick.choice(ODD_LINES)] if pick.random() < 0.1 else [],
            pick.choice(BODIES),
            pick.choice((b"\r\n", b"\n", b"\r\n\r\n", b"\r", b" ")) if pick.random() < 0.05 else b"",
        )

    def _text(self, text: str) -> str:
        """The text, or one that is nearly the same."""
        pick = self._random
        if pick.random() < 0.85 or not text:
            return text
        at = pick.randrange(len(text))
        odd = pick.choice("\0\t []%:/@?#&=,;\"'\\<>{}|^`~\x7f\x80\xff\u212a\ud800\U0001f4a9")
        return pick.choice((text[:at] + odd + text[at + 1 :], text[:at] + odd + text[at:], text[:at], text * 2))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
