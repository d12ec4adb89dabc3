"""Flags and subcommands → exit code: 0 all well, 1 something failed, 2 usage or configuration error."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

from exporter import __version__
from exporter.commands.console import CannotWrite, write
from exporter.commands.flags import add_flags, file_path
from exporter.daemon import garbage
from exporter.host.environment import Environment
from exporter.host.process import open_standard_streams, protect_memory

if TYPE_CHECKING:
    from exporter.accounts.ledger import Ledger
    from exporter.accounts.storage import Storage
    from exporter.config.web import Reading
    from exporter.model.settings import Config

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 (argparse has no other)

USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
UNREAD = 128 + signal.SIGPIPE
"""Standard output was closed early: the exit code of a program that ends by SIGPIPE."""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command that `arguments` name and return the exit code."""
    open_standard_streams()
    # Before the slow imports: SIGHUP would end the process until the daemon handles it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        return _start(_parser().parse_args(arguments), Environment.of(environ))
    except CannotWrite as error:
        return _fail(f"gmail-exporter: cannot write: {error}", 1) if str(error) else UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED


def _start(options: argparse.Namespace, environ: Environment) -> int:
    from exporter.daemon import logs  # noqa: PLC0415

    logs.configure(options.log_level or ("critical" if options.command else "info"), options.log_format)
    with logs.in_thread(options.log_format) if options.command is None else nullcontext():
        protect_memory()  # before a secret is read
        return _run(options, environ)


def _run(options: argparse.Namespace, environ: Environment) -> int:
    from exporter.config.dump import dump  # noqa: PLC0415
    from exporter.config.mistake import ConfigError  # noqa: PLC0415

    if options.storage_path is not None and options.storage_none:
        return _fail("gmail-exporter: --storage.path and --storage.none exclude each other")
    if options.auto_reload_interval is not None and options.config_file is None:
        return _fail("gmail-exporter: --config.auto-reload-interval needs --config.file: there is no file to look at")
    try:
        with garbage.paused():
            config, web = _load(options, environ)
    except ConfigError as error:
        return _fail(str(error))
    whole, config = config, options.shard.take(config)
    if options.command == "config":
        write(dump(config))
        return 0
    if message := _other_shard(options, whole, config):
        return _fail(f"gmail-exporter: {message}")
    from exporter.accounts.ledger import Ledger  # noqa: PLC0415

    store = _storage(options, environ)
    if options.storage_path and store.path is None:
        return _fail(f"gmail-exporter: {store.reason}")
    with Ledger(store) as ledger:
        if options.command is None:
            with garbage.paused():
                return _run_daemon(whole, web, options, ledger, environ)
        return _run_once(config, options, ledger, environ)


def _storage(options: argparse.Namespace, environ: Mapping[str, str]) -> Storage:
    """Return where the login budgets are: as a flag says, or where the daemon and the commands both look."""
    from exporter.accounts import storage  # noqa: PLC0415

    if options.storage_none:
        return storage.Storage()
    store = storage.Storage(options.storage_path) if options.storage_path else storage.find(environ)
    return store if options.command is None else storage.of_command(store)


def _load(options: argparse.Namespace, environ: Environment) -> tuple[Config, Reading]:
    """Read both configuration files; a ConfigError has the mistakes of both."""
    from exporter.config.environment import secret_variables  # noqa: PLC0415
    from exporter.config.load import load_with_web  # noqa: PLC0415
    from exporter.config.web import read_web  # noqa: PLC0415

    # Of the commands, only `config` reads it, to validate it.
    web = read_web(options.web_config_file if options.command in (None, "config") else None)
    config = load_with_web(options.config_file, environ, web)
    environ.take(secret_variables(config))
    return config, web


def _other_shard(options: argparse.Namespace, whole: Config, config: Config) -> str | None:
    """Return the message for a name of another shard, whose process has the login budget; None where there is none."""
    from exporter.model.shard import Keys, shard_number  # noqa: PLC0415

    def belongs(what: str, name: str, of: str) -> str:
        return f"the {what} {name} belongs to --shard={shard_number(of, options.shard.count)}/{options.shard.count}"

    for name in getattr(options, "endpoints", ()):
        if name in whole.endpoints and name not in config.endpoints:
            return belongs("endpoint", name, Keys(whole).of_endpoint(whole.endpoints[name]))
    account: str = getattr(options, "name", "")
    if account in whole.accounts and account not in config.accounts:
        return belongs("account", account, Keys(whole).of_account(whole.accounts[account]))
    return None


