"""Where the durations of an endpoint come from; contradictions are in the bad files."""

import pytest

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
    """An endpoint's own word goes before the defaults', and those before the built-in ones."""
    comma = ", " if endpoint else ""
    config = loaded(f"defaults: {{{defaults}}}\nendpoints: {{a: {{protocol: imap, host: h{comma}{endpoint}}}}}\n")
    found = config.endpoints["a"]
    assert (found.interval, found.timeout, found.login_interval) == expected


def test_login_interval_follows_the_interval(loaded: Loader) -> None:
    """Where nobody says how often to log in, it is never more often than the probes."""
    config = loaded(
        "accounts: {o: {username: u, app_password: {env: X}}}\n"
        "endpoints: {a: {protocol: imap, host: h, account: o, interval: 1h}}\n"
    )
    assert config.endpoints["a"].login_interval == 3600.0
