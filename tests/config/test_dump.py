"""The effective configuration as YAML that loads again."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.dump import digest, dump
from exporter.config.load import load
from exporter.model.address import Address
from exporter.model.evidence import ControlKind
from exporter.model.message import Unacceptable, check_identity, check_text
from exporter.model.settings import Account, Config, Endpoint, Protocol, SecretRef
from exporter.model.verdict_settings import Control, StatusProvider, StatusSettings, TraceSettings, VerdictSettings
from tests.config.conftest import SENTINEL, Loader

EXPECTED = """\
accounts:
  ops:
    username: probe@gmail.com
    app_password:
      file: /run/secrets/ops
    max_logins_per_day: 200
  workspace:
    username: "no"
    oauth2:
      client_id: "1234"
      client_secret:
        env: CLIENT
      refresh_token:
        env: REFRESH
      token_uri: https://oauth2.googleapis.com/token
    max_logins_per_day: 200
  delegated:
    username: probe@example.com
    service_account:
      env: SA
    max_logins_per_day: 200
endpoints:
  imap:
    protocol: imap
    host: imap.gmail.com
    port: 993
    security: tls
    account: ops
    mechanism: auto
    folders:
    - inbox
    - trash
    tls:
      server_name: mail.example.com
      min_version: "1.2"
    labels:
      tenant: "010"
    interval: 30s
    timeout: 500ms
    login_interval: 15m
    ip_family: any
  "y":
    protocol: smtp
    host: "::1"
    port: 25
    security: none
    interval: 1d
    timeout: 10s
    login_interval: 1d
    ip_family: both
verdict:
  controls:
    web:
      kind: provider_web
      host: www.google.com
      port: 443
  status:
    provider: google
    interval: 5m
  trace:
    on_failure: true
    max_per_hour: 12
    max_hops: 30
"""

WRITTEN = """
accounts:
  ops: {username: probe@gmail.com, app_password: {file: /run/secrets/ops}}
  workspace:
    username: "no"
    oauth2: {client_id: "1234", client_secret: {env: CLIENT}, refresh_token: {env: REFRESH}}
  delegated: {username: probe@example.com, service_account: {env: SA}}
endpoints:
  imap:
    protocol: imap
    host: imap.gmail.com
    account: ops
    folders: [trash, inbox]
    tls: {server_name: mail.example.com}
    labels: {tenant: "010"}
    timeout: 500ms
  "y": {protocol: smtp, host: "::1", security: none, interval: 1d, ip_family: both}
"""


def test_text(loaded: Loader) -> None:
    """Everything in effect is written out, and text that other parsers would misread is in quotes."""
    config = loaded(WRITTEN)
    assert dump(config).replace('"::1"', "::1").replace("'::1'", "::1") == EXPECTED.replace('"::1"', "::1")
    assert yaml.safe_load(dump(config)) == yaml.safe_load(EXPECTED)


EVERYTHING = r"""
defaults: {interval: 1m, timeout: 5s, login_interval: 1h, ip_family: both}
accounts:
  by.file: {username: probe@gmail.com, app_password: {file: /run/secrets/ops}}
  by_env: {username: "üser \"quoted\" \\ 😀 'x'", app_password: {env: PASSWORD}, max_logins_per_day: 10000}
  flow:
    username: probe@example.com
    oauth2:
      client_id: "1234.apps"
      client_secret: {file: "/run/secrets/clïent \"1\""}
      refresh_token: {env: REFRESH}
      token_uri: https://login.example.com/token?x=1
  robot: {username: "no", service_account: {file: /run/sa.json}}
endpoints:
  imap-tls:
    protocol: imap
    host: imap.gmail.com
    account: by.file
    folders: [trash, inbox, sent]
    tls: {server_name: mail.example.com, min_version: "1.3"}
    labels: {tenant: "010", site: "ü\"\\😀"}
  imap-starttls:
    {protocol: imap, host: "::1", security: starttls, account: flow, mechanism: oauthbearer, ip_family: ipv6}
  imap-none: {protocol: imap, host: 127.0.0.1, security: none, port: 1143}
  pop3-tls:
    protocol: pop3
    host: POP.gmail.com.
    account: by_env
    mechanism: login
    interval: 1d
    timeout: 500ms
    login_interval: 2d
  pop3-starttls: {protocol: pop3, host: h, security: starttls, account: robot, mechanism: xoauth2, ip_family: ipv4}
  pop3-none: {protocol: pop3, host: h, security: none}
  smtp-tls: {protocol: smtp, host: h, account: by.file, mechanism: plain}
  smtp-starttls: {protocol: smtp, host: h, security: starttls, interval: 3h, ip_family: any}
  smtp-none: {protocol: smtp, host: h, security: none, folders: []}
