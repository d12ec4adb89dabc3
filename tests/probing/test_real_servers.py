"""Probes of a real Dovecot and a real Postfix: every protocol, every kind of security, every kind of login."""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest

from exporter.model.outcome import Folder, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily, MechanismChoice, Protocol, Role, Security, Tls
from exporter.probing.dialogue import Credential
from exporter.probing.probe import Login, probe
from exporter.probing.resolve import Resolver
from tests.probing.conftest import HAS_IPV6
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_PASSWORD, PROBE_USER, QUOTA
from tests.servers.postfix import CLIENT_NAME
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # where the daemon runs

# Protocol, security, and the port's name.
ENDPOINTS = {
    "imaps": ("imap", "tls", "imaps_port"),
    "imap": ("imap", "starttls", "imap_port"),
    "pop3s": ("pop3", "tls", "pop3s_port"),
    "pop3": ("pop3", "starttls", "pop3_port"),
    "smtps": ("smtp", "tls", "smtps_port"),
    "submission": ("smtp", "starttls", "submission_port"),
}
STRICT = {"strict": ("smtp", "starttls", "strict_port")}
ACCOUNTS = {"probe": Credential(PROBE_USER, PROBE_PASSWORD), "ops": Credential(OPS_USER, OPS_PASSWORD)}
SESSION = {
    "tls": ["resolve", "connect", "tls", "greeting", "capability"],
    "starttls": ["resolve", "connect", "greeting", "capability", "starttls", "tls"],
}

RunProbe = Callable[..., Awaitable[Outcome]]


@pytest.fixture
async def run_probe(authority: Authority, dovecot: Dovecot, postfix: Postfix) -> AsyncIterator[RunProbe]:
    """Call it with an endpoint's name to probe that."""
    resolver = Resolver()

    async def run_probe(name: str, login: Login = None, **changes: Any) -> Outcome:
        protocol, security, port = {**ENDPOINTS, **STRICT}[name]
        endpoint = Endpoint(
            name=name,
            protocol=Protocol(protocol),
            host="localhost",
            port=getattr(postfix if protocol == "smtp" else dovecot, port),
            security=Security(security),
            tls=Tls(ca_file=authority.ca_file),
            timeout=PATIENCE,
            **changes,
        )
        return await probe(Target(endpoint, endpoint.ip_family), resolver, login)

    yield run_probe
    await resolver.close()


