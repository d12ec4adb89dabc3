"""`python -m exporter.healthcheck`: whether the daemon of this container is healthy; exit code 0 or 1.

For an image without curl. It finds the daemon's address in the command line of process 1, which is the daemon, or
the small init in front of it.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.host.process import protect_memory
from exporter.model.address import split_address
from exporter.model.site import TELEMETRY_PATH, Site, parse_external_url, parse_route_prefix

TIMEOUT = 4.0
"""Seconds."""

COMMAND_LINE = Path("/proc/1/cmdline")

_REFUSED = (401, 403)
"""The daemon answers, and its health needs a password."""

_NO_CERTIFICATE = ("SSLV3_ALERT_HANDSHAKE_FAILURE", "SSLV3_ALERT_BAD_CERTIFICATE")
"""OpenSSL's names of the alerts by which TLS 1.2 refuses a client without a certificate."""


def check(arguments: Sequence[str]) -> str | None:
    """Return what is wrong with the daemon that was started with these arguments; None if it is healthy."""
    host, port = _address(_values("--web.listen-address", arguments))
    path = f"{_prefix(arguments)}/-/healthy"
    plain = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        if not _values("--web.config.file", arguments):
            return _ask(plain, path)
        # The certificate has the name that clients use, not this address; and nothing secret is sent.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        secure = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        try:
            secure.connect()
        except ssl.SSLError as error:
            # Any other error: the file sets passwords only, no TLS.
            return None if error.reason in _NO_CERTIFICATE else _ask(plain, path)
        try:
            return _ask(secure, path)
        except (ConnectionError, ssl.SSLError):
            return None  # TLS 1.3 refuses a client without a certificate after the handshake
    except (ConnectionResetError, BrokenPipeError):
        return None  # with TLS, a daemon at its limit of connections closes a new one without an answer
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"


def _ask(connection: http.client.HTTPConnection, path: str) -> str | None:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(500).decode(errors="replace").strip()
    finally:
        connection.close()
    # At its limit of connections it sends Retry-After, which an unhealthy one does not.
    is_busy = answer.status == 503 and answer.getheader("Retry-After") is not None
    return None if answer.status == 200 or answer.status in _REFUSED or is_busy else f"{answer.status}: {text}"


def _values(flag: str, arguments: Sequence[str]) -> list[str]:
    """Return the values of a flag, from `FLAG=VALUE` and `FLAG VALUE`."""
    return [
        argument.partition("=")[2] if "=" in argument else following
        for argument, following in zip(arguments, [*arguments[1:], ""], strict=True)
        if argument.partition("=")[0] == flag
    ]


def _address(listened: Sequence[str]) -> tuple[str, int]:
    """Return the address to connect to: the first listening address; of this host, where that is every interface."""
    host, port = split_address(listened[0] if listened else ":9993")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port or 0)


def _prefix(arguments: Sequence[str]) -> str:
    """Return what stands in front of every path."""
    prefixes = _values("--web.route-prefix", arguments)
    if prefixes:
        return parse_route_prefix(prefixes[-1])
    urls = _values("--web.external-url", arguments)
    return Site.of(parse_external_url(urls[-1]) if urls else None, (), None, TELEMETRY_PATH).route_prefix


def main() -> int:
    """Print what is wrong, for the status of the container."""
    protect_memory()  # it has the environment of the container, with the secrets that are there
    # The name of a file in it may be in any encoding.
    problem = check(COMMAND_LINE.read_text("utf-8", "surrogateescape").split("\0"))
    if problem is None:
        return 0
    sys.stderr.write(problem + "\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
