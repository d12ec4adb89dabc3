"""`gmail-exporter doctor`: walk one mailbox from this host's network to the newest message; stop at the first cause.

The steps are those of docs/runbooks/imap-gmail-com-is-not-responding.md, in the same order. First everything is looked
at that needs no login, at the same time; the findings of the first steps are made of that. Then each protocol logs in
once, one after the other, within the login budget; the first refused login ends all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from aiodns.error import DNSError

from exporter.accounts.ledger import Ledger
from exporter.commands import console, mail_servers, symptoms
from exporter.commands.check import CommandOptions, tell_storage
from exporter.commands.deliver import deliver
from exporter.commands.mail_servers import Servers
from exporter.commands.password import ask_for_password, may_send
from exporter.commands.targets import UsageError
from exporter.config.mistake import unknown
from exporter.model.diagnosis import Diagnosis, Finding, Result, Step
from exporter.model.evidence import Evidence
from exporter.model.message import show
from exporter.model.outcome import Outcome, Target
from exporter.model.settings import Account, Config, Delivery, Endpoint, Protocol, Role, SecretRef
from exporter.monitor.checker import Checker
from exporter.monitor.store import Store
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from exporter.verdict.judge import judged
from exporter.verdict.sources import EvidenceSources
from exporter.verdict.this_host import answers, host_facts
from exporter.views import diagnosis as views

_PASSWORD = "GMAIL_EXPORTER_DOCTOR_PASSWORD"  # noqa: S105 (a name: what a person types is in no real variable)

_FOLDERS = (Role.INBOX, Role.SENT, Role.DRAFTS, Role.TRASH, Role.SPAM)

_ORDER = (Protocol.IMAP, Protocol.POP3, Protocol.SMTP)
"""In which the protocols log in: the answer of IMAP's servers says the most."""


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """Options of the command, from the command line.

    Attributes:
        environ: The environment.
        account: The name of an account of the configuration, which logs in.
        password_file: Where the password is.
        server: A host for all protocols, in place of the servers of the address.
        send: Whether to make a delivery of the account.
        port_25: Whether to try the exchanges of the domain as well, on port 25.
        force: Whether to log in whatever the login budget says.
        report: Where the findings are written as Markdown.
        output: `text` or `json`.
    """

    ledger: Ledger
    environ: Mapping[str, str]
    account: str | None = None
    password_file: Path | None = None
    server: str | None = None
    send: bool = False
    port_25: bool = False
    force: bool = False
    report: Path | None = None
    output: str = "text"


def run(config: Config, address: str, options: DoctorOptions) -> int:
    """Walk, print, and return 0 where nothing is wrong, 1 where a cause was found.

    Raises:
        UsageError: The address, the account or the report cannot be used, or no server is known.
        CannotWrite: Standard output cannot be written.
    """
    mail_servers.domain_of(address)
    account = _account(config, address, options)
    if options.send:
        _delivery(config, account)  # before anything is contacted
    diagnosis = asyncio.run(_walk(config, address, account, options))
    if options.output == "json":
        console.write(views.to_json(diagnosis))
    else:
        console.Screen().show(*views.conclusion(diagnosis))
    if options.report:
        try:
            options.report.write_text(views.markdown(diagnosis), "utf-8")
        except OSError as error:
            raise UsageError(f"--report {options.report}: {error.strerror}") from None
    return 1 if diagnosis.cause else 0


def _account(config: Config, address: str, options: DoctorOptions) -> Account | None:
    """Return the account that logs in; None where a person has to be asked for the password."""
    if options.account and options.password_file:
        raise UsageError("--account and --password-file are both given: choose one")
    if options.account:
        if options.account not in config.accounts:
            raise UsageError(unknown("account", options.account, config.accounts))
        account = config.accounts[options.account]
        if account.username.lower() != address.lower():
            whose = f"that of {show(account.username)}, not of {show(address)}"
            raise UsageError(f"the account {show(options.account)} is {whose}")
        return account
    if options.password_file:
        return Account("doctor", address, app_password=SecretRef(file=options.password_file.absolute()))
    return None


def _delivery(config: Config, account: Account | None) -> Delivery:
    """Return a delivery of the configuration to the account, or else from it."""
    if account is None or account.name not in config.accounts:
        raise UsageError("--send needs --account NAME: a test message is sent between accounts of the configuration")
    of_account = [one for one in config.deliveries.values() if account in (one.sender, one.recipient)]
    if not of_account:
        raise UsageError(f"no delivery is from or to the account {show(account.name)}: add one under deliveries")
    return max(of_account, key=lambda one: one.recipient == account)


async def _walk(config: Config, address: str, account: Account | None, options: DoctorOptions) -> Diagnosis:
    screen = console.Screen() if options.output == "text" else None
    findings: list[Finding] = []
    walk = _Walk(config, address, account, options)
    try:
        async for finding in walk.findings():
            findings.append(finding)
            if screen:
                screen.show(*views.line(finding))
            if finding.result is Result.CAUSE:
                break
    finally:
        await walk.close()
    return Diagnosis(address, time.time(), tuple(findings))


