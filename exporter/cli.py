"""Flags and subcommands → exit code: 0 all well, 1 something failed, 2 usage or configuration error."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from exporter import __version__

if TYPE_CHECKING:
    from exporter.accounts.ledger import Ledger
    from exporter.config import Config

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 (argparse has no other)

LOG_LEVELS = ("debug", "info", "warn", "error")
LOG_FORMATS = ("logfmt", "json")

USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command that `arguments` name and return the exit code."""
    # Until the daemon listens to it, a reload is nothing to die of. So it comes before all that takes long to import.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        return _run(_parser().parse_args(arguments), environ)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from exporter import logs  # noqa: PLC0415
    from exporter.config import ConfigError, dump, load  # noqa: PLC0415

    logs.configure(options.log_level or ("critical" if options.command else "info"), options.log_format)
    try:
        config = load(options.config_file, environ)
    except ConfigError as error:
        return _fail(str(error))
    if options.command == "config":
        return _print(dump(config))
    from exporter.accounts.ledger import Ledger, LedgerError  # noqa: PLC0415

    try:
        with Ledger(options.storage_path) as ledger:
            if options.command is None:
                return _run_daemon(config, options, ledger, environ)
            return _run_once(config, options, ledger, environ)
    except LedgerError as error:
        return _fail(f"gmail-exporter: {error}")


def _run_daemon(config: Config, options: argparse.Namespace, ledger: Ledger, environ: Mapping[str, str]) -> int:
    from exporter import daemon  # noqa: PLC0415
    from exporter.web.server import ListenError, listen  # noqa: PLC0415

    try:
        sockets = listen(options.listen_addresses or [":9993"])
    except ListenError as error:
        return _fail(f"gmail-exporter: {error}")
    daemon.run(config, daemon.Options(options.config_file, ledger, sockets, environ))
    return 0


def _run_once(config: Config, options: argparse.Namespace, ledger: Ledger, environ: Mapping[str, str]) -> int:
    from exporter.commands import accounts, check  # noqa: PLC0415

    try:
        if options.command == "accounts" and options.action == "release":
            return accounts.release(config, options.name, ledger)
        if options.command == "accounts":
            return accounts.try_out(config, options.name, check.Options(ledger, environ, force=options.force))
        what = check.Options(ledger, environ, options.output, verbose=options.verbose, force=options.force)
        return check.run(config, options.endpoints, what)
    except check.UsageError as error:
        return _fail(f"gmail-exporter: {error}")


def _print(text: str) -> int:
    try:
        sys.stdout.buffer.write(text.encode())  # UTF-8, whatever the locale: it is to be read as a configuration
        sys.stdout.flush()
    except OSError as error:
        return _fail(f"gmail-exporter: cannot write: {error.strerror}", 1)
    return 0


def _fail(message: str, code: int = USAGE_ERROR) -> int:
    sys.stderr.write(message + "\n")
    return code


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

    check = _add_command(commands, "check", "probe once, now, and print a table; exit 1 where something failed")
    check.add_argument(
        "endpoints",
        metavar="ENDPOINT",
        nargs="*",
        help="name of an endpoint, or HOST:PORT (default: all that are configured)",
    )
    check.add_argument("--output", choices=("table", "json"), default="table", help="how to print (default: table)")
    check.add_argument("--verbose", action="store_true", help="print the dialogues, secrets redacted")
    _add_force(check)

    _add_command(commands, "config", "validate, and print the effective configuration, secrets redacted")

    accounts = _add_command(commands, "accounts", "try an account out, or release one that is held")
    actions = accounts.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = _add_command(actions, "test", "walk an account through secret, token, login and folders; explain what fails")
    test.add_argument("name", metavar="NAME", help="name of the account")
    _add_force(test)
    release = _add_command(actions, "release", "let an account that is held log in again")
    release.add_argument("name", metavar="NAME", help="name of the account")
    return parser


def _add_command(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    # Flags may stand before or behind the command; behind it they must not reset what stands before.
    _add_flags(parser, inherit=True)
    return parser


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="log in whatever the login budget says")


def _add_flags(parser: argparse.ArgumentParser, *, inherit: bool = False) -> None:
    def add(flag: str, value: object = None, **settings: Any) -> None:
        parser.add_argument(flag, default=argparse.SUPPRESS if inherit else value, **settings)

    add(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        help="configuration file (default: Gmail's four endpoints)",
    )
    add(
        "--storage.path",
        dest="storage_path",
        metavar="FILE",
        type=Path,
        help="where login budgets survive a restart (default: in memory only)",
    )
    add(
        "--web.listen-address",
        dest="listen_addresses",
        metavar="ADDRESS",
        action="append",
        help="HOST:PORT to listen on; repeatable (default: :9993)",
    )
    add(
        "--log.level",
        dest="log_level",
        choices=LOG_LEVELS,
        help="least severe lines to log (default: info; for commands that print: none)",
    )
    add(
        "--log.format",
        "logfmt",
        dest="log_format",
        choices=LOG_FORMATS,
        help="how log lines are written (default: logfmt)",
    )
