"""`gmail-exporter doctor`: one mailbox, step by step, up to the first cause."""

from __future__ import annotations

import asyncio
import json
import smtplib
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from exporter.config.dump import dump
from exporter.model.diagnosis import Result, Step
from tests.commands.conftest import Ran, Run, Site
from tests.commands.terminal import Terminal
from tests.commands.test_check import logins
from tests.deliveries.conftest import Lab, lab
from tests.examples import SENTINEL
from tests.servers.acts import say, silence
from tests.servers.dialogues import Imap, Pop3, Smtp
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.postfix import Postfix
from tests.servers.scripted import ScriptedServer
from tests.waiting import PATIENCE

__all__ = ["lab"]  # a fixture

ADDRESS = "probe@gmail.com"
FOLDERS = tuple(
    b'(\\HasNoChildren %s) "/" "%s"' % folder
    for folder in (
        (b"", b"INBOX"),
        (b"\\Sent", b"[Gmail]/Sent Mail"),
        (b"\\Drafts", b"[Gmail]/Drafts"),
        (b"\\Trash", b"[Gmail]/Trash"),
        (b"\\Junk", b"[Gmail]/Spam"),
    )
)
REFUSAL = b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
IMAP_OFF = b"NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page. (Failure)"
BUSY = b"421 4.7.0 Try again later, closing connection.\r\n"
POP_OFF = say(b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n")


class Mailbox:
    """Three scripted servers of one mailbox, any step of which a test breaks."""

    def __init__(self, site: Site, run: Run) -> None:
        self.site = site
        self.run = run
        self.servers: dict[str, ScriptedServer] = {}
        site.account("ops")

    def serve(self, imap: Imap | None = None, pop3: Pop3 | None = None, smtp: Smtp | None = None) -> None:
        """Start the servers."""
        for name, behave in (
            ("imap", imap or Imap(folders=FOLDERS)),
            ("pop3", pop3 or Pop3()),
            ("smtp", smtp or Smtp()),
        ):
            self.servers[name] = server = self.site.serve(behave)
            self.site.endpoint(name, server.port, name, account="ops", timeout="2s")

    def examine(self, *more: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the findings."""
        ran = self.run("doctor", ADDRESS, "--account=ops", "--storage.none", "--output=json", *more)
        assert SENTINEL not in ran.out + ran.err
        return ran.code, json.loads(ran.out)


@pytest.fixture
def mailbox(site: Site, run: Run) -> Mailbox:
    """A mailbox without servers."""
    return Mailbox(site, run)


def steps(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each step with its result."""
    return [(one["step"], one["result"]) for one in document["findings"]]


def test_all_is_well_on_real_servers(site: Site, run: Run, dovecot: Dovecot, postfix: Postfix) -> None:
    """Every step is made, in order; the settings are checked, the folders counted, the newest message has an age."""
    with smtplib.LMTP(*dovecot.lmtp) as lmtp:
        lmtp.sendmail("ops@example.com", [OPS_USER], b"Subject: new\r\n\r\nHello.\r\n")
    site.account("ops", OPS_PASSWORD, OPS_USER)
    site.endpoint("imap", dovecot.imaps_port, account="ops")
    site.endpoint("pop3", dovecot.pop3s_port, "pop3", account="ops")
    site.endpoint("submission", postfix.submission_port, "smtp", security="starttls", account="ops")
    report = site.directory / "report.md"
    ran = run("doctor", OPS_USER, "--account=ops", "--storage.none", f"--report={report}")
    assert ran.code == 0, ran.out
    lines = [line for line in ran.out.splitlines() if line[:1] in "✔!-✘" and line]
    assert len(lines) == len(Step) - 1  # no delivery was asked for
    assert "The login succeeds: IMAP, POP, SMTP" in ran.out
    assert f"outgoing, SMTP: localhost, port {postfix.submission_port}, STARTTLS" in ran.out
    assert "The newest message of the inbox came" in ran.out
    assert "Nothing is wrong up to the mailbox" in ran.out
    written = report.read_text("utf-8")
    assert [line for line in written.splitlines() if line.startswith("## ")] == [
        f"## {Result.WELL.sign} {step.heading}" for step in Step if step is not Step.DELIVERY
    ]
    assert OPS_PASSWORD not in written + ran.out + ran.err


def test_login_is_refused(mailbox: Mailbox) -> None:
    """The first refused login ends all: no other protocol logs in with a wrong password."""
    mailbox.serve(Imap(refusal=REFUSAL))
    code, document = mailbox.examine()
    assert (code, document["cause"]) == (1, "login")
    assert steps(document)[-1] == ("login", "cause")
    assert "app password" in document["remedy"]
    assert document["blame"] == "account"
    assert [logins(server) for server in mailbox.servers.values()] == [1, 0, 0]


@pytest.mark.parametrize(
    ("broken", "step", "words"),
    [
        ({"imap": Imap(at={"tls": silence})}, "tls", "our network is fine, the IMAP server localhost:"),
        ({"pop3": Pop3(at={"greeting": silence})}, "status", "accepts connections and then says nothing"),
        ({"smtp": Smtp(at={"capability": say(BUSY)})}, "status", "Try again later"),
        ({"imap": Imap(refusal=IMAP_OFF)}, "switches", "switched off"),
        ({"imap": Imap(folders=FOLDERS[:2])}, "folders", "not visible"),
    ],
)
def test_broken_step(mailbox: Mailbox, broken: dict[str, Any], step: str, words: str) -> None:
    """What is broken is the cause, at its step, with what the server said; nothing after it is told."""
    mailbox.serve(**broken)
    code, document = mailbox.examine()
    assert (code, document["cause"]) == (1, step), document
    assert words in json.dumps(document["findings"][-1])
    assert document["remedy"]
    assert all(result != "cause" for _, result in steps(document)[:-1])


def test_port_is_closed(mailbox: Mailbox) -> None:
    """Nobody listens."""
    mailbox.serve()
    mailbox.site.endpoint("imap", 1, account="ops")
    code, document = mailbox.examine()
    assert (code, document["cause"]) == (1, "ports")
    assert "refuses connections" in document["sentence"]


def test_name_is_unknown(mailbox: Mailbox) -> None:
    """The name of a server is not in the DNS."""
    mailbox.serve()
    mailbox.site.document["endpoints"]["imap"]["host"] = "imap.invalid"
    code, document = mailbox.examine()
    assert (code, document["cause"]) == (1, "dns")
    assert document["sentence"] == "imap.invalid: its name is not in the DNS."  # nobody is named: it is not known
    assert document["remedy"].startswith("This host's resolver does not know the name: check the spelling")
    assert document["remedy"].endswith(" Compare from another network.")


def test_certificate_is_not_trusted(mailbox: Mailbox) -> None:
    """Its authority is unknown here: the password goes nowhere."""
    mailbox.serve()
    del mailbox.site.document["endpoints"]["smtp"]["tls"]
    code, document = mailbox.examine()
    assert (code, document["cause"]) == (1, "tls")
    assert all(logins(server) == 0 for server in mailbox.servers.values())


def test_pop_is_off(mailbox: Mailbox) -> None:
    """Many use IMAP alone: that POP is off is told, and the walk goes on."""
    mailbox.serve(pop3=Pop3(at={"folders": POP_OFF}))
    code, document = mailbox.examine()
    assert (code, document["cause"]) == (0, None), document
    assert ("switches", "note") in steps(document)
    assert "POP is switched off; IMAP and SMTP are on" in json.dumps(document)


def test_old_mail(mailbox: Mailbox) -> None:
    """Nothing new for days is worth a word."""
    mailbox.serve(Imap(folders=FOLDERS, received=b" 1-Jan-2020 00:00:00 +0000"))
    code, document = mailbox.examine()
    assert code == 0
    assert document["findings"][-1]["result"] == "note"
    assert "2020-01-01 00:00:00 UTC" in document["findings"][-1]["evidence"]


def test_held_login(mailbox: Mailbox) -> None:
    """A secret that was refused is not sent again, and it is said why."""
    storage = f"--storage.path={mailbox.site.directory / 'ledger.db'}"
    mailbox.serve(Imap(refusal=REFUSAL))
    command = ("doctor", ADDRESS, "--account=ops", storage, "--output=json")
    assert mailbox.run(*command).code == 1
    again = json.loads(mailbox.run(*command).out)
    assert logins(mailbox.servers["imap"]) == 1
    assert ("login", "left_out") in steps(again)
    assert "not sent again" in json.dumps(again)


def test_without_a_password(mailbox: Mailbox) -> None:
    """Without a terminal nobody can be asked: everything up to the login is told."""
    mailbox.serve()
    ran = mailbox.run("doctor", ADDRESS, "--server=localhost", "--storage.none", "--output=json")
    assert ran.code in (0, 1)
    assert json.loads(ran.out)["findings"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), '"nobody": must be an address such as me@gmail.com'),
        (("me@-",), '"me@-": the domain must be'),
        (("me@gmail.com", "--account=other"), 'there is no account "other"; there are: ops'),
        (("me@gmail.com", "--account=ops"), 'the account "ops" is that of "probe@gmail.com", not of "me@gmail.com"'),
        (("me@gmail.com", "--account=ops", "--password-file=x"), "--account and --password-file are both given"),
        (("me@example.com", "--server=a b"), '--server "a b": the host must be a host name without spaces'),
    ],
)
def test_usage(mailbox: Mailbox, arguments: tuple[str, ...], message: str) -> None:
    """What cannot be used is said before anything is contacted."""
    mailbox.serve()
    ran = mailbox.run("doctor", *arguments, "--storage.none")
    assert ran.code == 2
    assert f"gmail-exporter: {message}" in ran.err


