"""No secret is ever shown, also where the token endpoint and the mail servers send back what they received."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus

import pytest
import yaml

from exporter.accounts.tokens import fetch_token, token_secrets
from exporter.config.dump import describe
from exporter.config.schema import ACCOUNT
from exporter.model.settings import Account
from exporter.probing import search
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.redact import REDACTED, Redactor
from tests.accounts.conftest import Secrets
from tests.conftest import StartScripted
from tests.examples import SENTINEL
from tests.probing.leaks import ENCODERS, survivors
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap, Pop3, Smtp
from tests.servers.exporter import Exporter
from tests.servers.scripted import ScriptedServer, Session
from tests.servers.tokens import Reply, TokenServer, error
from tests.waiting import PATIENCE

USER = "probe@example.com"
PASSWORD = f"{SENTINEL}/+ é"


class EchoServer(TokenServer):
    """Refuses every request, and sends back what it received, in every spelling."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.seen: list[str] = []
        """Every secret that it received."""

    def answer(self, body: bytes) -> Reply:
        """Refuse, with everything that was received."""
        form = parse_qs(body.decode())
        sent = [form[name][0] for name in ("client_secret", "refresh_token", "assertion") if name in form]
        self.seen += sent
        words = [body.decode(), json.dumps(sent), *(spelling for secret in sent for spelling in spellings(secret))]
        super().answer(body)
        return error("invalid_grant", " ".join(words))


def spellings(secret: str) -> Iterator[str]:
    """Yield the ways in which a server may spell a secret."""
    yield secret
    yield quote(secret)
    yield quote_plus(secret)
    for before in ("", "x", "xy", "user=probe\1auth=Bearer "):
        yield b64encode(f"{before}{secret}".encode()).decode()
        yield urlsafe_b64encode(f'{{"{before}": "{secret}"}}'.encode()).decode()


def readable(text: str) -> str:
    """Return a text, followed by all that can be decoded from the base64 in it."""
    decoded = ""
    for digits in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        for start in range(4):
            whole = digits[start:].translate(str.maketrans("-_", "+/"))
            whole = whole[:-1] if len(whole) % 4 == 1 else whole
            decoded += b64decode(whole + "=" * (-len(whole) % 4)).decode("utf-8", "replace") + "\n"
    return f"{text}\n{decoded}"


def holds(text: str, secret: str) -> bool:
    """Whether a secret is in a text, or in the base64 in it."""
    found = readable(text)
    return any(spelling in found for spelling in (secret, quote(secret), quote_plus(secret)))


async def echo_all(session: Session) -> None:
    """Refuse a login with everything that was sent in it."""
    lines = bytes(session.received).decode().splitlines()
    echoed = [word for line in lines[-3:] for word in line.split()[-1:]]
    codes: list[str] = []
    for word in list(echoed):
        try:
            message = b64decode(word, validate=True).decode()
        except (ValueError, UnicodeDecodeError):
            continue
        secret = re.split(r"[\0\1]|Bearer ", message.rstrip("\1"))[-1]
        echoed += [message.replace("\0", " "), *spellings(secret)]
        codes = [code for encode in ENCODERS.values() for code in broken(encode(secret))]
    text = " ".join(echoed).encode()
    if lines[0].startswith("EHLO"):
        await session.write(b"".join(b"535-5.7.8 " + code.encode() + b"\r\n" for code in codes))
        await session.write(b"535-5.7.8 " + text + b"\r\n535 5.7.8 " + text + b"\r\n")
    elif lines[0].startswith("CAPA"):
        await session.write(b"-ERR [AUTH] " + text + b"\r\n")
    else:
        await session.write(b"".join(b"* NO " + code.encode() + b"\r\n" for code in codes))
        await session.write(b"* NO " + text + b"\r\n" + session.tag + b" NO [AUTHENTICATIONFAILED] " + text + b"\r\n")


