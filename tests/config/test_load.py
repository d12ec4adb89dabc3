"""Loading as a whole: defaults, references, secrets, and texts that are no configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config.dump import dump
from exporter.config.load import load, load_with_web
from exporter.config.mistake import ConfigError, Mistake
from exporter.config.web import read_web
from exporter.model.address import Address, HostPattern
from exporter.model.settings import (
    Account,
    Endpoint,
    IpFamily,
    MechanismChoice,
    Module,
    OAuth2,
    Protocol,
    Role,
    SecretRef,
    Security,
    Tls,
)
from tests.config.conftest import SENTINEL, Loader

WHOLE = """
defaults: {interval: 1m, timeout: 20s, login_interval: 1h, ip_family: ipv4}
accounts:
  ops: {username: probe@gmail.com, app_password: {file: secrets/ops}}
  workspace:
    username: probe@example.com
    oauth2: {client_id: 1234, client_secret: {env: CLIENT}, refresh_token: {file: /run/refresh}}
  delegated: {username: probe@example.com, service_account: {file: /run/sa.json}}
endpoints:
  imap:
    protocol: imap
    host: imap.gmail.com
    account: ops
    mechanism: plain
    folders: [sent, inbox]
    tls: {server_name: mail.example.com, min_version: "1.3"}
    labels: {tenant: acme, absent: ~}
    interval: 2m
    ip_family: both
  submission: {protocol: smtp, host: smtp.gmail.com, security: starttls, account: workspace, mechanism: xoauth2}
"""


def test_whole(loaded: Loader, tmp_path: Path) -> None:
    """Every key is read: durations in seconds, absolute paths, accounts instead of names, folders in one order."""
    config = loaded(WHOLE.replace("client_id: 1234", "client_id: 1234.apps"))
    ops = Account(name="ops", username="probe@gmail.com", app_password=SecretRef(file=tmp_path / "secrets/ops"))
    workspace = Account(
        name="workspace",
        username="probe@example.com",
        oauth2=OAuth2(
            client_id="1234.apps",
            client_secret=SecretRef(env="CLIENT"),
            refresh_token=SecretRef(file=Path("/run/refresh")),
        ),
    )
    assert dict(config.accounts) == {
        "ops": ops,
        "workspace": workspace,
        "delegated": Account(
            name="delegated", username="probe@example.com", service_account=SecretRef(file=Path("/run/sa.json"))
        ),
    }
    assert dict(config.endpoints) == {
        "imap": Endpoint(
            name="imap",
            protocol=Protocol.IMAP,
            host="imap.gmail.com",
            port=993,
            security=Security.TLS,
            account=ops,
            mechanism=MechanismChoice.PLAIN,
            folders=(Role.INBOX, Role.SENT),
            tls=Tls(server_name="mail.example.com", min_version="1.3"),
            labels={"tenant": "acme"},
            interval=120.0,
            timeout=20.0,
            login_interval=3600.0,
            ip_family=IpFamily.BOTH,
        ),
        "submission": Endpoint(
            name="submission",
            protocol=Protocol.SMTP,
            host="smtp.gmail.com",
            port=587,
            security=Security.STARTTLS,
            account=workspace,
            mechanism=MechanismChoice.XOAUTH2,
            interval=60.0,
            timeout=20.0,
            login_interval=3600.0,
            ip_family=IpFamily.IPV4,
        ),
    }
    assert config.source == str(tmp_path / "config.yml")
    assert list(config.accounts) == ["ops", "workspace", "delegated"]


def test_built_in() -> None:
    """Without a file the four endpoints of Gmail are probed, without login."""
    config = load(None, {})
    assert not config.accounts
    assert [(e.name, e.protocol, e.host, e.port, e.security, e.account) for e in config.endpoints.values()] == [
        ("imap", "imap", "imap.gmail.com", 993, "tls", None),
        ("pop3", "pop3", "pop.gmail.com", 995, "tls", None),
        ("smtps", "smtp", "smtp.gmail.com", 465, "tls", None),
        ("submission", "smtp", "smtp.gmail.com", 587, "starttls", None),
    ]
    assert {(e.interval, e.timeout, e.login_interval, e.ip_family) for e in config.endpoints.values()} == {
        (30.0, 10.0, 900.0, IpFamily.ANY)
    }
    assert config.source == "built-in default.yml"


def test_built_in_with_account() -> None:
    """The environment makes an account that all built-in endpoints log in with, and it is not the secret itself."""
    config = load(None, {"GMAIL_EXPORTER_USERNAME": "probe@gmail.com", "GMAIL_EXPORTER_APP_PASSWORD": SENTINEL})
    account = Account(
        name="gmail", username="probe@gmail.com", app_password=SecretRef(env="GMAIL_EXPORTER_APP_PASSWORD")
    )
    assert dict(config.accounts) == {"gmail": account}
    assert {endpoint.account for endpoint in config.endpoints.values()} == {account}
    assert SENTINEL not in repr(config)
    assert config.digest != load(None, {}).digest


def test_a_file_ignores_the_environment(loaded: Loader, tmp_path: Path) -> None:
    """With a file the variables mean nothing, right or wrong."""
    digest = loaded("endpoints: {imap: {protocol: imap, host: h}}").digest
    assert load(tmp_path / "config.yml", {"GMAIL_EXPORTER_USERNAME": "x"}).digest == digest


def test_environment_mistakes_are_reported() -> None:
    """Mistakes in the environment stop the built-in configuration."""
    with pytest.raises(ConfigError) as caught:
        load(None, {"GMAIL_EXPORTER_APP_PASSWORD": SENTINEL})
    assert str(caught.value) == "GMAIL_EXPORTER_APP_PASSWORD: needs GMAIL_EXPORTER_USERNAME to be set too"


def test_unreadable_files_are_reported(reported: Callable[[str | bytes], str], tmp_path: Path) -> None:
    """A file that cannot be read at all is one line."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert str(caught.value) == f"{tmp_path}: is a directory"
    assert reported(b"\xff") == "1:1: is not UTF-8: the byte at offset 0 cannot stand there"
    assert reported(b" " * 10_000_000) == "is larger than 4194304 bytes"


