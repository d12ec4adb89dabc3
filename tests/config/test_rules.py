"""Rules across keys: durations and names, with defaults; contradictions are in the bad files."""

from collections.abc import Callable

import pytest

from exporter.config.dump import dump
from exporter.model.address import parse_address
from tests.config.conftest import Loader


@pytest.mark.parametrize(
    ("defaults", "endpoint", "expected"),
    [
        ("", "", (30.0, 10.0, 900.0)),
        ("interval: 1m, timeout: 5s", "", (60.0, 5.0, 900.0)),
        ("interval: 1m, timeout: 5s", "interval: 20s", (20.0, 5.0, 900.0)),
        ("interval: 1m", "timeout: 59s999ms, interval: ~", (60.0, 59.999, 900.0)),
        ("", "interval: 1s, timeout: 100ms, login_interval: 1s", (1.0, 0.1, 1.0)),
        ("", "interval: 1d", (86400.0, 10.0, 86400.0)),
        ("login_interval: 1h", "interval: 2h", (7200.0, 10.0, 3600.0)),
        ("timeout: 1h", "timeout: 5s", (30.0, 5.0, 900.0)),
    ],
)
def test_timing(loaded: Loader, defaults: str, endpoint: str, expected: tuple[float, float, float]) -> None:
    """An endpoint's own value goes before that of the defaults, and that before the built-in one."""
    comma = ", " if endpoint else ""
    config = loaded(f"defaults: {{{defaults}}}\nendpoints: {{a: {{protocol: imap, host: h{comma}{endpoint}}}}}\n")
    found = config.endpoints["a"]
    assert (found.interval, found.timeout, found.login_interval) == expected


def test_login_interval_follows_the_interval(loaded: Loader) -> None:
    """Without a login_interval, there is no more than one login for each probe."""
    config = loaded(
        "accounts: {o: {username: u, app_password: {env: X}}}\n"
        "endpoints: {a: {protocol: imap, host: h, account: o, interval: 1h}}\n"
    )
    assert config.endpoints["a"].login_interval == 3600.0


CLIENT_NAMES = """
defaults: {client_name: probe.example.com}
endpoints:
  imap: {protocol: imap, host: a.example.com}
  smtp: {protocol: smtp, host: a.example.com}
  own: {protocol: smtp, host: a.example.com, client_name: "[192.0.2.1]"}
modules:
  smtp: {protocol: smtp}
  own: {protocol: smtp, client_name: other.example.com}
  pop3: {protocol: pop3}
"""


def test_client_name(loaded: Loader) -> None:
    """What EHLO says is of the defaults, an endpoint or a module; only SMTP has it, and without it there is none."""
    config = loaded(CLIENT_NAMES)
    names = {one.name: one.client_name for one in config.endpoints.values()}
    assert names == {"imap": None, "smtp": "probe.example.com", "own": "[192.0.2.1]"}
    assert [one.client_name for one in config.modules.values()] == ["probe.example.com", "other.example.com", None]
    assert config.modules["own"].endpoint(parse_address("b.example.com")).client_name == "other.example.com"
    assert loaded(dump(config)).digest == config.digest
    assert "client_name: probe.example.com" in dump(config)
    assert loaded("endpoints: {smtp: {protocol: smtp, host: h}}").endpoints["smtp"].client_name is None


@pytest.mark.parametrize(("count", "mistake"), [(100, False), (101, True)])
def test_a_day_holds_one_login_per_endpoint(
    loaded: Loader, reported: Callable[[str], str], count: int, *, mistake: bool
) -> None:
    """Each address family counts; without a ceiling in the file, the mistake is at the account."""
    endpoints = "".join(f"  e{n}: {{protocol: imap, host: h{n}, account: a, ip_family: both}}\n" for n in range(count))
    text = f"accounts:\n  a: {{username: a, app_password: {{file: x}}}}\nendpoints:\n{endpoints}"
    if mistake:
        assert reported(text) == (
            "2:3: accounts.a.max_logins_per_day: must be at least 202, not 200: one login a day at each endpoint of "
            "the mailbox, and for each address family where ip_family is both"
        )
    else:
        loaded(text)
