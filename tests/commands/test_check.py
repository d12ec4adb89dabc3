"""`gmail-exporter check`: selection of endpoints, output and exit code."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from exporter.accounts.ledger import Ledger
from exporter.commands import check
from exporter.config.load import load
from exporter.model.outcome import Phase
from tests.commands.conftest import Run, Site
from tests.commands.terminal import Terminal, screen
from tests.examples import SENTINEL
from tests.servers.acts import say, silence
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap, Pop3
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.postfix import Postfix
from tests.servers.scripted import ScriptedServer, Session
from tests.waiting import PATIENCE

REFUSAL = b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
POP_OFF = say(b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n")
IN_MEMORY = "login budgets: in memory, of this command alone\n"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "outcome.schema.json").read_text("utf-8"))


class Meeting:
    """Counts concurrent clients; greets them once a number of them are connected, or after a moment."""

    does_handshake = True

    def __init__(self, wanted: int) -> None:
        self.here = self.most = 0
        self._wanted = wanted
        self._full = asyncio.Event()

    async def __call__(self, session: Session) -> None:
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here == self._wanted:
            self._full.set()
        if self._wanted > 1:
            await self._full.wait()
        await Imap()(session)
        self.here -= 1


def logins(server: ScriptedServer) -> int:
    """Return the number of logins at a scripted server."""
    return sum(received.count(b" AUTHENTICATE ") for received in server.received)


def lines_with(text: str, ran: str) -> list[str]:
    """Return the lines with this beginning."""
    return [line for line in ran.splitlines() if line.startswith(text)]


def test_all_is_well_on_real_servers(site: Site, run: Run, dovecot: Dovecot, postfix: Postfix) -> None:
    """Each endpoint of the configuration logs in: exit code 0, a row each, every phase, nothing on standard error."""
    site.account("ops", OPS_PASSWORD, OPS_USER)
    site.endpoint("imap", dovecot.imaps_port, account="ops", folders=["inbox", "sent"])
    site.endpoint("pop3", dovecot.pop3s_port, "pop3", account="ops")
    site.endpoint("smtps", postfix.smtps_port, "smtp", account="ops")
    site.endpoint("submission", postfix.submission_port, "smtp", security="starttls", account="ops")
    ran = run("check", "--storage.none")
    assert (ran.code, ran.err) == (0, IN_MEMORY)
    head, *rows = ran.out.splitlines()
    assert head.split() == ["endpoint", *Phase, "total", "security", "expires", "login"]
    assert [row.split()[:3] for row in rows] == [[name, "✔", "up"] for name in site.document["endpoints"]]
    assert all(row.endswith(("TLSv1.3   in 365 d  ok", "TLSv1.3   in 364 d  ok")) for row in rows)


def test_endpoints_by_name(site: Site, run: Run, dovecot: Dovecot) -> None:
    """Only those, in that order, each once."""
    for name in ("one", "two", "three"):
        site.endpoint(name, dovecot.imaps_port)
    ran = run("check", "three", "one", "three")
    assert ran.code == 0
    assert [row.split()[0] for row in ran.out.splitlines()[1:]] == ["three", "one"]


@pytest.mark.parametrize(
    ("address", "host", "port", "protocol"),
    [
        ("127.83.1.9:993", "127.83.1.9", 993, "imap"),
        ("127.83.1.9:110", "127.83.1.9", 110, "pop3"),
        ("[::ffff:127.83.1.9]:465", "::ffff:127.83.1.9", 465, "smtp"),
        ("127.83.1.9:25", "127.83.1.9", 25, "smtp"),
    ],
)
def test_an_address_without_a_configuration(
    run: Run, site: Site, address: str, host: str, port: int, protocol: str
) -> None:
    """The protocol follows from the port; IPv6 in brackets."""
    site.endpoint("imap", 1)
    ran = run("check", address, "--output=json")
    assert ran.code == 1
    (result,) = json.loads(ran.out)
    assert (result["endpoint"], result["host"], result["port"], result["protocol"]) == (address, host, port, protocol)
    assert (result["phase"], result["reason"]) == ("connect", "refused")
    assert f"✘ {address}  {address}" in run("check", address).out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imapp", 'there is no endpoint "imapp"; did you mean "imap"? (or name an address, HOST or HOST:PORT)'),
        ("zzz", 'there is no endpoint "zzz"; there are: imap, submission (or name an address, HOST or HOST:PORT)'),
        ("imap.gmail.com:994", "no protocol is known for this port, only for 993, 143, 995, 110, 465, 587, 25"),
        ("imap.gmail.com:", "must have a port from 1 to 65535"),
        ("imap.gmail.com:99999", "must have a port from 1 to 65535"),
        ("imap.gmail.com:٩٩٣", "must have a port from 1 to 65535"),
        ("::1:993", '"::1:993": an IPv6 address needs brackets: "[::1]:993"'),
        (":993", "the host must be"),
        ("[]:993", "the host must be"),
        ("https://mail.google.com", '"https://mail.google.com": HTTPS is no protocol of mail; name HOST:PORT'),
        (f"imaps://ops:{SENTINEL}@imap.gmail.com", "an address imaps://… must be without a user"),
        ("[imap.gmail.com]:993\x1b[31m", "\\u001b"),
    ],
)
def test_what_cannot_be_checked_is_a_usage_error(site: Site, run: Run, name: str, message: str) -> None:
    """One line with the reason, and with the name that was probably meant; nothing is probed."""
    site.endpoint("imap", 1)
    site.endpoint("submission", 1, "smtp")
    ran = run("check", "imap", name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("gmail-exporter: ")
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err


def test_an_address_with_its_protocol(run: Run, site: Site, dovecot: Dovecot) -> None:
    """On any port; the certificate is of an authority that the system does not know."""
    site.endpoint("imap", 1)
    ran = run(
        "check", f"imaps://localhost:{dovecot.imaps_port}", f"pop3s://localhost:{dovecot.pop3s_port}", "--output=json"
    )
    results = json.loads(ran.out)
    assert [(result["protocol"], result["port"], result["phase"]) for result in results] == [
        ("imap", dovecot.imaps_port, "tls"),
        ("pop3", dovecot.pop3s_port, "tls"),
    ]
    assert {result["reason"] for result in results} == {"certificate_untrusted"}


def test_a_host_alone(run: Run, site: Site) -> None:
    """It answers at none of its usual ports: those that clients use are told as down."""
    site.endpoint("imap", 1)
    ran = run("check", "127.83.1.9", "--output=json")
    assert ran.code == 1
    assert [(result["endpoint"], result["protocol"], result["reason"]) for result in json.loads(ran.out)] == [
        ("127.83.1.9:993", "imap", "refused"),
        ("127.83.1.9:995", "pop3", "refused"),
        ("127.83.1.9:465", "smtp", "refused"),
        ("127.83.1.9:587", "smtp", "refused"),
    ]
    assert "127.83.1.9: checked at 993, 995, 465, 587; no answer at 143, 110, 25\n" in ran.err


def test_failures_are_explained(site: Site, run: Run, authority: Authority) -> None:
    """Each with its reason, the blame, the text of the server and the remedy; exit code 1."""
    site.account("ops")
    site.account("pop", username="pop@gmail.com")
    site.endpoint("expired", site.serve(Imap(), context=authority.expired.context).port)
    site.endpoint("hanging", site.serve(Imap(at={"greeting": silence})).port, timeout="500ms")
    site.endpoint("refused", site.serve(Imap(refusal=REFUSAL)).port, account="ops")
    site.endpoint("sibling", site.serve(Imap()).port, account="ops")
    site.endpoint("pop-off", site.serve(Pop3(at={"folders": POP_OFF})).port, "pop3", account="pop")
    site.endpoint("nothing", 1)
    ran = run("check", "--storage.none")
    assert (ran.code, ran.err) == (1, IN_MEMORY)
    rows = {row.split()[0]: row for row in ran.out.splitlines()[1:7]}
    assert [row.split()[1:3] for row in rows.values()] == [
        ["✘", "down"],
        ["✘", "down"],
        ["!", "up"],
        ["!", "up"],
        ["!", "up"],
        ["✘", "down"],
    ]
    assert re.search(r"TLSv1.3 +\S+ (h|d) ago +-$", rows["expired"])
    assert rows["refused"].endswith("failed")
    assert rows["sibling"].endswith("held")
    assert rows["pop-off"].endswith("ok, folders failed")
    explained = dict(re.findall(r"^[✘!] (\S+)  \S+\n  reason +(\S.+)$", ran.out, re.MULTILINE))
    assert explained == {
        "expired": "certificate_expired in tls",
        "hanging": "timeout in greeting",
        "refused": "auth_invalid_credentials in login",
        "pop-off": "disabled_for_account in folders",
        "nothing": "refused in connect",
    }
    assert "  detail  NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\n" in ran.out
    assert "  fault   account: the mailbox" in ran.out
    seen = re.findall(r"^  evidence +(\S+ \S+ \S+ \S+) ", ran.out, re.MULTILINE)
    assert {"All that was sent", "The connection request was"} < set(seen)
    assert "! account ops  logins are held back at refused, sibling\n" in ran.out


def test_without_a_network_every_endpoint_is_down(run: Run, site: Site) -> None:
    """With one explanation for all of them, and exit code 1."""
    for name in ("imap", "pop3", "smtps"):
        site.endpoint(name, 1)
        site.document["endpoints"][name]["host"] = "nowhere.invalid"
    ran = run("check")
    assert ran.code == 1
    assert len(re.findall(r"✘ down", ran.out)) == 3
    assert len(lines_with("  reason    dns_", ran.out)) == 1
    assert "✘ imap, pop3, smtps  nowhere.invalid:1\n" in ran.out


def test_json_in_a_pipe(site: Site, run: Run, dovecot: Dovecot) -> None:
    """Valid by the documented schema, with and without failure, for each IP family; nothing else on standard output."""
    site.account("ops", OPS_PASSWORD, OPS_USER)
    site.account("bad", "wrong")
    site.endpoint("imap", dovecot.imaps_port, account="ops", folders=["inbox"])
    site.endpoint("pop3", dovecot.pop3s_port, "pop3", account="ops")
    site.endpoint("both", dovecot.imap_port, security="starttls", ip_family="both")
    site.endpoint("refused", site.serve(Imap(refusal=REFUSAL)).port, account="bad")
    site.endpoint("nothing", 1)
    ran = run("check", "--output=json", "--storage.none")
    assert (ran.code, ran.err) == (1, IN_MEMORY)
    assert ran.out.isascii()
    printed = json.loads(ran.out)
    for each in printed:
        Draft202012Validator(SCHEMA).validate(each)
        assert set(each) == set(SCHEMA["properties"])
    assert [each["endpoint"] for each in printed] == ["imap", "pop3", "both", "both", "refused", "nothing"]
    assert [each["login_held_by"] for each in printed] == [None, None, None, None, "hold", None]
    assert [each["next_login_at"] is None for each in printed] == [False, False, True, True, True, True]
    assert printed[0]["folders"][0]["messages"] is not None
    assert printed[1]["folders"][0]["bytes"] is not None
    assert printed[0]["dialogue"] is None


@pytest.mark.parametrize("output", ["table", "json"])
def test_the_dialogue_has_no_secret(site: Site, run: Run, output: str) -> None:
    """Also where the server sends it back."""
    site.account("ops")
    echo = Imap(refusal=b"NO [ALERT] you said " + SENTINEL.encode())
    site.endpoint("imap", site.serve(echo).port, account="ops")
    ran = run("check", "--verbose", f"--output={output}")
    assert ran.code == 1
    assert SENTINEL not in ran.out + ran.err
    assert "AUTHENTICATE PLAIN [redacted]" in ran.out
    assert "NO [ALERT] you said [redacted]" in ran.out
    if output == "table":
        assert re.search(r"^ +\d+ ms  C  a1 CAPABILITY$", ran.out, re.MULTILINE)
    else:
        (result,) = json.loads(ran.out)
        assert re.fullmatch(r"\d+\.\d{3} C: a1 CAPABILITY", result["dialogue"][1])


def test_two_runs_share_the_login_budget(site: Site, run: Run) -> None:
    """In a file: the second run does not log in, and prints when a login is due; --force logs in, with a warning."""
    server = site.serve(Imap())
    site.account("ops")
    site.endpoint("imap", server.port, account="ops")
    storage = f"--storage.path={site.directory / 'ledger.db'}"
    first, second = run("check", storage), run("check", storage)
    assert (first.code, second.code) == (0, 0)
    assert first.out.splitlines()[1].endswith("ok")
    assert re.search(r"due in 1[45] min$", second.out.splitlines()[1])
    assert logins(server) == 1
    forced = run("check", storage, "--force")
    assert forced.err == (
        "warning: --force logs in whatever the login budget says; the mail provider may lock the account\n"
        f"login budgets: {site.directory / 'ledger.db'}\n"
    )
    assert forced.out.splitlines()[1].endswith("ok")
    assert logins(server) == 2


def test_a_held_account_is_not_tried_again(site: Site, run: Run) -> None:
    """With the command that releases it, and exit code 1; as JSON, too. A new secret is tried at once."""
    server = site.serve(Imap(refusal=REFUSAL))
    secret = site.account("ops")
    site.endpoint("imap", server.port, account="ops")
    storage = f"--storage.path={site.directory / 'ledger.db'}"
    run("check", storage)
    held = run("check", storage)
    assert held.code == 1
    assert held.out.splitlines()[1].endswith("held")
    assert "! account ops  logins are held back at imap\n" in held.out
    shown = " ".join(held.out.split())
    assert f"accounts release {storage} --config.file={site.config} ops" in shown
    as_json = run("check", storage, "--output=json")
    assert as_json.code == 1
    assert [(each["ok"], each["login_held_by"]) for each in json.loads(as_json.out)] == [(True, "hold")]
    assert logins(server) == 1
    server.behave = Imap()
    secret.write_text("another", "utf-8")
    assert run("check", storage).code == 0
    assert logins(server) == 2


def test_force_without_an_account_gives_no_warning(site: Site, run: Run, dovecot: Dovecot) -> None:
    """No account has to be protected."""
    site.endpoint("imap", dovecot.imaps_port)
    assert run("check", "--force").err == ""


def test_endpoints_of_one_account_are_checked_one_after_the_other(site: Site, run: Run) -> None:
    """Each logs in, never two at the same time."""
    meeting = Meeting(1)
    server = site.serve(meeting)
    site.account("ops")
    for name in ("one", "two", "three"):
        site.endpoint(name, server.port, account="ops")
    assert run("check").code == 0
    assert meeting.most == 1
    assert logins(server) == 3


def test_other_endpoints_are_checked_together(site: Site, run: Run) -> None:
    """No client is greeted until all are connected; those of different accounts, too."""
    server = site.serve(Meeting(3))
    site.account("ops")
    site.account("other", username="other@gmail.com")
    site.endpoint("one", server.port, account="ops")
    site.endpoint("two", server.port, account="other")
    site.endpoint("three", server.port)
    assert run("check").code == 0


def test_a_ca_file_that_is_missing_is_a_failure_of_its_endpoint(site: Site, run: Run, dovecot: Dovecot) -> None:
    """Not of the command."""
    site.endpoint("imap", dovecot.imaps_port)
    copy = site.directory / "ca.pem"
    copy.write_bytes(site.authority.ca_file.read_bytes())
    site.document["endpoints"]["imap"]["tls"] = {"ca_file": str(copy)}
    config = load(site.config, {})
    copy.unlink()
    with Ledger() as ledger:
        assert check.run(config, [], check.CommandOptions(ledger, {})) == 1


def test_a_pipe_has_no_colour_and_no_progress(site: Site, dovecot: Dovecot) -> None:
    """Nothing on standard error, no control codes, no space at the end of a line, no line is wrapped."""
    site.endpoint("imap", dovecot.imaps_port)
    site.endpoint("nothing", 1)
    ran = site.spawn("check", environ={"TERM": "xterm-256color", "COLUMNS": "40"})
    assert (ran.code, ran.err) == (1, "")
    assert "\x1b" not in ran.out
    assert not re.search(r" $", ran.out, re.MULTILINE)
    facts = [line.strip() for line in lines_with("          ", ran.out)]
    assert [fact.split(" ", 1)[1] for fact in facts] == ["is this host itself: no network is in between."]


def test_a_closed_pipe_is_no_error(site: Site, run: Run) -> None:
    """As with `| head -1`: no traceback, and the exit code of SIGPIPE in a shell."""
    site.endpoint("nothing", 1)
    for arguments in (["check"], ["check", "--output=json"], ["config"]):
        process = subprocess.Popen(site.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()
        _, written = process.communicate(timeout=PATIENCE)
        assert (process.returncode, written) == (141, b"")


def test_a_full_disk_is_one_clear_line(site: Site) -> None:
    """With exit code 1."""
    site.endpoint("nothing", 1)
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(site.command("check"), stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    assert (ran.returncode, ran.stderr) == (1, b"gmail-exporter: cannot write: No space left on device\n")


def test_an_encoding_without_the_symbols_is_no_error(site: Site) -> None:
    """A question mark is printed in place of each."""
    site.endpoint("nothing", 1)
    ran = site.spawn("check", environ={"PYTHONIOENCODING": "ascii"})
    assert ran.out.splitlines()[1].startswith("nothing   ? down")


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_screen_of_a_terminal(site: Site, dovecot: Dovecot, columns: int) -> None:
    """Progress is shown and removed; colours; tables fit. At 120 columns a digit decides whether one table does."""
    site.account("ops", OPS_PASSWORD, OPS_USER)
    site.endpoint("imap", dovecot.imaps_port, account="ops", folders=["inbox"])
    site.endpoint("pop3", dovecot.pop3s_port, "pop3", account="ops")
    site.endpoint("nothing", 1)
    terminal = Terminal(site.command("check", "--storage.none"), columns)
    told, *lines = terminal.wait()
    assert told == IN_MEMORY.rstrip()
    assert terminal.code == 1
    assert "3/3" in terminal.written
    assert "\x1b[32m✔" in terminal.written
    assert max(map(len, lines)) <= columns
    in_one = "resolve" in lines[0]
    assert columns == 120 or not in_one
    assert lines[0].split()[-4:] == ["total", "security", "expires", "login"]
    assert [line.split()[0] for line in lines[:4]] == ["endpoint", "imap", "pop3", "nothing"]
    assert any(line.startswith("times in ms") for line in lines) is not in_one
    assert in_one or lines[5].startswith("times in ms")
    assert not any("/3" in line or "━" in line for line in lines)


def test_no_color_is_obeyed(site: Site) -> None:
    """On a terminal, too, there is no colour and no bold text."""
    site.endpoint("nothing", 1)
    terminal = Terminal(site.command("check"), 100, {"NO_COLOR": "1"})
    assert terminal.wait()[1].startswith("nothing   ✘ down")
    assert not re.search(r"\x1b\[[\d;]*m", terminal.written)


def test_progress_names_the_steps_under_way_and_ctrl_c_ends_it(site: Site) -> None:
    """With exit code 130, an empty screen and no traceback."""
    site.endpoint("hanging", site.serve(Imap(at={"greeting": silence})).port, timeout="25s")
    site.endpoint("nothing", 1)
    terminal = Terminal(site.command("check"), 80)
    terminal.wait_for("1/2")
    assert any(re.search(r"1/2 .*hanging$", line) for line in screen(terminal.written))
    terminal.interrupt()
    assert [line for line in terminal.wait() if line] == []
    assert terminal.code == 130