def broken(code: str) -> list[str]:
    """A code in two lines, the second in the middle of it."""
    return [code[: len(code) // 2], code[len(code) // 2 :]]


IMAP = "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 AUTH=OAUTHBEARER"
DIALOGUES = {
    "imap": Imap(capabilities=IMAP.encode(), at={"login": echo_all}),
    "pop3": Pop3(capabilities=(b"USER", b"SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER"), at={"login": echo_all}),
    "smtp": Smtp(mechanisms=b"PLAIN LOGIN XOAUTH2 OAUTHBEARER", at={"login": echo_all}),
}


@pytest.fixture
def echo(authority: Authority) -> Iterator[EchoServer]:
    """A token server that sends back every secret."""
    with EchoServer(authority) as server:
        yield server


@pytest.fixture
async def servers(scripted: StartScripted) -> Mapping[str, ScriptedServer]:
    """Mail servers that send back every secret."""
    return {protocol: await scripted(behave, security="tls") for protocol, behave in DIALOGUES.items()}


@pytest.mark.parametrize("kind", ["refresh", "service"])
def test_endpoint_sends_secrets_back(secrets: Secrets, echo: EchoServer, kind: str) -> None:
    """A refusal shows only that something was redacted."""
    account: Account = getattr(Secrets(secrets.directory, echo, secrets.key), kind)(
        USER, **({"token_uri": echo.token_uri} if kind == "service" else {})
    )
    with pytest.raises(CredentialUnavailable) as caught:
        fetch_token(account, token_secrets(account, {}))
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert REDACTED in shown
    assert len(echo.seen) == (2 if kind == "refresh" else 1)
    for secret in echo.seen:
        assert not holds(shown, secret)


def test_every_spelling_of_a_credential() -> None:
    """A secret is redacted alone and within any text, also in base64, at any of the three positions in a group."""
    secret = "ya29.a0/b+c~d-" + "sentinel" * 6
    redactor = Redactor(search.Secrets([secret]), [USER])
    for spelling in spellings(secret):
        shown = redactor.text(f"NO {spelling} x")
        assert REDACTED in shown
        assert not holds(shown, secret)


async def test_no_secret_is_shown(
    secrets: Secrets, echo: EchoServer, servers: Mapping[str, ScriptedServer], authority: Authority, tmp_path: Path
) -> None:
    """No secret in the logs at debug level, the pages, the ledger, the effective configuration, or any command."""
    tokens = secrets.tokens
    # Each account is a mailbox: what stops the logins of one stops no other.
    users = {name: f"{name}@example.com" for name in (*(f"service-{each}" for each in servers), "echo-service-imap")}
    key = tokens.service_account(*users.values())
    echoed = Secrets(tmp_path, echo, {**key, "token_uri": echo.token_uri})
    accounts: dict[str, object] = {}
    endpoints: dict[str, object] = {}
    made = {
        **{
            f"password-{name}": secrets.password(f"p-{name}@example.com", PASSWORD, f"password-{name}")
            for name in servers
        },
        **{f"refresh-{name}": secrets.refresh(f"r-{name}@example.com", f"refresh-{name}") for name in servers},
        **{name: secrets.service(user, name, key) for name, user in users.items() if not name.startswith("echo")},
        "echo-refresh-imap": echoed.refresh("e@example.com", "echo-refresh-imap"),
        "echo-service-imap": echoed.service(users["echo-service-imap"], "echo-service-imap"),
    }
    for name, account in made.items():
        protocol = name.rpartition("-")[2]
        accounts[name] = describe(account, ACCOUNT)
        for mechanism in ("auto",) if name.startswith(("password", "echo")) else ("xoauth2", "oauthbearer"):
            endpoints[f"{name}-{mechanism}"] = {
                "protocol": protocol,
                "host": "localhost",
                "port": servers[protocol].port,
                "account": name,
                "mechanism": mechanism,
                "interval": "5s",
                "timeout": "4s",
                "login_interval": "5s",
                "tls": {"ca_file": str(authority.ca_file)},
            }
    config, ledger = tmp_path / "config.yml", tmp_path / "ledger.db"
    config.write_text(yaml.safe_dump({"accounts": accounts, "endpoints": endpoints}), "utf-8")
    environ = {"SSL_CERT_FILE": str(tokens.ca_file), "PYTHONWARNINGS": "error"}
    flags = ("--log.level=debug", f"--storage.path={ledger}")

    def settled(exporter: Exporter) -> bool:
        return set(exporter.values("gmail_login_suspended").values()) == {1.0}

    def run_daemon() -> tuple[str, str, str]:
        with Exporter(tmp_path / "log", config, *flags, environ=environ) as exporter:
            exporter.wait_for(lambda: settled(exporter))
            pages = exporter.get("/metrics").text + exporter.get("/").text
            pages += exporter.get("/metrics", Accept="application/openmetrics-text; version=1.0.0").text
            pages += exporter.get("/-/healthy").text + exporter.get("/-/ready").text
            for name in ("password-imap-auto", "password-pop3-auto", "password-smtp-auto", "refresh-imap-xoauth2"):
                for path in ("/endpoints/", "/api/v1/endpoints/"):
                    page = exporter.get(f"{path}{name}").text
                    assert REDACTED in page
                    pages += page
            exporter.stop()
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*")).decode("latin-1")
        return exporter.log_text(), pages, kept

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "exporter", *arguments, f"--config.file={config}", "--log.level=debug"]
        ended = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=PATIENCE)
        assert b"Traceback" not in ended.stderr
        return (ended.stdout + ended.stderr).decode()

    log, pages, kept = await asyncio.to_thread(run_daemon)
    printed = "".join(
        await asyncio.gather(
            asyncio.to_thread(run, "config"),
            asyncio.to_thread(run, "check", "--verbose"),
            asyncio.to_thread(run, "check", "--output=json"),
            asyncio.to_thread(run, "accounts", "test", "echo-refresh-imap"),
            asyncio.to_thread(run, "accounts", "test", "refresh-imap"),
        )
    )
    assert log.count("AUTHENTICATE XOAUTH2 [redacted]") >= 2
    assert "reason=oauth_token_rejected" in log
    assert "reason=oauth_grant_invalid" in log
    assert "refresh-imap-xoauth2" in pages
    assert "imap" in kept
    assert REDACTED in printed
    assert 'event="fault' not in log
    access_tokens = set(tokens._grants._tokens)
    assert len(access_tokens) >= 6
    assert any(secret.count(".") == 2 for secret in echo.seen), "no JWT was sent"
    key_lines = [line for line in key["private_key"].splitlines() if not line.startswith("-----")]
    hidden = {PASSWORD, *access_tokens, *echo.seen, *secrets.written, *echoed.written, *key_lines[:3]}
    for where, text in {"log": log, "pages": pages, "ledger": kept, "printed": printed}.items():
        assert_hidden(where, text, hidden)
    for where, text in {"log": log, "pages": pages, "printed": printed}.items():
        assert_nothing_left(where, text)


def assert_hidden(where: str, text: str, hidden: Collection[str]) -> None:
    """Fail if one of the secrets is in a text, or in the base64 in it."""
    found = readable(text)
    for secret in hidden:
        for spelling in (secret, quote(secret), quote_plus(secret)):
            assert spelling not in found, f"in the {where}"


def assert_nothing_left(where: str, text: str) -> None:
    """Fail if a piece of the password is left in any encoding, in any line of a dialogue."""
    for line in set(re.split(r" \| |\n|<[^>]*>", text)):
        assert not survivors(line, PASSWORD) - survivors(line.partition(": ")[0], PASSWORD), f"in the {where}"


@pytest.mark.parametrize("secret", [PASSWORD, "ya29." + "sentinel" * 6])
def test_every_spelling_would_be_found(secret: str) -> None:
    """This test would find every spelling that a server sends back."""
    assert all(holds(f"x {spelling} y", secret) for spelling in spellings(secret))
    assert not holds(f"x {REDACTED} y", secret)
