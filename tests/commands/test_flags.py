"""Flags whose values are checked when they are read."""

from __future__ import annotations

import pytest

from exporter.cli import main
from tests.examples import SENTINEL

FILES = ("--config.file", "--storage.path", "--web.config.file")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--web.external-url=monitoring.example.com",
            "argument --web.external-url: must be an address such as https://monitoring.example.com/gmail/",
        ),
        (
            f"--web.external-url=https://user:{SENTINEL}@example.com/",
            "argument --web.external-url: must be an address such as https://monitoring.example.com/gmail/, "
            "without a user, a query or a fragment",
        ),
        (
            "--web.allowed-host=a.example:80",
            "argument --web.allowed-host: must be a host name without a port: it counts for all of them, "
            'not "a.example:80"',
        ),
        ("--timeout-offset=61", "argument --timeout-offset: must be seconds from 0 to 60, not '61'"),
        (
            "--config.auto-reload-interval=1ms",
            "argument --config.auto-reload-interval: must be a duration of at least 1s, such as 30s, not '1ms'",
        ),
        *((f"{flag}=", f"argument {flag}: must be the name of a file, not ''") for flag in FILES),
        ("--shard=3/3", "argument --shard: I counts from 0: of 3 it is at most 2, not 3"),
    ],
)
@pytest.mark.parametrize("command", [[], ["config"]], ids=["daemon", "command"])
def test_a_wrong_value_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], flag: str, message: str, command: list[str]
) -> None:
    """Before anything is done; a password in it is not shown."""
    with pytest.raises(SystemExit) as caught:
        main([*command, flag], {})
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith(f"error: {message}\n")
    assert SENTINEL not in error