modules:
  open: {protocol: imap}
  named: {protocol: smtp, security: starttls, ip_family: ipv6, timeout: 1s, allow_hosts: ["*.gmail.com:*", "*"]}
  nothing: {protocol: pop3, allow_hosts: [], tls: {min_version: "1.3"}}
  login:
    protocol: imap
    account: by.file
    folders: [inbox]
    login_interval: 1d
    allow_hosts: [IMAP.gmail.com., "[::1]:143"]
probe: {allow: [imap.gmail.com, "*.example.com:25"], max_concurrent: 7}
"""

ENDPOINT = "endpoints: {a: {protocol: imap, host: h}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EVERYTHING, "b4cba7e5235e89af6b29b1c1d3e33a75799efa66734adcba920991a8c7849463"),
        ("modules: {a: {protocol: imap}}", "fb1682e0713e09a0a38dd00952f705e30cca913b07b4873330e55ffd91dbb5bf"),
        (
            ENDPOINT + "probe: {max_concurrent: 50}",
            "c2b78f4779a6f234ab5bbd5a96a2199c3284fca08b77f5e1a612b92b09183944",
        ),
        (
            ENDPOINT + "probe: {max_concurrent: 7}",
            "d95ac332a0d712c10364b5d1ae0ceffbf06e596ffd21eeacf11ad57445b9fefc",
        ),
    ],
)
def test_the_digest_of_a_configuration_never_changes(loaded: Loader, text: str, expected: str) -> None:
    """`gmail_exporter_config_hash` is made of it: an upgrade must not look like a change of configuration."""
    assert loaded(text).digest == expected


VERDICT = """
endpoints: {a: {protocol: imap, host: h, tls: {public_root: true}}}
verdict:
  controls:
    neutral: {kind: neutral, host: "2001:db8::1", port: 443}
    other: {kind: same_port, host: imap.example.com, port: 993}
  resolvers: [192.0.2.53, "[2001:db8::53]:5353"]
  status: {provider: google, interval: 1h}
  trace: {on_failure: false, max_per_hour: 1, max_hops: 64}
"""


def test_a_verdict_loads_again(loaded: Loader) -> None:
    """Each of its keys is printed, and one that is not the default changes the digest."""
    config = loaded(VERDICT)
    assert loaded(dump(config)).verdict == config.verdict != VerdictSettings()
    assert config.verdict == VerdictSettings(
        {
            "neutral": Control("neutral", ControlKind.NEUTRAL, "2001:db8::1", 443),
            "other": Control("other", ControlKind.SAME_PORT, "imap.example.com", 993),
        },
        (Address("192.0.2.53", None), Address("2001:db8::53", 5353)),
        StatusSettings(StatusProvider.GOOGLE, 3600),
        TraceSettings(on_failure=False, max_per_hour=1, max_hops=64),
    )
    changes = ("", "verdict: {controls: {}}", "verdict: {status: {interval: 6m}}", "verdict: {trace: {max_hops: 29}}")
    assert len({loaded(ENDPOINT + change).digest for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("host", "verdict", "idle"),
    [
        ("imap.gmail.com", "", ""),
        ("mail.example.com", "", "verdict.controls.web, verdict.status"),
        ("mail.example.com", "verdict: {controls: {}, status: {provider: none}}", ""),
        (
            "mail.example.com",
            "verdict: {controls: {near: {kind: neutral, host: 192.0.2.1, port: 1}}}",
            "verdict.status",
        ),
    ],
)
def test_what_is_not_in_force_is_told(loaded: Loader, host: str, verdict: str, idle: str) -> None:
    """What is for Google's hosts alone has no effect on others, and a comment says so."""
    text = dump(loaded(f"endpoints: {{a: {{protocol: imap, host: {host}}}}}\n{verdict}"))
    comment = f"# Not in force, for no endpoint is at Google: {idle}.\n" if idle else ""
    assert text.partition("endpoints:")[0] == comment


