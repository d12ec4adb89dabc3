"""The command line, until the daemon starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter import __version__
from exporter.cli import main
from exporter.web.server.listening import listen
from tests.examples import SENTINEL

GOOD = """
accounts:
  ops:
    username: probe@gmail.com
    app_password: {env: OPS_PASSWORD}
endpoints:
  imap: {protocol: imap, host: imap.gmail.com, account: ops}
"""

pytestmark = pytest.mark.usefixtures("restored_logging")


def test_config_prints_the_effective_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every default, and in place of a secret where it is read from."""
    path = tmp_path / "config.yml"
    path.write_text(GOOD, encoding="utf-8")
    assert main(["config", f"--config.file={path}"], {"OPS_PASSWORD": SENTINEL}) == 0
    captured = capsys.readouterr()
    assert "interval: 30s" in captured.out
    assert "env: OPS_PASSWORD" in captured.out
    assert SENTINEL not in captured.out + captured.err


@pytest.mark.parametrize("order", [["config", "--config.file"], ["--config.file", "config"]], ids=["behind", "before"])
def test_flags_may_stand_before_or_behind_the_command(tmp_path: Path, order: list[str]) -> None:
    """People type both."""
    path = tmp_path / "config.yml"
    path.write_text(GOOD, encoding="utf-8")
    arguments = [f"{word}={path}" if word.startswith("--") else word for word in order]
    assert main(arguments, {}) == 0


def test_without_a_file_the_built_in_configuration_is_in_effect(capsys: pytest.CaptureFixture[str]) -> None:
    """Gmail's four endpoints."""
    assert main(["config"], {}) == 0
    out = capsys.readouterr().out
    assert list(yaml.safe_load(out)["endpoints"]) == ["imap", "pop3", "smtps", "submission"]


@pytest.mark.parametrize("command", [[], ["config"]], ids=["run", "config"])
def test_mistakes_are_one_line_each(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mistake with its position, exit code 2, no traceback; the daemon does not start."""
    path = tmp_path / "config.yml"
    path.write_text("endpoints:\n  imap: {protocol: imap, host: imap.gmail.com, port: abc, timeoutt: 5s}\n", "utf-8")
    assert main([*command, f"--config.file={path}"], {}) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    mistakes = captured.err.splitlines()
    assert len(mistakes) == 2
    assert f'{path}:2:54: endpoints.imap.port: must be a whole number from 1 to 65535, not "abc"' in mistakes
    assert all(line.startswith(f"{path}:2:") for line in mistakes)


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its name."""
    assert main([f"--config.file={tmp_path / 'missing.yml'}"], {}) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "missing.yml") in line


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, before any probe is made."""
    (taken,) = listen(["127.0.0.1:0"])
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    assert main([f"--web.listen-address={address}"], {}) == 2
    assert capsys.readouterr().err == f"gmail-exporter: cannot listen on {address}: Address already in use\n"
    taken.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-flag"],
        ["no-such-command"],
        ["--log.level=loud"],
        ["--config.file"],
        ["--conf=x"],
        ["--config.auto-reload-interval=30"],
        ["--config.auto-reload-interval=500ms"],
        ["--web.enable-lifecycle=yes"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With a line that names what is wrong; a prefix of a flag is no flag."""
    with pytest.raises(SystemExit) as ended:
        main(arguments, {})
    assert ended.value.code == 2
    assert "gmail-exporter: error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log.level=loud"], "argument --log.level: must be one of debug, info, warn, error, not 'loud'"),
        (["--log.format", "xml"], "argument --log.format: must be one of logfmt, json, not 'xml'"),
        (["chek"], "argument COMMAND: must be one of check, doctor, config, accounts, not 'chek'"),
        (["accounts", "try"], "argument ACTION: must be one of test, release, not 'try'"),
        (["check", "--output=csv"], "argument --output: must be one of table, json, not 'csv'"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--config.file"], "argument --config.file: expected one argument"),
        (["accounts", "test"], "the following arguments are required: NAME"),
        (["--timeout-offset=x"], "argument --timeout-offset: must be seconds from 0 to 60, not 'x'"),
    ],
)
def test_words_for_wrong_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the same on every Python, also where it would add colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(SystemExit):
        main(arguments, {})
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: gmail-exporter ")
    assert error.partition(" error: ")[2] == said


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, on standard output; every flag of the contract is in the help."""
    for flag in ("--version", "--help"):
        with pytest.raises(SystemExit) as ended:
            main([flag], {})
        assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"gmail-exporter {__version__}\n")
    for flag in (
        "--config.file",
        "--config.auto-reload-interval",
        "--web.listen-address",
        "--web.config.file",
        "--web.enable-lifecycle",
        "--log.level",
        "--log.format",
    ):
        assert flag in out


def test_an_auto_reload_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The built-in configuration never changes, so a flag is missing."""
    assert main(["--config.auto-reload-interval=30s"], {}) == 2
    assert capsys.readouterr().err == (
        "gmail-exporter: --config.auto-reload-interval needs --config.file: there is no file to look at\n"
    )


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ([], "gmail-exporter [FLAG ...] [COMMAND ...]"),
        (["check"], "gmail-exporter check [FLAG ...] [ENDPOINT ...]"),
        (["config"], "gmail-exporter config [FLAG ...]"),
        (["accounts"], "gmail-exporter accounts [FLAG ...] ACTION NAME"),
        (["accounts", "test"], "gmail-exporter accounts test [FLAG ...] NAME"),
        (["accounts", "release"], "gmail-exporter accounts release [FLAG ...] NAME"),
    ],
)
def test_help_of_a_command(
    command: list[str], usage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line of usage, and no line beyond 80 columns; flags of the daemon alone are only in its own help."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"], {})
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"usage: {usage}"
    assert max(map(len, lines)) <= 80
    assert any("--web.listen-address" in line for line in lines) is (command == [])
    assert any("--storage.path" in line for line in lines)