def found(outcome: Outcome) -> tuple[Phase, Reason, str]:
    """The phase, the reason and the detail of an outcome."""
    return outcome.phase, outcome.reason, outcome.detail


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("mechanism", [MechanismChoice.AUTO, MechanismChoice.PLAIN, MechanismChoice.LOGIN])
@pytest.mark.parametrize("account", ACCOUNTS)
async def test_good_login(
    run_probe: RunProbe, dovecot: Dovecot, name: str, mechanism: MechanismChoice, account: str
) -> None:
    """Each mechanism logs in at each endpoint, also with quotes, backslash, space and non-ASCII letters."""
    login = ACCOUNTS[account]
    logins = dovecot.login_count(login.username, accepted=True)
    outcome = await run_probe(name, login, mechanism=mechanism)
    assert found(outcome) == (Phase.LOGOUT, Reason.OK, "")
    protocol, security, _ = ENDPOINTS[name]
    assert list(outcome.phases) == [
        *SESSION[security], "login", *([] if protocol == "smtp" else ["folders"]), "logout"
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in outcome.phases.values())
    assert outcome.observed.login_attempted
    assert outcome.observed.logout is None
    assert outcome.observed.tls is not None
    assert outcome.observed.tls.version == "TLSv1.3"
    assert dovecot.login_count(login.username, accepted=True) == logins + 1


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("mechanism", [MechanismChoice.PLAIN, MechanismChoice.LOGIN])
async def test_bad_login(run_probe: RunProbe, dovecot: Dovecot, name: str, mechanism: MechanismChoice) -> None:
    """A wrong password is refused with the server's text after one login, and the endpoint is up."""
    logins = dovecot.login_count()
    outcome = await run_probe(name, Credential(PROBE_USER, "wrong"), mechanism=mechanism)
    assert found(outcome)[:2] == (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
    assert "uthentication failed" in outcome.detail
    assert outcome.up
    assert outcome.observed.login_attempted
    assert outcome.observed.logout is None
    assert dovecot.login_count() == logins + 1


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_no_login(run_probe: RunProbe, dovecot: Dovecot, name: str) -> None:
    """Without a login the session ends after the capabilities, and the server has no login in its log."""
    logins = dovecot.login_count()
    outcome = await run_probe(name)
    assert found(outcome) == (Phase.LOGOUT, Reason.OK, "")
    assert list(outcome.phases) == [*SESSION[ENDPOINTS[name][1]], "logout"]
    assert outcome.observed.capabilities
    assert not outcome.observed.login_attempted
    assert dovecot.login_count() == logins


async def test_exchange_port(
    run_probe: RunProbe, postfix: Postfix, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port for other servers offers STARTTLS and no login: a probe with a login reports that, and tries none."""
    monkeypatch.setitem(ENDPOINTS, "mx", ("smtp", "starttls", "smtp_port"))
    assert found(await run_probe("mx")) == (Phase.LOGOUT, Reason.OK, "")
    logins = dovecot.login_count()
    outcome = await run_probe("mx", ACCOUNTS["ops"])
    assert found(outcome)[:2] == (Phase.LOGIN, Reason.LOGIN_MECHANISM_UNAVAILABLE)
    assert not outcome.observed.login_attempted
    assert dovecot.login_count() == logins


@pytest.mark.parametrize("name", ["imaps", "imap"])
async def test_folders(run_probe: RunProbe, name: str) -> None:
    """Folders are found by their role; an empty one has no messages."""
    roles = (Role.INBOX, Role.SENT, Role.TRASH, Role.SPAM, Role.DRAFTS)
    outcome = await run_probe(name, ACCOUNTS["ops"], folders=roles)
    assert outcome.ok
    assert [folder.role for folder in outcome.observed.folders] == list(roles)
    assert all(folder.visible for folder in outcome.observed.folders)
    assert [folder.messages for folder in outcome.observed.folders[1:]] == [0, 0, 0, 0]


async def test_quota(run_probe: RunProbe) -> None:
    """IMAP has the used and the allowed storage, and the capabilities after login."""
    observed = (await run_probe("imaps", ACCOUNTS["ops"])).observed
    assert observed.quota is not None
    assert observed.quota.limit == QUOTA
    assert 0 <= observed.quota.used < QUOTA
    assert "QUOTA" in observed.login_capabilities
    assert "QUOTA" not in observed.capabilities


async def test_hidden_folder(run_probe: RunProbe) -> None:
    """A folder that the server does not have is reported as hidden; the others are still reported."""
    outcome = await run_probe("imaps", ACCOUNTS["ops"], folders=(Role.SENT, Role.STARRED))
    assert found(outcome) == (Phase.FOLDERS, Reason.FOLDER_HIDDEN, "not visible: starred")
    assert outcome.observed.folders == (
        Folder(Role.SENT, visible=True, messages=0, unseen=0),
        Folder(Role.STARRED, visible=False, messages=None),
    )
    assert outcome.up


async def test_messages_are_counted(
    run_probe: RunProbe, dovecot: Dovecot, postfix: Postfix, authority: Authority
) -> None:
    """A message that arrives is counted, by IMAP and by POP3."""

    async def inbox(name: str) -> int | None:
        roles = (Role.INBOX,) if name == "imaps" else ()
        [folder] = (await run_probe(name, ACCOUNTS["probe"], folders=roles)).observed.folders
        return folder.messages

    before = await inbox("imaps")
    assert before is not None
    assert await inbox("pop3s") == before
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "One more", OPS_USER, PROBE_USER

    def send() -> None:
        with smtplib.SMTP_SSL(
            "localhost", postfix.smtps_port, timeout=PATIENCE, context=authority.client_context
        ) as client:
            client.login(OPS_USER, OPS_PASSWORD)
            client.send_message(message)

    await asyncio.to_thread(send)
    deadline = time.monotonic() + 10
    while await inbox("imaps") == before and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert await inbox("imaps") == before + 1, dovecot.log_text()
    assert await inbox("pop3s") == before + 1


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("family", [IpFamily.IPV4, IpFamily.IPV6])
async def test_families(run_probe: RunProbe, name: str, family: IpFamily) -> None:
    """Each endpoint answers over each address family of this machine."""
    outcome = await run_probe(name, ip_family=family)
    if family is IpFamily.IPV6 and not HAS_IPV6:
        assert found(outcome)[:2] == (Phase.CONNECT, Reason.ADDRESS_FAMILY_UNAVAILABLE)
        return
    assert outcome.ok
    assert outcome.observed.ip_version == (4 if family is IpFamily.IPV4 else 6)


async def test_stopped_and_started(run_probe: RunProbe, dovecot: Dovecot) -> None:
    """A stopped server refuses the connection; started again, it is up."""
    assert (await run_probe("imaps")).ok
    dovecot.stop()
    for name in ("imaps", "imap", "pop3s", "pop3"):
        outcome = await run_probe(name, ip_family=IpFamily.IPV4)
        assert found(outcome) == (Phase.CONNECT, Reason.REFUSED, "Connection refused")
        assert not outcome.up
    dovecot.start()
    for name in ("imaps", "imap", "pop3s", "pop3"):
        assert (await run_probe(name, ACCOUNTS["ops"])).ok


async def test_login_without_password_backend(run_probe: RunProbe, dovecot: Dovecot) -> None:
    """Postfix without its password backend cannot check a password; the reason is not a wrong password."""
    dovecot.stop()
    outcome = await run_probe("smtps", ACCOUNTS["ops"])
    assert outcome.reason not in (Reason.OK, Reason.AUTH_INVALID_CREDENTIALS, Reason.INTERNAL)
    dovecot.start()
    assert (await run_probe("smtps", ACCOUNTS["ops"])).ok


@pytest.mark.parametrize(
    ("client_name", "found", "detail"),
    [
        (None, "capability ehlo_invalid", "554 5.7.1 <[127.0.0.1]>: Helo command rejected: Access denied"),
        ("probe", "capability ehlo_invalid", "504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname"),
        (CLIENT_NAME, "logout ok", ""),
    ],
)
async def test_client_name(run_probe: RunProbe, client_name: str | None, found: str, detail: str) -> None:
    """A server that judges the name in EHLO is told from one that is down, and takes the name that it wants."""
    outcome = await run_probe("strict", client_name=client_name, ip_family=IpFamily.IPV4)
    assert (f"{outcome.phase} {outcome.reason}", outcome.detail) == (found, detail)
    assert outcome.ok or "client_name" in outcome.remedy


FOLDERS = 2_000
"""Folders of an account with many labels; for 15,000 Dovecot itself needs nine seconds, the first time."""


async def test_many_folders(run_probe: RunProbe, dovecot: Dovecot) -> None:
    """Of thousands of folders only those of a special use are listed; all of them where one is missing."""
    mailbox = dovecot.directory / "mail" / OPS_USER / "Maildir"
    await run_probe("imaps", ACCOUNTS["ops"])  # makes the mailbox
    made = [mailbox / f".Customers.Number {number:05} of a company with a long name" for number in range(FOLDERS)]
    for folder in made:
        folder.mkdir()
    try:
        outcome = await run_probe("imaps", ACCOUNTS["ops"], folders=(Role.INBOX, Role.SENT, Role.TRASH))
        assert found(outcome) == (Phase.LOGOUT, Reason.OK, "")
        said = [line for line in outcome.dialogue if line.speaker == "S" and line.text.startswith("* LIST")]
        assert len(said) < 10
        outcome = await run_probe("imaps", ACCOUNTS["ops"], folders=(Role.INBOX, Role.SENT, Role.ALL))
        assert found(outcome) == (Phase.FOLDERS, Reason.FOLDER_HIDDEN, "not visible: all")
        assert outcome.observed.ignored_lines == 0
        assert [folder.visible for folder in outcome.observed.folders] == [True, True, False]
    finally:
        for folder in made:
            shutil.rmtree(folder)
