"""`gmail-exporter accounts`: trying an account out, and releasing one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.commands.conftest import Run, Site
from tests.commands.test_check import IN_MEMORY
from tests.examples import SENTINEL
from tests.servers.dialogues import Imap
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.exporter import Exporter
from tests.servers.postfix import Postfix
from tests.servers.tokens import TokenServer, error
from tests.waiting import PATIENCE

REFUSAL = b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"


@pytest.fixture
def ops(site: Site, dovecot: Dovecot, postfix: Postfix) -> Site:
    """An account with an app password, on the real servers."""
    site.account("ops", OPS_PASSWORD, OPS_USER)
    site.endpoint("imap", dovecot.imaps_port, account="ops", folders=["inbox", "trash"])
    site.endpoint("pop3", dovecot.pop3s_port, "pop3", account="ops")
    site.endpoint("smtps", postfix.smtps_port, "smtp", account="ops")
    site.endpoint("unrelated", 1)
    return site


def oauth(site: Site, tokens: TokenServer, kind: str) -> None:
    """Add the account "workspace" with one kind of OAuth, its secrets in files."""
    if kind == "service_account":
        key = site.directory / "key.json"
        key.write_text(json.dumps(tokens.service_account(OPS_USER)), "utf-8")
        credential: dict[str, object] = {"service_account": {"file": str(key)}}
    else:
        client = tokens.client(OPS_USER)
        files = {"client_secret": client.client_secret, "refresh_token": client.refresh_token}
        for name, secret in files.items():
            (site.directory / name).write_text(secret, "utf-8")
        references = {name: {"file": str(site.directory / name)} for name in files}
        credential = {"oauth2": {"client_id": client.client_id, "token_uri": tokens.token_uri, **references}}
    site.document["accounts"]["workspace"] = {"username": OPS_USER, **credential}


def test_an_app_password(ops: Site, run: Run) -> None:
    """The file of the secret, a row for each endpoint of the account, and its folders with the numbers of messages."""
    ran = run("accounts", "test", "ops", "--storage.none")
    assert (ran.code, ran.err) == (0, IN_MEMORY)
    head, _, secret, _, _, *rows = ran.out.splitlines()
    assert head == f"account ops  {OPS_USER}, app password"
    assert secret == f"✔ secret  the file {ops.directory / 'ops.secret'}"
    assert [row.split()[0] for row in rows[:3]] == ["imap", "pop3", "smtps"]
    assert all(row.endswith("ok") for row in rows[:3])
    assert rows[4].split() == ["endpoint", "folder", "messages", "unseen", "size"]
    assert any(re.fullmatch(r"imap +trash +visible +\d+ +\d+ +-", row) for row in rows)
    assert any(re.fullmatch(r"pop3 +inbox +visible +\d+ +- +\d\S* \w+", row) for row in rows)
    assert any(re.fullmatch(r"imap: .+ of .+ used \(\d+%\)", row) for row in rows)


def test_a_folder_that_is_hidden_from_clients(site: Site, run: Run) -> None:
    """With its name, and an explanation."""
    inbox = (b'(\\HasNoChildren) "/" "INBOX"',)
    site.account("ops")
    site.endpoint("imap", site.serve(Imap(folders=inbox)).port, account="ops", folders=["inbox", "trash"])
    ran = run("accounts", "test", "ops")
    assert ran.code == 1
    assert re.search(r"^imap +trash +hidden from mail clients +- +- +-$", ran.out, re.MULTILINE)
    assert "  reason  folder_hidden in folders\n" in ran.out


def test_a_missing_secret(ops: Site, run: Run, dovecot: Dovecot) -> None:
    """With its file and the remedy; no server gets a connection."""
    before = dovecot.login_count()
    (ops.directory / "ops.secret").unlink()
    ran = run("accounts", "test", "ops")
    assert ran.code == 1
    assert ran.out.splitlines()[2:5] == [
        "✘ secret",
        "  reason  credential_unavailable",
        "  fault   this exporter: the exporter's configuration or host, or a fault of its own",
    ]
    assert f"  detail  the file {ops.directory / 'ops.secret'} cannot be read: No such file or directory\n" in ran.out
    assert "  remedy  " in ran.out
    assert dovecot.login_count() == before


def test_a_refused_password_is_tried_once(ops: Site, run: Run, dovecot: Dovecot) -> None:
    """At the first endpoint; at the others the login is held back, with the reason."""
    (ops.directory / "ops.secret").write_text(SENTINEL, "utf-8")
    before = dovecot.login_count()
    ran = run("accounts", "test", "ops")
    assert ran.code == 1
    assert dovecot.login_count() == before + 1
    assert [row.split()[-1] for row in ran.out.splitlines()[5:8]] == ["failed", "held", "held"]
    assert "! account ops  logins are held back at imap, pop3, smtps\n" in ran.out
    assert SENTINEL not in ran.out


def test_a_login_that_is_not_due_fails_the_command(ops: Site, run: Run) -> None:
    """In a second run within the login interval, with exit code 1; --force logs in."""
    storage = f"--storage.path={ops.directory / 'ledger.db'}"
    assert run("accounts", "test", "ops", storage).code == 0
    again = run("accounts", "test", "ops", storage)
    assert again.code == 1
    assert again.out.endswith("! no login is due at imap, pop3, smtps: wait, or try it now with --force\n")
    forced = run("accounts", "test", "ops", storage, "--force")
    assert forced.code == 0
    assert forced.err.startswith("warning: --force ")
    assert forced.err.endswith(f"login budgets: {ops.directory / 'ledger.db'}\n")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("oauth2", "OAuth 2.0 with a refresh token"), ("service_account", "OAuth 2.0 with a service account")],
)
def test_oauth(site: Site, tokens: TokenServer, dovecot: Dovecot, kind: str, words: str) -> None:
    """At a token endpoint whose authority SSL_CERT_FILE names; no secret is printed."""
    oauth(site, tokens, kind)
    site.endpoint("imap", dovecot.imaps_port, account="workspace", folders=["inbox"])
    site.endpoint("pop3", dovecot.pop3s_port, "pop3", account="workspace")
    environ = {"SSL_CERT_FILE": str(tokens.ca_file)}
    ran = site.spawn("accounts", "test", "workspace", "--storage.none", environ=environ)
    assert (ran.code, ran.err) == (0, IN_MEMORY)
    lines = ran.out.splitlines()
    assert lines[0] == f"account workspace  {OPS_USER}, {words}"
    assert lines[2].startswith("✔ secret  the file ")
    assert re.fullmatch(r"✔ token   good for (59|60) min", lines[3])
    assert [line.split()[0] for line in lines[6:8]] == ["imap", "pop3"]
    assert all(line.endswith("ok") for line in lines[6:8])
    for secret in site.directory.iterdir():
        if secret.suffix != ".yml":
            assert secret.read_text("utf-8") not in ran.out


def test_a_revoked_grant(site: Site, tokens: TokenServer, dovecot: Dovecot) -> None:
    """With the reason of the token endpoint and the remedy; no mail server gets a connection."""
    oauth(site, tokens, "oauth2")
    site.endpoint("imap", dovecot.imaps_port, account="workspace")
    tokens.script(error("invalid_grant", "Token has been expired or revoked."), None)
    before = dovecot.login_count()
    ran = site.spawn("accounts", "test", "workspace", environ={"SSL_CERT_FILE": str(tokens.ca_file)})
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[3:6] == [
        "✘ token",
        "  reason  oauth_grant_revoked",
        "  fault   OAuth grant: the OAuth client or its grant",
    ]
    assert "consent again" in lines[-1]
    assert len(tokens.requests) == 1
    assert dovecot.login_count() == before


@pytest.mark.parametrize("action", ["test", "release"])
def test_an_unknown_account(ops: Site, run: Run, action: str) -> None:
    """The error names the account that was probably meant, that of a user name, or all accounts."""
    user = OPS_USER.upper()
    assert run("accounts", action, user).err == f'gmail-exporter: "{user}" is a user name: name its account, "ops"\n'
    assert run("accounts", action, "opps").err == ('gmail-exporter: there is no account "opps"; did you mean "ops"?\n')
    ran = run("accounts", action, "zzzz")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == 'gmail-exporter: there is no account "zzzz"; there are: ops\n'
    ops.document = {"endpoints": {"imap": ops.document["endpoints"]["unrelated"]}}
    assert run("accounts", action, "ops").err == (
        'gmail-exporter: there is no account "ops": the configuration has none\n'
    )


def test_an_account_that_no_endpoint_uses(ops: Site, run: Run) -> None:
    """It cannot be tried out."""
    ops.account("idle")
    ran = run("accounts", "test", "idle")
    assert (ran.code, ran.out) == (2, "")
    assert "no endpoint logs in with the account" in ran.err


def test_release_needs_the_file_of_budgets(ops: Site, run: Run) -> None:
    """Another process has no access to budgets in memory."""
    ran = run("accounts", "release", "ops", "--storage.none")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "gmail-exporter: there is no file of login budgets; name that of the daemon with --storage.path, or ask a "
        "daemon that has none: its page says how\n"
    )


@pytest.mark.parametrize("command", [("check",), ("accounts", "test", "ops"), ("accounts", "release", "ops")])
def test_a_file_that_cannot_be_used(ops: Site, run: Run, dovecot: Dovecot, command: tuple[str, ...]) -> None:
    """No login is made, and the error says which file and why; endpoints are checked all the same."""
    path = ops.directory / "ledger.db"
    path.write_text("this is no database, " * 100, "utf-8")
    del ops.document["endpoints"]["unrelated"]
    before = dovecot.login_count()
    ran = run(*command, f"--storage.path={path}")
    assert ran.code == (2 if "release" in command else 1)
    assert f"{path}: file is not a database\n" in ran.err
    assert dovecot.login_count() == before
    if "release" not in command:
        assert re.findall(r"^(\w+) +! up .* storage$", ran.out, re.MULTILINE) == ["imap", "pop3", "smtps"]
        assert "  reason  the login budget cannot be stored\n" in ran.out
        assert f"  remedy  Let this user write {path}: logins are resumed without any other action.\n" in ran.out
        assert "gmail-exporter accounts release" not in ran.out


def test_accounts_of_one_mailbox_are_released_together(site: Site, run: Run) -> None:
    """The message names the others."""
    server = site.serve(Imap(refusal=REFUSAL))
    for name in ("one", "two", "three"):
        site.account(name, username=f"pro.be+{name}@gmail.com")
        site.endpoint(name, server.port, account=name)
    storage = f"--storage.path={site.directory / 'ledger.db'}"
    assert run("check", storage).code == 1
    released = run("accounts", "release", "two", storage)
    assert released.code == 0
    assert released.out.startswith("two is released, and so are one, three, of the same mailbox: one login is made, ")
    server.behave = Imap()
    assert [line.split()[-1] for line in run("check", storage).out.splitlines()[1:4]] == ["held", "ok", "ok"]
    assert run("check", storage).code == 0


def test_release(site: Site, run: Run) -> None:
    """An account that is not held gets a message; one that is may log in once, and is held again if that is refused."""
    server = site.serve(Imap(refusal=REFUSAL))
    site.account("ops")
    for name in ("first", "second", "third"):
        site.endpoint(name, server.port, account="ops")
    storage = f"--storage.path={site.directory / 'ledger.db'}"
    told = f"login budgets: {site.directory / 'ledger.db'}\n"
    unknown = run("accounts", "release", "ops", storage)
    assert (unknown.code, unknown.err) == (1, told)
    assert unknown.out == "ops is not held: there is nothing to release.\n"
    assert run("check", storage).code == 1
    assert run("check", storage).out.splitlines()[1].endswith("held")
    released = run("accounts", "release", "ops", storage)
    assert (released.code, released.err) == (0, told)
    assert released.out.startswith("ops is released: one login is made, with the same secret too, at the next probe ")
    assert run("accounts", "release", "ops", storage).out.startswith("ops is released already: ")
    once = run("check", storage)
    assert [line.split()[-1] for line in once.out.splitlines()[1:4]] == ["held", "failed", "held"]
    early = run("accounts", "release", "ops", storage)
    assert early.code == 1
    assert re.search(r"The next release is possible in (29|30) min, at 20", early.out)
    server.behave = Imap()
    assert [line.split()[-1] for line in run("check", storage).out.splitlines()[1:4]] == ["held", "held", "held"]


def test_the_command_that_is_shown_works(site: Site, tmp_path: Path) -> None:
    """Typed into a shell as it is printed, with the flags in force."""
    server = site.serve(Imap(refusal=REFUSAL))
    site.account("ops")
    site.endpoint("imap", server.port, account="ops")
    held = site.spawn("check", f"--storage.path={tmp_path / 'the ledger.db'}", environ={"COLUMNS": "500"})
    (command,) = re.findall(r"^ +(\S.* accounts release .*)$", held.out, re.MULTILINE)
    ran = subprocess.run(
        ["sh", "-c", command], capture_output=True, encoding="utf-8", cwd="/", timeout=PATIENCE, check=False
    )
    assert ran.stdout.startswith("ops is released: ")
    assert ran.returncode == 0


def test_four_processes_at_once(site: Site) -> None:
    """Ask for a release: one of them gets it."""
    server = site.serve(Imap(refusal=REFUSAL))
    site.account("ops")
    site.endpoint("imap", server.port, account="ops")
    storage = f"--storage.path={site.directory / 'ledger.db'}"
    assert site.spawn("check", storage).code == 1
    command = site.command("accounts", "release", "ops", storage)
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(4)]
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1, 1, 1]
    assert sum(output.startswith(b"ops is released: ") for output in outputs) == 1
    assert sum(output.startswith(b"ops is released already: ") for output in outputs) == 3


def test_a_running_daemon_notices_a_release(site: Site, run: Run, tmp_path: Path) -> None:
    """The account logs in at the next probe whose interval is over."""
    server = site.serve(Imap(refusal=REFUSAL))
    site.account("ops")
    site.document["defaults"] = {"interval": "1s", "timeout": "900ms", "login_interval": "1s"}
    site.endpoint("imap", server.port, account="ops")
    site.endpoint("again", server.port, account="ops")
    storage = f"--storage.path={site.directory / 'ledger.db'}"
    with Exporter(tmp_path / "log", site.config, storage) as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_login_suspended") == {"imap": 1.0, "again": 1.0})
        assert sum(exporter.values("gmail_logins_total", result="failure").values()) == 1
        server.behave = Imap()
        assert run("accounts", "release", "ops", storage).code == 0
        exporter.wait_for(lambda: 1.0 in exporter.values("gmail_check_success", check="login").values())
        exporter.wait_for(lambda: exporter.values("gmail_login_suspended") == {"imap": 0.0, "again": 0.0})
        assert sum(exporter.values("gmail_logins_total", result="failure").values()) == 1