def test_an_action_is_needed_for_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2; the help lists them."""
    with pytest.raises(SystemExit) as ended:
        main(["accounts"], {})
    assert ended.value.code == 2
    assert "ACTION" in capsys.readouterr().err


def test_a_check_without_an_account_needs_no_storage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of it, and no file is made."""
    path = tmp_path / "config.yml"
    path.write_text("endpoints: {nothing: {protocol: imap, host: 127.0.0.1, port: 1}}", encoding="utf-8")
    assert main(["check", f"--config.file={path}"], {"STATE_DIRECTORY": str(tmp_path)}) == 1
    assert capsys.readouterr().err == ""
    assert [each.name for each in tmp_path.iterdir()] == ["config.yml"]


@pytest.mark.parametrize("command", [[], ["check"], ["config"], ["accounts", "release", "ops"]])
def test_storage_and_none(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only one of them can be meant."""
    assert main([*command, f"--storage.path={tmp_path / 'ledger.db'}", "--storage.none"], {}) == 2
    assert capsys.readouterr().err == "gmail-exporter: --storage.path and --storage.none exclude each other\n"


def test_commands_look_where_the_daemon_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say which file that is, and make none in the place of another user."""
    path = tmp_path / "config.yml"
    path.write_text(GOOD.replace("imap.gmail.com", "127.0.0.1, port: 1"), encoding="utf-8")
    command, environ = ["check", f"--config.file={path}"], {"XDG_STATE_HOME": str(tmp_path / "state")}
    with monkeypatch.context() as other_user:
        other_user.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        assert main(command, environ) == 1
        ledger = tmp_path / "state" / "gmail-exporter" / "ledger.db"
        assert capsys.readouterr().err == (
            f"login budgets: in memory, of this command alone (there is no {ledger}, and a command creates none in the "
            "directory of another user)\n"
        )
        assert not ledger.exists()
    assert main(command, environ) == 1
    assert capsys.readouterr().err == f"login budgets: {ledger}\n"
    assert ledger.exists()


@pytest.mark.parametrize("command", [["check"], ["accounts", "test", "ops"], ["accounts", "release", "ops"]])
def test_a_path_in_the_place_of_another_user(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is named, and is not there: a mistake in the name must not begin a new budget."""
    path = tmp_path / "config.yml"
    path.write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    wrong = tmp_path / "legder.db"
    assert main([*command, f"--config.file={path}", f"--storage.path={wrong}"], {}) == 2
    assert capsys.readouterr().err == (
        f"gmail-exporter: there is no {wrong}, and a command creates none in the directory of another user\n"
    )


def test_config_says_which_accounts_share_a_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a comment: what is printed loads again."""
    path = tmp_path / "config.yml"
    path.write_text(
        """
        accounts:
          ops: {username: pro.be@gmail.com, app_password: {env: A}, max_logins_per_day: 50}
          again: {username: Probe+x@googlemail.com, app_password: {env: B}}
          other: {username: other@gmail.com, app_password: {env: C}}
        endpoints:
          imap: {protocol: imap, host: imap.gmail.com, account: ops}
          pop3: {protocol: pop3, host: pop.gmail.com, account: again}
          smtps: {protocol: smtp, host: smtp.gmail.com, account: other}
        """,
        encoding="utf-8",
    )
    assert main(["config", f"--config.file={path}"], {}) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("#")] == [
        "# ops, again: one mailbox, probe@gmail.com, and so one login budget, with at most 50 logins in 24 hours.",
        "# ops, again: the endpoints ask for 192 logins a day, and 40 are planned, at most 80% of max_logins_per_day, "
        "50. login_interval is stretched: 15m to 1h12m.",
    ]
    path.write_text(printed, "utf-8")
    assert main(["config", f"--config.file={path}"], {}) == 0
    assert capsys.readouterr().out == printed


def test_it_runs_as_a_module() -> None:
    """`python -m exporter` is the same command."""
    ran = subprocess.run([sys.executable, "-m", "exporter", "--version"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, f"gmail-exporter {__version__}\n")


@pytest.mark.parametrize("offset", ["-1", "61", "nan", "abc", ""])
def test_an_odd_timeout_offset_is_a_usage_error(offset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With a message of our own."""
    with pytest.raises(SystemExit) as caught:
        main([f"--timeout-offset={offset}"], {})
    assert caught.value.code == 2
    assert f"argument --timeout-offset: must be seconds from 0 to 60, not {offset!r}" in capsys.readouterr().err


def test_a_check_without_endpoints_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration may have only modules."""
    path = tmp_path / "config.yml"
    path.write_text("modules: {imaps: {protocol: imap}}", encoding="utf-8")
    assert main(["check", f"--config.file={path}"], {}) == 2
    assert "no endpoint is configured: name an address, such as imap.gmail.com:993" in capsys.readouterr().err


SHARED = """
accounts:
  ops: {username: probe@gmail.com, app_password: {env: OPS_PASSWORD}}
endpoints:
  tenant-1: {protocol: imap, host: imap.gmail.com}
  tenant-2: {protocol: imap, host: imap.gmail.com, account: ops}
"""


def test_commands_are_limited_to_the_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`config` prints its part; an endpoint of another shard is refused, for that process has its login budget."""
    path = tmp_path / "config.yml"
    path.write_text(SHARED, encoding="utf-8")
    printed = []
    for number in range(3):
        assert main(["config", f"--config.file={path}", f"--shard={number}/3"], {}) == 0
        printed.append(capsys.readouterr().out)
    for name in ("tenant-1:", "tenant-2:", "  ops:"):
        assert sum(name in text for text in printed) == 1
    [owner] = [number for number, text in enumerate(printed) if "tenant-2:" in text]
    other = (owner + 1) % 3
    for command, what in (
        (["check", "tenant-2"], "endpoint tenant-2"),
        (["accounts", "release", "ops"], "account ops"),
    ):
        assert main([*command, f"--config.file={path}", f"--shard={other}/3"], {}) == 2
        assert capsys.readouterr().err == f"gmail-exporter: the {what} belongs to --shard={owner}/3\n"


def test_a_shard_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is read or probed."""
    with pytest.raises(SystemExit) as ended:
        main(["config", "--shard=3/3"], {})
    assert ended.value.code == 2
    assert "argument --shard: I counts from 0: of 3 it is at most 2, not 3" in capsys.readouterr().err