class _Walk:
    """One walk, and what it has opened."""

    def __init__(self, config: Config, address: str, account: Account | None, options: DoctorOptions) -> None:
        self._config = config
        self._address = address
        self._account = account
        self._options = options
        self._resolver = Resolver()
        self._sources = EvidenceSources(self._resolver)
        self._checker: Checker | None = None

    async def close(self) -> None:
        """Close everything."""
        if self._checker:
            await self._checker.close()
        await self._sources.close()
        await self._resolver.close()

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield one finding after the other; who has a cause asks for no more."""
        domain = mail_servers.domain_of(self._address)
        servers: Servers | DNSError
        try:
            servers = await mail_servers.find(
                self._address, self._config, self._resolver, account=self._account, server=self._options.server
            )
        except DNSError as error:
            servers = error
        looks = await self._look(domain, servers)
        yield symptoms.network(looks)
        if isinstance(servers, DNSError):
            yield symptoms.unknown_servers(domain, servers)
            return
        yield symptoms.dns(looks, servers)
        yield symptoms.ports(looks)
        yield symptoms.tls(looks)
        yield symptoms.status(looks)
        logins: list[Outcome] = []
        async for finding in self._log_in(servers, logins):
            yield finding
        if logins:
            yield symptoms.switches(logins)
        yield symptoms.settings(self._address, looks, logins)
        if logins:
            yield symptoms.folders(logins)
            yield symptoms.newest(logins, time.time())
        if logins and self._options.send:
            chosen = _delivery(self._config, self._account)
            made = CommandOptions(self._options.ledger, self._options.environ)
            (result,) = await deliver(self._config, [chosen], made)
            yield symptoms.delivery(result)

    async def _look(self, domain: str, servers: Servers | DNSError) -> symptoms.Looks:
        """Look at everything that needs no login."""
        endpoints = () if isinstance(servers, DNSError) else servers.endpoints
        here = replace(self._config, endpoints=MappingProxyType({one.name: one for one in endpoints}))
        self._sources.configure(here)
        relays = await self._exchanges(domain) if self._options.port_25 else ()
        with console.progress(len(endpoints) + len(relays) + 2) as running:

            async def probed(endpoint: Endpoint) -> list[Outcome]:
                with running.step(endpoint.name):
                    alone = replace(endpoint, account=None, folders=())
                    return [await probe(target, self._resolver) for target in Target.of(alone)]

            async def compared() -> None:
                with running.step("controls"):
                    await self._sources.controls.look(0, plain=True)

            async def read() -> None:
                with running.step("the provider's status"):
                    await self._sources.feed.read(0)

            found = asyncio.gather(*(probed(endpoint) for endpoint in (*endpoints, *relays)))
            await asyncio.gather(found, compared(), read())
        outcomes = await asyncio.gather(*(self._judged(outcome) for each in found.result() for outcome in each))
        controls = self._sources.controls.states
        names = [*(one.host for one in endpoints), *(control.host for control in controls)] or [domain]
        facts = host_facts(None, controls, resolver_answers=await answers(self._resolver, names))
        return symptoms.Looks(facts, controls, self._sources.feed.status, tuple(outcomes))

    async def _judged(self, outcome: Outcome) -> Outcome:
        """Return an Outcome with the evidence of its failure, and whose fault that shows it to be."""
        if outcome.ok:
            return outcome
        seen = outcome.observed
        found = await self._sources.gather(outcome.target.endpoint, outcome.target.ip_family, seen.address)
        evidence = Evidence(at=time.time(), tcp=seen.tcp, **found._asdict())
        return judged(replace(outcome, evidence=evidence))

    async def _exchanges(self, domain: str) -> tuple[Endpoint, ...]:
        try:
            return await mail_servers.exchanges_of(domain, self._resolver)
        except DNSError:
            return ()  # that the resolver fails is a finding already

    async def _log_in(self, servers: Servers, logins: list[Outcome]) -> AsyncIterator[Finding]:
        """Yield what the logins show, and add their Outcomes to `logins`: none after one that failed."""
        account, environ = self._account, dict(self._options.environ)
        hosts = sorted({one.host for one in servers.endpoints})
        if not may_send(servers, hosts):
            where = " or ".join(hosts)
            yield symptoms.left_out(
                Step.LOGIN,
                f"No login: the password goes to {where} only if you say so",
                f"Name the host with --server if it is right: {servers.phrase}.",
            )
            return
        if account is None:
            environ[_PASSWORD] = ask_for_password(self._address)
            if not environ[_PASSWORD]:
                yield symptoms.left_out(
                    Step.LOGIN,
                    "No login: there is no password",
                    "Give one with --password-file FILE or --account NAME.",
                )
                return
            account = Account("doctor", self._address, app_password=SecretRef(env=_PASSWORD))
        tell_storage(self._options.ledger)
        targets = [target for one in _one_of_each(servers) for target in Target.of(_with_login(one, account))[:1]]
        store = Store()
        store.configure(targets)
        self._checker = Checker(store, self._resolver, self._options.ledger, environ)
        self._checker.configure(
            replace(
                self._config,
                accounts=MappingProxyType({**self._config.accounts, account.name: account}),
                endpoints=MappingProxyType({target.endpoint.name: target.endpoint for target in targets}),
                deliveries=MappingProxyType({}),
            )
        )
        with console.progress(len(targets)) as running:
            for target in targets:
                with running.step(f"login at {target.endpoint.name}"):
                    logins.append(await self._checker.check(target, force=self._options.force))
                if symptoms.ends_the_logins(logins[-1]):
                    break
        yield symptoms.login(logins)


def _one_of_each(servers: Servers) -> list[Endpoint]:
    """Return one endpoint of each protocol: a login at another port of it would show nothing more."""
    return [
        next(one for one in servers.endpoints if one.protocol is protocol)
        for protocol in _ORDER
        if any(one.protocol is protocol for one in servers.endpoints)
    ]


def _with_login(endpoint: Endpoint, account: Account) -> Endpoint:
    is_imap = endpoint.protocol is Protocol.IMAP
    folders = _FOLDERS if is_imap else (Role.INBOX,) if endpoint.protocol is Protocol.POP3 else ()
    return replace(endpoint, account=account, folders=folders, newest=is_imap, login_interval=1.0)
