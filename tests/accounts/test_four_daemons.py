"""Four daemons on one ledger, as real processes, at a server that counts: never two logins at once.

Each of them knows the mailbox by another account name, another endpoint name and another spelling.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from exporter.model.mailbox import Mailbox, user_of
from exporter.model.settings import Account
from tests.commands.conftest import Site
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.exporter import EACH_SECOND, UNPLANNED, Exporter
from tests.servers.scripted import Session

USERS = ("probe@gmail.com", "Probe@GMAIL.com", "p.r.o.b.e@gmail.com", "probe+x@googlemail.com")


class Counting:
    """Accepts one secret, and counts the logins, by secret, and how many are under way, from there to the end."""

    does_handshake = True

    def __init__(self, right: str) -> None:
        self.right = right
        self.tried: Counter[str] = Counter()
        self.under_way = self.most = 0
        self._dialogue = Imap(at={"login": self._login})
        self._logging_in: set[int] = set()

    async def __call__(self, session: Session) -> None:
        try:
            await self._dialogue(session)
        finally:
            if id(session) in self._logging_in:
                self._logging_in.discard(id(session))
                self.under_way -= 1

    async def _login(self, session: Session) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self._logging_in.add(id(session))
        message = base64.b64decode(bytes(session.received).split()[-1])
        secret = message.split(b"\0")[2].decode()
        self.tried[secret] += 1
        answer = b"OK authenticated" if secret == self.right else b"NO [AUTHENTICATIONFAILED] Invalid credentials"
        await session.write(session.tag + b" " + answer + b"\r\n")


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    """Scripted servers in a thread."""
    site = Site(tmp_path, authority)
    yield site
    site.close()


def config_of(site: Site, number: int, port: int) -> Path:
    """The configuration of one daemon: two endpoints, one server, its own names."""
    account, path = f"account-{number}", site.directory / f"{number}.yml"
    common = {
        "protocol": "imap",
        "host": "127.0.0.1",
        "port": port,
        "account": account,
        "tls": {"ca_file": str(site.authority.ca_file)},
    }
    document = {
        "defaults": dict(EACH_SECOND),
        "accounts": {
            account: {
                "username": USERS[number],
                "app_password": {"file": str(site.directory / "secret")},
                "max_logins_per_day": 10_000,
            }
        },
        "endpoints": {f"imap-{number}": common, f"again-{number}": common},
    }
    path.write_text(json.dumps(document), "utf-8")
    return path


def write(path: Path, secret: str) -> None:
    """Replace the secret, as a rotation does."""
    new = path.with_name("new")
    new.write_text(secret, "utf-8")
    new.replace(path)


def is_held(exporter: Exporter) -> bool:
    """Whether a daemon logs in nowhere."""
    return set(exporter.values("gmail_login_suspended").values()) == {1.0}


def holds(exporter: Exporter) -> float:
    """How many logins it has not made because the secret is held, at the endpoint with the fewest."""
    return min(exporter.values("gmail_login_denials_total", denial="hold").values())


def test_four_daemons(site: Site) -> None:
    """One login at a time; a wrong secret is sent once by all of them together, and never again, after a crash too."""
    counting, path = Counting("right"), site.directory / "secret"
    server = site.serve(counting)
    write(path, "right")
    storage = f"--storage.path={site.directory / 'ledger.db'}"

    def use(secret: str, daemons: Sequence[Exporter]) -> None:
        """Replace the secret by a wrong one, and wait until each daemon has seen it at each endpoint, and is held."""
        write(path, secret)
        before = [holds(daemon) for daemon in daemons]
        for daemon, number in zip(daemons, before, strict=True):
            daemon.wait_for(lambda: counting.tried[secret])
            daemon.wait_for(partial(is_held, daemon))
            daemon.wait_for(partial(lambda daemon, number: holds(daemon) >= number + 3, daemon, number))

    with ExitStack() as stack:
        daemons = [
            Exporter(
                site.directory / f"{number}.log",
                config_of(site, number, server.port),
                storage,
                before=UNPLANNED,
            )
            for number in range(len(USERS))
        ]
        for daemon in daemons:
            stack.callback(daemon.__exit__, None, None, None)
            daemon.begin()  # all of them at once: they also create the file at once
        for daemon in daemons:
            daemon.wait_for_start()
        daemons[0].wait_for(lambda: counting.tried["right"] >= 6)
        for number in (0, 1, 2, 0):
            use(f"wrong {number}", daemons)
        before = counting.tried["right"]
        write(path, "right")
        daemons[1].wait_for(lambda: counting.tried["right"] > before + 2)
        daemons[1].kill()
        use("wrong 1", [daemons[0], *daemons[2:]])
        texts = [daemon.log_text() for daemon in daemons]
    assert counting.most == 1
    assert {secret: count for secret, count in counting.tried.items() if secret != "right"} == {
        f"wrong {number}": 1 for number in range(3)
    }
    for text in texts:
        assert "Traceback" not in text
        assert "level=error" not in text


def test_the_spellings_are_one_mailbox() -> None:
    """Else the test above would show nothing."""
    accounts = [Account(name="x", username=user) for user in USERS]
    assert {user_of(account) for account in accounts} == {"probe@gmail.com"}
    assert Mailbox("probe@gmail.com", frozenset({"127.0.0.1"}), tuple(accounts)).max_logins_per_day == 200