def test_loads_again(loaded: Loader) -> None:
    """The printed text is a configuration file that means the same."""
    config = loaded(WRITTEN)
    again = loaded(dump(config))
    assert again.digest == config.digest
    assert again.endpoints == config.endpoints
    assert again.accounts == config.accounts


def test_ca_file_loads_again(loaded: Loader, tmp_path: Path, ca_file: Path) -> None:
    """A relative ca_file is printed as the absolute path it means."""
    ca_file.rename(tmp_path / "ca.pem")
    config = loaded("endpoints: {a: {protocol: imap, host: h, tls: {ca_file: ca.pem}}}")
    assert f"ca_file: {tmp_path}/ca.pem" in dump(config)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.yml").write_text(dump(config))
    assert load(tmp_path / "elsewhere" / "c.yml", {}).digest == config.digest


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"GMAIL_EXPORTER_USERNAME": "a@gmail.com", "GMAIL_EXPORTER_APP_PASSWORD": SENTINEL},
        {"GMAIL_EXPORTER_USERNAME": "a@gmail.com", "GMAIL_EXPORTER_APP_PASSWORD_FILE": "secret"},
    ],
)
def test_built_in_loads_again(loaded: Loader, environ: dict[str, str]) -> None:
    """The built-in configuration can be printed, kept as a file and loaded; the secret is not in it."""
    config = load(None, environ)
    assert loaded(dump(config)).digest == config.digest
    assert SENTINEL not in dump(config)


def accepted(check: Callable[[str], str], text: str) -> str:
    """Return the text, or another one where `check` refuses it."""
    try:
        return check(text)
    except Unacceptable:
        return "no"


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.text(min_size=1), max_size=4), st.text(min_size=1)
)
@settings(max_examples=300)
def test_any_text_loads_again(tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str], username: str) -> None:
    """Any label value or user name that was loaded is printed so that it loads again."""
    labels = {f"l_{name}": accepted(check_text, value) for name, value in labels.items()}
    username = accepted(check_identity, username)
    account = Account(name="n", username=username, app_password=SecretRef(env="X"))
    endpoint = Endpoint(name="y", protocol=Protocol.IMAP, host="h", port=993, account=account, labels=labels)
    config = Config(accounts={"n": account}, endpoints={"y": endpoint})
    file = tmp_path_factory.getbasetemp() / "again.yml"
    file.write_text(dump(config), encoding="utf-8")
    assert load(file, {}).digest == digest(config)


def test_stretched_intervals(loaded: Loader) -> None:
    """A comment says where more logins are asked for than are planned; the text loads again to the same digest."""
    endpoints = "".join(
        f"  e{number}: {{protocol: imap, host: h{number}.gmail.com, account: a}}\n" for number in range(7)
    )
    config = loaded(
        f"accounts: {{a: {{username: a@gmail.com, app_password: {{file: x}}}}}}\nendpoints:\n{endpoints}"
        "modules: {m: {protocol: pop3, account: a, login_interval: 1h, allow_hosts: [a.gmail.com, b.gmail.com]}}\n"
    )
    comments = "".join(f"{line}\n" for line in dump(config).splitlines() if line.startswith("#"))
    assert comments == (
        "# a: the endpoints ask for 672 logins a day, and 154 are planned, at most 80% of max_logins_per_day, 200. "
        "login_interval is stretched: 15m to 1h5m28s.\n"
        "# a: the modules may ask for 48 logins a day, and 26 are allowed, with the endpoints at most 90% of "
        "max_logins_per_day, 200. Their login_interval is stretched: 1h to 1h50m47s.\n"
    )
    text = dump(config).removeprefix(comments)
    few = dump(loaded(text.replace("200", "8"))).splitlines()
    assert few[0] == (
        "# a: the endpoints ask for 672 logins a day, and 7 are planned, one at each. "
        "login_interval is stretched: 15m to 1d."
    )
    assert loaded(text).digest == config.digest
    assert not dump(loaded(text.replace("200", "2000"))).startswith("#")
