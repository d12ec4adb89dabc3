"""Flags and subcommands → exit code: 0 all well, 1 something failed, 2 usage or configuration error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter import __version__, logs
from exporter.config import Config, ConfigError, dump, load

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command that `arguments` name and return the exit code."""
    options = _parser().parse_args(arguments)
    logs.configure(options.log_level, options.log_format)
    try:
        config = load(options.config_file, environ)
    except ConfigError as error:
        return _fail(str(error))
    if options.command == "config":
        sys.stdout.write(dump(config))
        return 0
    return _run(config, options, environ)


def _run(config: Config, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # Deferred: `config` and `--help` need none of what these import.
    from exporter import daemon  # noqa: PLC0415
    from exporter.web.server import ListenError, listen  # noqa: PLC0415

    try:
        sockets = listen(options.listen_addresses or [":9993"])
    except ListenError as error:
        return _fail(f"gmail-exporter: {error}")
    daemon.run(config, daemon.Options(options.config_file, sockets, environ))
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gmail-exporter",
        description="Probe Gmail's IMAP, POP3 and SMTP endpoints on a schedule and expose what was seen to Prometheus.",
        epilog="Without a file, Gmail's four endpoints are probed without login; GMAIL_EXPORTER_USERNAME with "
        "GMAIL_EXPORTER_APP_PASSWORD_FILE (or GMAIL_EXPORTER_APP_PASSWORD) logs in to them.",
        allow_abbrev=False,
    )
    _add_flags(parser)
    parser.add_argument("--version", action="version", version=f"gmail-exporter {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    config = commands.add_parser(
        "config",
        help="validate, and print the effective configuration, secrets redacted",
        description="Validate, and print the effective configuration, secrets redacted.",
        allow_abbrev=False,
    )
    # Flags may stand before or behind the command; behind it they must not reset what stands before.
    _add_flags(config, inherit=True)
    return parser


def _add_flags(parser: argparse.ArgumentParser, *, inherit: bool = False) -> None:
    def default(value: object) -> object:
        return argparse.SUPPRESS if inherit else value

    add = parser.add_argument
    add(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        default=default(None),
        help="configuration file (default: Gmail's four endpoints)",
    )
    add(
        "--web.listen-address",
        dest="listen_addresses",
        metavar="ADDRESS",
        action="append",
        default=default(None),
        help="HOST:PORT to listen on; repeatable (default: :9993)",
    )
    add(
        "--log.level",
        dest="log_level",
        choices=logs.LEVELS,
        default=default("info"),
        help="least severe lines to log (default: info)",
    )
    add(
        "--log.format",
        dest="log_format",
        choices=logs.FORMATS,
        default=default("logfmt"),
        help="how log lines are written (default: logfmt)",
    )
