"""Deliveries from one account to another, on the real servers."""

from __future__ import annotations

import asyncio
import imaplib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.accounts.ledger import Ledger
from exporter.accounts.sends import Sends
from exporter.accounts.storage import Storage
from exporter.deliveries.logins import Logins
from exporter.deliveries.run import Deliveries
from exporter.model.delivery import DeliveryResult
from exporter.model.outcome import Outcome
from exporter.model.settings import Account, Config, Delivery, Endpoint, Protocol, SecretRef, Security, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_PASSWORD, PROBE_USER, Dovecot
from tests.servers.postfix import Postfix
from tests.waiting import PATIENCE

PORTS = {
    "submission": (Protocol.SMTP, Security.STARTTLS, "submission_port"),
    "smtps": (Protocol.SMTP, Security.TLS, "smtps_port"),
    "imap": (Protocol.IMAP, Security.TLS, "imaps_port"),
    "ops-imap": (Protocol.IMAP, Security.TLS, "imaps_port"),
    "pop3": (Protocol.POP3, Security.TLS, "pop3s_port"),
}
"""Protocol, security and the name of the port of each endpoint."""


class Lab:
    """Two accounts on a Postfix and a Dovecot, and one who makes deliveries between them."""

    def __init__(self, directory: Path, authority: Authority, dovecot: Dovecot, postfix: Postfix) -> None:
        self.directory = directory
        self.authority = authority
        self.dovecot = dovecot
        self.postfix = postfix
        self.accounts = {"ops": self.account("ops", OPS_USER, OPS_PASSWORD)}
        self.accounts["probe"] = self.account("probe", PROBE_USER, PROBE_PASSWORD)
        self.endpoints = {name: self._endpoint(name) for name in PORTS}
        self.observed: list[Outcome] = []
        self.resolver = Resolver()
        self.ledger = Ledger(Storage(directory / "ledger.db"))
        self.checker = Checker(Store(), self.resolver, self.ledger, {})

    def account(self, name: str, username: str, password: str, **changes: Any) -> Account:
        """An account whose password is in a file."""
        file = self.directory / f"{name}.password"
        file.write_text(password, "utf-8")
        return Account(name=name, username=username, app_password=SecretRef(file=file), **changes)

    def submission(self, name: str) -> Endpoint:
        """The submission at another port of Postfix, which has this name there, too."""
        return replace(self.endpoints["submission"], name=name, port=getattr(self.postfix, f"{name}_port"))

    def _endpoint(self, name: str) -> Endpoint:
        protocol, security, port = PORTS[name]
        server = self.postfix if protocol is Protocol.SMTP else self.dovecot
        return Endpoint(
            name=name,
            protocol=protocol,
            host="localhost",
            port=getattr(server, port),
            security=security,
            account=self.accounts["ops" if name in ("submission", "smtps", "ops-imap") else "probe"],
            tls=Tls(ca_file=self.authority.ca_file),
            timeout=25.0,
        )

    def delivery(self, name: str = "ops-to-probe", **changes: Any) -> Delivery:
        """A delivery from ops to probe, found over both protocols."""
        endpoints = self.endpoints
        values = {
            "sender": self.accounts["ops"],
            "via": endpoints["submission"],
            "recipient": self.accounts["probe"],
            "read_at": (endpoints["imap"], endpoints["pop3"]),
            "sent_at": endpoints["ops-imap"],
            "timeout": PATIENCE,
            **changes,
        }
        return Delivery(name=name, **values)

    @property
    def config(self) -> Config:
        """The configuration of all accounts and endpoints."""
        return Config(accounts=self.accounts, endpoints=self.endpoints)

    def deliveries(self) -> Deliveries:
        """Who makes deliveries, with what is left of the ledger."""
        self.checker.configure(self.config)
        logins = Logins(self.checker.account_of, self.resolver, self._observe)
        return Deliveries(logins, Sends(self.ledger), self.ledger)

    async def _observe(self, outcome: Outcome) -> Outcome:
        self.observed.append(outcome)
        return outcome

    async def deliver(self, delivery: Delivery | None = None) -> DeliveryResult:
        """Make a delivery."""
        return await self.deliveries().run(delivery or self.delivery())

    def restart(self) -> None:
        """Go on as a new process, which has the file of the ledger and nothing else."""
        self.ledger.close()
        self.ledger = Ledger(Storage(self.directory / "ledger.db"))
        self.checker = Checker(Store(), self.resolver, self.ledger, {})

    @contextmanager
    def mailbox(self, user: str = PROBE_USER) -> Iterator[imaplib.IMAP4_SSL]:
        """A mailbox as another client sees it."""
        context = self.authority.client_context
        with imaplib.IMAP4_SSL("localhost", self.dovecot.imaps_port, ssl_context=context) as client:
            client.authenticate("PLAIN", lambda _: f"\0{user}\0{self.dovecot.passwords[user]}".encode())
            yield client

    def messages(self, folder: str, user: str = PROBE_USER) -> list[bytes]:
        """The headers of all messages of a folder."""
        with self.mailbox(user) as client:
            client.select(folder, readonly=True)
            _, (found,) = client.search(None, "ALL")
            return [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in found.split()]  # type: ignore[index,misc]

    def counts(self) -> list[int]:
        """The number of messages in the recipient's inbox, spam and trash."""
        return [len(self.messages(folder)) for folder in ("INBOX", "Junk", "Trash")]

    def fill(self) -> None:
        """Fill the recipient's mailbox up to the last octets, with a message of somebody else."""
        with self.mailbox() as client:
            used, limit = map(int, re.findall(rb"\d+", client.getquotaroot("INBOX")[1][1][0]))
        self.append("Trash", b"Subject: photographs\r\n\r\n" + (b"x" * 1022 + b"\r\n") * (limit - used - 1))

    def append(self, folder: str, message: bytes, user: str = PROBE_USER) -> None:
        """Put a message into a folder."""
        with self.mailbox(user) as client:
            assert client.append(folder, "", "", message)[0] == "OK"

    def empty(self) -> None:
        """Remove all messages of both mailboxes."""
        for user in (OPS_USER, PROBE_USER):
            with self.mailbox(user) as client:
                for folder in ("INBOX", "Junk", "Trash", "Sent"):
                    client.select(folder)
                    client.uid("STORE", "1:*", "+FLAGS", "\\Deleted")
                    client.expunge()


@pytest.fixture
async def lab(tmp_path: Path, authority: Authority, dovecot: Dovecot, postfix: Postfix) -> AsyncIterator[Lab]:
    """The lab for one test, with empty mailboxes."""
    lab = Lab(tmp_path, authority, dovecot, postfix)
    await asyncio.to_thread(lab.empty)
    yield lab
    await lab.resolver.close()
    lab.ledger.close()
