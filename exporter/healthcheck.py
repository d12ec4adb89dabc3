"""`python -m exporter.healthcheck`: asks the daemon of this container whether it is healthy; exit code 0 or 1.

For an image that has no curl. It finds the daemon's address in the command line of process 1, which is the daemon, or
the small init in front of it.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.model.address import split_address

SECONDS = 4.0
"""For how long an answer is waited for."""

COMMAND_LINE = Path("/proc/1/cmdline")

_REFUSED = (401, 403)
"""The daemon answers, and tells its health only to who knows a password."""

_NO_CERTIFICATE = ("SSLV3_ALERT_HANDSHAKE_FAILURE", "SSLV3_ALERT_BAD_CERTIFICATE")
"""OpenSSL's names for how TLS 1.2 refuses a client without a certificate."""


def check(arguments: Sequence[str]) -> str | None:
    """Ask the daemon that was started with these arguments, and return what is wrong, or None."""
    host, port = _address(_values("--web.listen-address", arguments))
    plain = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        if not _values("--web.config.file", arguments):
            return _ask(plain)
        # The certificate names whatever the daemon's clients call it; and nothing secret is said to it here.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        secure = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
        try:
            secure.connect()
        except ssl.SSLError as error:
            # Else the file asks for passwords only, without TLS.
            return None if error.reason in _NO_CERTIFICATE else _ask(plain)
        try:
            return _ask(secure)
        except (ConnectionError, ssl.SSLError):
            return None  # TLS 1.3 refuses a client without a certificate after the handshake
    except (ConnectionResetError, BrokenPipeError):
        return None  # with TLS, a daemon that has no room for one more connection ends it without a word
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"


def _ask(connection: http.client.HTTPConnection) -> str | None:
    try:
        connection.request("GET", "/-/healthy")
        answer = connection.getresponse()
        said = answer.read(500).decode(errors="replace").strip()
    finally:
        connection.close()
    # Too many are being served at this moment: then it says when to come again, which one that is not healthy does not.
    is_busy = answer.status == 503 and answer.getheader("Retry-After") is not None
    return None if answer.status == 200 or answer.status in _REFUSED or is_busy else f"{answer.status}: {said}"


def _values(flag: str, arguments: Sequence[str]) -> list[str]:
    """The values of a flag, given as `FLAG=VALUE` or as `FLAG VALUE`."""
    return [
        argument.partition("=")[2] if "=" in argument else following
        for argument, following in zip(arguments, [*arguments[1:], ""], strict=True)
        if argument.partition("=")[0] == flag
    ]


def _address(listened: Sequence[str]) -> tuple[str, int]:
    """Where to connect to: the first address that is listened on; this host, where that is every interface."""
    host, port = split_address(listened[0] if listened else ":9993")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port or 0)


def main() -> int:
    """Print what is wrong, for the one who inspects the container."""
    problem = check(COMMAND_LINE.read_text("utf-8").split("\0"))
    if problem is None:
        return 0
    sys.stderr.write(problem + "\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