def test_report_cannot_be_written(mailbox: Mailbox) -> None:
    """The place is named."""
    mailbox.serve()
    ran = mailbox.run("doctor", ADDRESS, "--account=ops", "--storage.none", "--report=/nowhere/report.md")
    assert ran.code == 2
    assert "--report /nowhere/report.md: No such file or directory" in ran.err


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal(mailbox: Mailbox, columns: int) -> None:
    """A line a step, then the cause in one sentence, its evidence and the remedy; nothing is too wide."""
    mailbox.serve(Imap(refusal=REFUSAL))
    command = mailbox.site.command("doctor", ADDRESS, "--account=ops", "--storage.none")
    terminal = Terminal(command, columns)
    lines = terminal.wait()
    assert terminal.code == 1
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("✘") for line in lines)
    assert any(line.startswith("What to do: ") for line in lines)


async def test_send(lab: Lab) -> None:
    """With `--send`, a delivery of the account is made last; without one that is of the account, it is said before."""
    delivery = lab.delivery()
    config = replace(lab.config, deliveries={delivery.name: delivery})
    file = lab.directory / "gmail.yml"
    file.write_text(dump(config), "utf-8")
    flags = (f"--config.file={file}", f"--storage.path={lab.directory / 'commands.db'}")

    async def call(*arguments: str) -> Ran:
        argv = [sys.executable, "-m", "exporter", *flags, "doctor", *arguments]
        ended = await asyncio.to_thread(subprocess.run, argv, capture_output=True, timeout=PATIENCE, check=False)
        return Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    account = delivery.recipient
    ran = await call(account.username, f"--account={account.name}", "--send", "--output=json")
    assert ran.code == 0, ran.out + ran.err
    last = json.loads(ran.out)["findings"][-1]
    assert (last["step"], last["result"]) == ("delivery", "well")
    assert "Found in the inbox" in last["text"]
    ran = await call(account.username, "--send")
    assert (ran.code, ran.out) == (2, "")
    assert "--send needs --account NAME" in ran.err