def _run_daemon(
    config: Config, web: Reading, options: argparse.Namespace, ledger: Ledger, environ: Mapping[str, str]
) -> int:
    from exporter.commands.invocation import check_command, release_command  # noqa: PLC0415
    from exporter.daemon import composition  # noqa: PLC0415
    from exporter.model.site import Site  # noqa: PLC0415
    from exporter.web.server.listening import ListenError, listen, passed_on  # noqa: PLC0415

    if options.systemd_socket and options.listen_addresses:
        return _fail("gmail-exporter: --web.listen-address and --web.systemd-socket are both given: choose one")
    try:
        sockets = passed_on(environ) if options.systemd_socket else listen(options.listen_addresses or [":9993"])
    except ListenError as error:
        return _fail(f"gmail-exporter: {error}")
    settings = composition.DaemonOptions(
        options.config_file,
        ledger,
        sockets,
        environ,
        options.timeout_offset,
        shard=options.shard,
        web_config_file=options.web_config_file,
        web=web,
        enable_lifecycle=options.enable_lifecycle,
        release_command=release_command(options, ledger.path, environ),
        check_command=check_command(options, ledger.path),
        auto_reload_interval=options.auto_reload_interval,
        site=Site.of(options.external_url, options.allowed_hosts or (), options.route_prefix, options.telemetry_path),
    )
    composition.run(config, settings)
    return 0


def _run_once(config: Config, options: argparse.Namespace, ledger: Ledger, environ: Mapping[str, str]) -> int:
    from exporter.commands import accounts, check, targets  # noqa: PLC0415
    from exporter.commands.invocation import release_command  # noqa: PLC0415
    from exporter.model.release import Way  # noqa: PLC0415

    way = Way(release_command(options, ledger.path, environ))
    try:
        if options.command == "accounts" and options.action == "release":
            return accounts.release(config, options.name, ledger)
        if options.command == "doctor":
            return _run_doctor(config, options, ledger, environ)
        if options.command == "accounts":
            what = check.CommandOptions(ledger, environ, force=options.force, way=way)
            return accounts.try_out(config, options.name, what)
        what = check.CommandOptions(ledger, environ, options.output, options.verbose, options.force, way)
        if options.deliveries:
            from exporter.commands import deliver  # noqa: PLC0415

            if options.endpoints or options.domains:
                return _fail("gmail-exporter: --delivery excludes endpoints and --domain: check them one by one")
            return deliver.run(config, options.deliveries, what)
        return check.run(config, options.endpoints, what, options.domains)
    except targets.UsageError as error:
        return _fail(f"gmail-exporter: {error}")


def _run_doctor(config: Config, options: argparse.Namespace, ledger: Ledger, environ: Mapping[str, str]) -> int:
    from exporter.commands import doctor  # noqa: PLC0415

    what = doctor.DoctorOptions(
        ledger,
        environ,
        account=options.account,
        password_file=options.password_file,
        server=options.server,
        send=options.send,
        port_25=options.port_25,
        force=options.force,
        report=options.report,
        output=options.output,
    )
    return doctor.run(config, options.address, what)


def _fail(message: str, code: int = USAGE_ERROR) -> int:
    sys.stderr.write(message + "\n")
    return code