def test_relative_to_the_file(loaded: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are relative to the file, also where the file was named relatively."""
    config = loaded("accounts: {a: {username: u, app_password: {file: x}}}\nendpoints: {i: {protocol: imap, host: h}}")
    monkeypatch.chdir(tmp_path)
    assert load(Path("config.yml"), {}).accounts == config.accounts
    assert config.accounts["a"].app_password == SecretRef(file=tmp_path / "x")


def test_digest_is_of_the_meaning(loaded: Loader) -> None:
    """Comments, order and written-out defaults do not change the digest; any other value does."""
    one = loaded("endpoints:\n  a: {protocol: imap, host: h}\n  b: {protocol: pop3, host: h}\n")
    same = loaded(
        "# a comment\ndefaults: {interval: 30000ms}\n"
        "endpoints:\n  b: {host: h, protocol: pop3}\n  a: {protocol: imap, host: h, port: 993, folders: []}\n"
    )
    other = loaded("endpoints:\n  a: {protocol: imap, host: h}\n  b: {protocol: pop3, host: h, interval: 31s}\n")
    assert one.digest == same.digest
    assert len(one.digest) == 64
    assert one.digest != other.digest
    assert one.endpoints["a"] == other.endpoints["a"] == same.endpoints["a"]
    assert one.endpoints["b"] != other.endpoints["b"]


def test_mistakes_of_both_files_are_reported(tmp_path: Path) -> None:
    """A mistake in one of the two files is enough to refuse both."""
    (tmp_path / "web.yml").write_text("rate_limit: 5\n")
    (tmp_path / "bad.yml").write_text("endpoints: {}\n")
    web = read_web(tmp_path / "web.yml")
    assert load_with_web(None, {}, read_web(None)).digest == load(None, {}).digest
    for file, mistakes in ((None, ["rate_limit"]), (tmp_path / "bad.yml", ["endpoints", "rate_limit"])):
        with pytest.raises(ConfigError) as caught:
            load_with_web(file, {}, web)
        assert [mistake.path for mistake in caught.value.mistakes] == mistakes


def test_templates_by_merge(loaded: Loader) -> None:
    """Endpoints can share keys by anchors and merge keys."""
    config = loaded(
        "endpoints:\n  a: &a {protocol: imap, host: a.example.com, interval: 1m}\n  b: {<<: *a, host: b.example.com}\n"
    )
    assert config.endpoints["b"].host == "b.example.com"
    assert config.endpoints["b"].interval == 60.0


def test_immutable(loaded: Loader) -> None:
    """Nothing of a configuration can be changed in place, in none of its mappings."""
    config = loaded(WHOLE.replace("1234", "x"))
    mappings: tuple[Any, ...] = (config.accounts, config.endpoints, config.modules, config.endpoints["imap"].labels)
    for mapping in mappings:
        with pytest.raises(TypeError):
            mapping["a"] = "2"


def test_descriptors_are_closed(loaded: Loader, tmp_path: Path) -> None:
    """Loading leaves no file open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        loaded("endpoints: {a: {protocol: imap, host: h}}")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


MODULES = """
defaults: {timeout: 5s, login_interval: 1h, ip_family: both}
accounts: {ops: {username: probe@gmail.com, app_password: {env: X}}}
modules:
  imaps: {protocol: imap}
  submission: {protocol: smtp, security: starttls, ip_family: ipv6, timeout: 1s, allow_hosts: ["*.gmail.com:*", "*"]}
  login:
    protocol: imap
    account: ops
    folders: [inbox]
    tls: {min_version: "1.3"}
    allow_hosts: [IMAP.gmail.com., "[::1]:143"]
probe: {allow: [imap.gmail.com], max_concurrent: 7}
"""


def test_modules(loaded: Loader) -> None:
    """Modules have the defaults of endpoints, except for `both`, and need no endpoint in the file."""
    config = loaded(MODULES)
    assert config.endpoints == {}
    assert config.modules["imaps"] == Module(
        name="imaps", protocol=Protocol.IMAP, port=993, timeout=5, login_interval=3600
    )
    submission = config.modules["submission"]
    assert (submission.port, submission.security, submission.timeout) == (587, Security.STARTTLS, 1)
    assert submission.ip_family is IpFamily.IPV6
    assert submission.allow_hosts == (HostPattern("*.gmail.com", "*"), HostPattern("*"))
    assert submission.endpoints == ()
    assert config.probe.allow == (HostPattern("imap.gmail.com"),)
    assert config.probe.max_concurrent == 7


def test_the_endpoints_of_an_account(loaded: Loader) -> None:
    """There is one for each of its allow_hosts, with a name that no endpoint of a file can have."""
    login = loaded(MODULES).modules["login"]
    assert [(one.name, one.host, one.port) for one in login.endpoints] == [
        ("probe/login/imap.gmail.com:993", "imap.gmail.com", 993),
        ("probe/login/[::1]:143", "::1", 143),
    ]
    assert login.endpoint(Address("imap.gmail.com", None)) == login.endpoints[0]
    assert {one.account for one in login.endpoints} == {login.account}
    both = loaded(
        MODULES + "endpoints: {imap: {protocol: imap, host: h, account: ops}, pop3: {protocol: pop3, host: h}}"
    )
    names = [one.name for one in both.login_endpoints]
    assert names == ["imap", "probe/login/imap.gmail.com:993", "probe/login/[::1]:143"]
    assert {one.tls.min_version for one in login.endpoints} == {"1.3"}


def test_modules_are_in_effect(loaded: Loader) -> None:
    """Modules are printed, load again, and are part of the digest."""
    config = loaded(MODULES)
    again = loaded(dump(config))
    assert (again.modules, again.probe, again.digest) == (config.modules, config.probe, config.digest)
    assert "allow_hosts:\n    - imap.gmail.com\n    - '[::1]:143'\n" in dump(config).replace('"', "'")
    for changed in ("max_concurrent: 8", "max_concurrent: 7, allow: []"):
        assert loaded(MODULES.replace("allow: [imap.gmail.com], max_concurrent: 7", changed)).digest != config.digest
    assert loaded(MODULES.replace("timeout: 1s", "timeout: 2s")).digest != config.digest


def test_nothing_allowed_is_not_everything(loaded: Loader) -> None:
    """An empty list allows nothing; without a list, public addresses are allowed."""
    assert loaded("modules: {a: {protocol: imap}}\nprobe: {allow: []}").probe.allow == ()
    assert loaded("modules: {a: {protocol: imap}}\nprobe: {}").probe.allow is None
    assert loaded("modules: {a: {protocol: imap, allow_hosts: []}}").modules["a"].allow_hosts == ()


WORDS = "endpoints accounts defaults imap protocol host port folders tls labels app_password file env interval <<"
KEYS = st.sampled_from(WORDS.split(" "))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


def load_anything(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    mistakes: tuple[Mistake, ...] = ()
    try:
        load(file, {})
    except ConfigError as error:
        mistakes, lines = error.mistakes, str(error).split("\n")
    else:
        return
    assert len(lines) == len(mistakes) > 0
    assert all(line.startswith(f"{file}:") for line in lines)


@given(st.text() | st.text("{}[]:,-&*!|>'\"%@`#? \n\tab01~<="))
@example("a: &a [*a]")
@example("? [a]\n: *a")
@example("<<: <<\n")
@example("- <<\n")
@settings(max_examples=500)
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever the text, the result is a configuration or a list of mistakes."""
    load_anything(tmp_path_factory.getbasetemp() / "any.yml", text.encode("utf-8", "surrogatepass"))


@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever the bytes, the result is a configuration or a list of mistakes."""
    load_anything(tmp_path_factory.getbasetemp() / "any.yml", content)


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_any_structure(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    """Whatever the values of the keys, the result is a configuration or a list of mistakes."""
    import yaml  # noqa: PLC0415 - only here

    content = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
    load_anything(tmp_path_factory.getbasetemp() / "any.yml", content)
