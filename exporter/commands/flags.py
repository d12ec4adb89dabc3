"""The flags of the daemon and of the commands."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from exporter.model.address import HostPattern
    from exporter.model.shard import Shard

T = TypeVar("T")

LOG_LEVELS = ("debug", "info", "warn", "error")
LOG_FORMATS = ("logfmt", "json")


def add_flags(parser: argparse.ArgumentParser, *, inherit: bool = False) -> None:
    """Add all flags; `inherit`: for a command, in front of which they may stand, too."""

    def add(flag: str, text: str, *, of_daemon: bool = False, default: object = None, **settings: Any) -> None:
        # A command accepts the flags of the daemon, too, but its help does not list them.
        parser.add_argument(
            flag,
            default=argparse.SUPPRESS if inherit else default,
            help=argparse.SUPPRESS if inherit and of_daemon else text,
            **settings,
        )

    add(
        "--config.file",
        "configuration file (default: Gmail's four endpoints)",
        dest="config_file",
        metavar="FILE",
        type=file_path,
    )
    add(
        "--config.auto-reload-interval",
        "how often to check whether the configuration file has changed, and reload then (default: never)",
        of_daemon=True,
        dest="auto_reload_interval",
        metavar="DURATION",
        type=_interval,
    )
    add(
        "--storage.path",
        "file of the login budgets, which daemon and commands share (default: ledger.db in $STATE_DIRECTORY, else "
        "in /var/lib/gmail-exporter if that is writable, else in $XDG_STATE_HOME/gmail-exporter, else none)",
        dest="storage_path",
        metavar="FILE",
        type=file_path,
    )
    add(
        "--storage.none",
        "keep the login budgets in memory: every start forgets what the last one knew",
        dest="storage_none",
        action="store_true",
        default=False,
    )
    add(
        "--shard",
        "probe part I of N of the configuration, I from 0 to N-1 (default: 0/1, all of it)",
        default="0/1",
        dest="shard",
        metavar="I/N",
        type=_shard,
    )
    add(
        "--web.listen-address",
        "HOST:PORT to listen on; repeatable (default: :9993)",
        of_daemon=True,
        dest="listen_addresses",
        metavar="ADDRESS",
        action="append",
    )
    add(
        "--timeout-offset",
        "seconds by which /probe answers before the scrape's timeout (default: 0.5)",
        of_daemon=True,
        default=0.5,
        dest="timeout_offset",
        metavar="SECONDS",
        type=_seconds,
    )
    add(
        "--web.config.file",
        "TLS, client certificates and passwords (default: none of them)",
        of_daemon=True,
        dest="web_config_file",
        metavar="FILE",
        type=file_path,
    )
    add(
        "--web.enable-lifecycle",
        "allow POST /-/reload, and on the pages to probe an endpoint now and to release an account",
        of_daemon=True,
        dest="enable_lifecycle",
        action="store_true",
        default=False,
    )
    add(
        "--web.external-url",
        "address by which people reach the pages, such as that of a proxy (default: none)",
        of_daemon=True,
        dest="external_url",
        metavar="URL",
        type=_external_url,
    )
    add(
        "--web.allowed-host",
        "another name of this host, for the pages: NAME, *.DOMAIN, or * for any; repeatable (always known: addresses, "
        "localhost, this host's name, that of --web.external-url)",
        of_daemon=True,
        dest="allowed_hosts",
        metavar="NAME",
        action="append",
        type=_allowed_host,
    )
    add(
        "--web.route-prefix",
        "what stands in front of every path (default: the path of --web.external-url)",
        of_daemon=True,
        dest="route_prefix",
        metavar="PATH",
        type=_route_prefix,
    )
    add(
        "--web.telemetry-path",
        "path of the metrics (default: /metrics)",
        of_daemon=True,
        default="/metrics",
        dest="telemetry_path",
        metavar="PATH",
        type=_telemetry_path,
    )
    add(
        "--web.systemd-socket",
        "listen on the sockets that systemd passes on, in place of --web.listen-address",
        of_daemon=True,
        dest="systemd_socket",
        action="store_true",
        default=False,
    )
    add(
        "--log.level",
        "least severe lines to log (default: info; for commands that print: none)",
        dest="log_level",
        choices=LOG_LEVELS,
    )
    add(
        "--log.format",
        "how log lines are written (default: logfmt)",
        of_daemon=True,
        default="logfmt",
        dest="log_format",
        choices=LOG_FORMATS,
    )


def file_path(text: str) -> Path:
    """Return the path of a file, whether it exists or not."""
    if not text:  # Path("") is the working directory
        raise argparse.ArgumentTypeError("must be the name of a file, not ''")
    return Path(text)


def _interval(text: str) -> float:
    """Return the seconds between two checks of a file."""
    from exporter.config.duration import parse_duration  # noqa: PLC0415

    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"must be a duration of at least 1s, such as 30s, not {text!r}")
    return seconds


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 60:
        raise argparse.ArgumentTypeError(f"must be seconds from 0 to 60, not {text!r}")
    return seconds


def _external_url(text: str) -> str:
    from exporter.model.message import Unacceptable  # noqa: PLC0415
    from exporter.model.site import parse_external_url  # noqa: PLC0415

    try:
        return parse_external_url(text)
    except Unacceptable as mistake:  # it is not shown: it may have a password in it
        raise argparse.ArgumentTypeError(str(mistake)) from None


def _allowed_host(text: str) -> HostPattern:
    from exporter.model.site import parse_allowed_host  # noqa: PLC0415

    return _checked(parse_allowed_host, text)


def _route_prefix(text: str) -> str:
    from exporter.model.site import parse_route_prefix  # noqa: PLC0415

    return _checked(parse_route_prefix, text)


def _telemetry_path(text: str) -> str:
    from exporter.model.site import parse_telemetry_path  # noqa: PLC0415

    return _checked(parse_telemetry_path, text)


def _checked(parse: Callable[[str], T], text: str) -> T:
    from exporter.model.message import Unacceptable, show  # noqa: PLC0415

    try:
        return parse(text)
    except Unacceptable as mistake:
        raise argparse.ArgumentTypeError(f"{mistake}, not {show(text)}") from None


def _shard(text: str) -> Shard:
    from exporter.model.shard import Shard  # noqa: PLC0415

    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