class _Parser(argparse.ArgumentParser):
    """A parser that says the same on every Python: 3.14 adds colours, and the words for a bad choice have changed."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.color = False

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"must be one of {', '.join(map(str, action.choices))}, not {value!r}")


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="gmail-exporter",
        usage="gmail-exporter [FLAG ...] [COMMAND ...]",
        description="Probe Gmail's IMAP, POP3 and SMTP endpoints on a schedule and expose what was seen to Prometheus.",
        epilog="Without a file, Gmail's four endpoints are probed without login; GMAIL_EXPORTER_USERNAME with "
        "GMAIL_EXPORTER_APP_PASSWORD_FILE (or GMAIL_EXPORTER_APP_PASSWORD) logs in to them.",
        allow_abbrev=False,
    )
    add_flags(parser)
    parser.add_argument(
        "--version", action="version", version=f"gmail-exporter {__version__}", help="print the version and exit"
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands (without one: the daemon)", prog="gmail-exporter"
    )
    _add_check(commands)
    _add_doctor(commands)
    _add_command(commands, "config", "", "validate, and print the effective configuration, secrets redacted")
    _add_accounts(commands)
    return parser


def _add_check(commands: Commands) -> None:
    check = _add_command(commands, "check", "[ENDPOINT ...]", "probe once, now, and print a table")
    check.epilog = "Exit code: 0 all is well, 1 something failed, 2 usage or configuration error."
    check.add_argument(
        "endpoints",
        metavar="ENDPOINT",
        nargs="*",
        help="name of an endpoint, HOST:PORT, HOST alone (its usual ports are tried), or an address such as "
        "imaps://HOST:PORT (default: all that are configured)",
    )
    check.add_argument(
        "--domain",
        dest="domains",
        metavar="DOMAIN",
        action="append",
        default=[],
        help="check the mail exchanges and the policies of a domain, such as example.com; repeatable",
    )
    check.add_argument(
        "--delivery",
        metavar="NAME",
        dest="deliveries",
        action="append",
        help="send the test message of this delivery and find it, instead of checking endpoints; repeatable",
    )
    check.add_argument("--output", choices=("table", "json"), default="table", help="how to print (default: table)")
    check.add_argument("--verbose", action="store_true", help="print the dialogues too, secrets redacted")
    _add_force(check)


def _add_doctor(commands: Commands) -> None:
    doctor = _add_command(commands, "doctor", "ADDRESS", "walk one mailbox from the network to its newest message")
    doctor.epilog = "Exit code: 0 nothing is wrong, 1 a cause was found, 2 usage or configuration error."
    doctor.add_argument("address", metavar="ADDRESS", help="address of the mailbox, such as me@gmail.com")
    doctor.add_argument(
        "--account", metavar="NAME", help="log in with this account of the configuration (default: ask for a password)"
    )
    doctor.add_argument("--password-file", metavar="FILE", type=file_path, help="log in with the password in this file")
    doctor.add_argument("--server", metavar="HOST", help="the mail servers are all at this host")
    doctor.add_argument(
        "--send", action="store_true", help="make a delivery to or from the account of --account, too: a test message"
    )
    doctor.add_argument("--port-25", action="store_true", help="try port 25 of the domain's mail exchanges, too")
    doctor.add_argument("--report", metavar="FILE", type=file_path, help="write the findings as Markdown, for a ticket")
    doctor.add_argument("--output", choices=("text", "json"), default="text", help="how to print (default: text)")
    _add_force(doctor)


def _add_accounts(commands: Commands) -> None:
    accounts = _add_command(commands, "accounts", "ACTION NAME", "try an account out, or release one that is held")
    actions = accounts.add_subparsers(
        dest="action", metavar="ACTION", title="actions", required=True, prog="gmail-exporter accounts"
    )
    test = _add_command(actions, "test", "NAME", "try secret, token, login and folders; explain what fails")
    test.epilog = "Exit code: 0 it logged in everywhere, 1 it did not, 2 usage or configuration error."
    test.add_argument("name", metavar="NAME", help="name of the account")
    _add_force(test)
    release = _add_command(actions, "release", "NAME", "permit an account that is held one login")
    release.epilog = "Exit code: 0 it is released, 1 not held, or too early, 2 usage or configuration error."
    release.add_argument("name", metavar="NAME", help="name of the account")


def _add_command(commands: Commands, name: str, arguments: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    parser.usage = f"{parser.prog} [FLAG ...] {arguments}".rstrip()
    # Flags may stand before or behind the command: a default behind it must not replace a value before it.
    add_flags(parser, inherit=True)
    return parser


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="log in whatever the login budget says")
