"""The file in which login budgets survive a restart."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger, LedgerError
from exporter.model.login import Denial
from exporter.model.reason import Reason
from tests.accounts.test_budget import refused
from tests.examples import ACCOUNT, SENTINEL, Clock, success, target

IMAP = target("imap", account=ACCOUNT)
SECRET = (SENTINEL,)
STATE = {"login_at": {"imap/any": 1.5}, "recent": [1.5], "blocks": {}, "unsettled": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "ledger.db"


def budget_of(ledger: Ledger) -> Budget:
    """A new budget on a ledger."""
    budget = Budget(ledger)
    budget.configure(ACCOUNT, [IMAP.endpoint])
    return budget


def hold(path: Path) -> None:
    """Let the server refuse the secret."""
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        assert budget.ask(IMAP, SECRET) is None
        budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))


def change(path: Path, statement: str, *values: object) -> None:
    """Change the file behind the program's back."""
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


def test_the_file_survives(path: Path) -> None:
    """What was saved is there when it is opened again, infinity too, and in the digests of before."""
    with Ledger(path) as ledger:
        assert ledger.load("ops") is None
        ledger.save("ops", "configuration", {**STATE, "until": float("inf")})
        digest = ledger.digest(SECRET)
    with Ledger(path) as ledger:
        assert ledger.load("ops") == ("configuration", {**STATE, "until": float("inf")})
        assert ledger.load("other") is None
        assert ledger.digest(SECRET) == digest


def test_without_a_file_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, two ledgers know nothing of each other, and no file appears."""
    monkeypatch.chdir(tmp_path)
    with Ledger() as ledger, Ledger() as other:
        ledger.save("ops", "configuration", STATE)
        assert other.load("ops") is None
        assert other.digest(SECRET) != ledger.digest(SECRET)
        assert ledger.path is None
    assert list(tmp_path.iterdir()) == []


def _text(path: Path) -> None:
    path.write_text("defaults:\n  interval: 30s\n" * 100, "utf-8")


def _of_another_program(path: Path) -> None:
    change(path, "CREATE TABLE account (id INTEGER)")


def _marked_by_another_program(path: Path) -> None:
    change(path, "PRAGMA application_id=1")
    change(path, "CREATE TABLE cookies (id INTEGER)")


def _with_other_columns(path: Path) -> None:
    Ledger(path).close()
    change(path, "ALTER TABLE ledger RENAME salt TO pepper")


def _damaged(path: Path) -> None:
    Ledger(path).close()
    content = bytearray(path.read_bytes())
    content[1000:] = os.urandom(len(content) - 1000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_text, "file is not a database"),
        (_of_another_program, "a database of another program"),
        (_marked_by_another_program, "a database of another program"),
        (_with_other_columns, "no column named salt|no such column: salt"),
        (_damaged, "malformed|not a database"),
        (Path.mkdir, "unable to open database file"),
    ],
    ids=["text", "other-program", "other-mark", "other-columns", "damaged", "directory"],
)
def test_a_file_that_is_no_ledger(path: Path, prepare: Callable[[Path], None], words: str) -> None:
    """It is named, with what is wrong with it, in one line; the file of another program is left as it was."""
    prepare(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(LedgerError, match=words) as caught:
        Ledger(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("where", ["missing/ledger.db", "file/ledger.db", "/proc/self/ledger.db"])
def test_a_directory_in_which_no_file_can_be_made(tmp_path: Path, where: str) -> None:
    """None, one that is a file, one in which nobody may write: each is an error in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="unable to open database file") as caught:
        Ledger(tmp_path / where)
    assert str(caught.value) == f"{tmp_path / where}: unable to open database file"


def test_a_locked_file(path: Path) -> None:
    """Somebody who holds the file for longer than a second is told of."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="database is locked"):
        Ledger(path)
    blocker.close()
    Ledger(path).close()


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    """As `mktemp` and some orchestrators leave one behind."""
    path.touch()
    hold(path)
    with Ledger(path) as ledger:
        assert ledger.load("ops") is not None


def test_two_processes_that_make_the_file_at_once(path: Path) -> None:
    """Both have the same salt: what one refuses is refused for the other."""
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: _digest(path), range(8)))
    assert len(digests) == 1


def _digest(path: Path) -> str:
    with Ledger(path) as ledger:
        return ledger.digest(SECRET)


def test_a_release_is_noticed_by_a_budget_on_another_connection(path: Path) -> None:
    """The command line releases what the daemon holds."""
    hold(path)
    with Ledger(path) as of_daemon:
        budget = budget_of(of_daemon)
        assert budget.ask(IMAP, SECRET) is Denial.HOLD
        with Ledger(path) as of_command:
            assert of_command.release("ops")
            assert not of_command.release("unknown")
        assert budget.ask(IMAP, SECRET) is None
        budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
        assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_a_refusal_in_another_process_is_noticed(path: Path) -> None:
    """A check from the command line and the daemon have one budget."""
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        hold(path)
        assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_a_login_under_way_in_another_process_is_in_the_way(path: Path) -> None:
    """Two processes do not log in at once, and the end of one login lets the other begin."""
    with Ledger(path) as one, Ledger(path) as other:
        first, second = budget_of(one), budget_of(other)
        pop3 = target("pop3", account=ACCOUNT)
        assert first.ask(IMAP, SECRET) is None
        assert second.ask(pop3, SECRET) is Denial.BACKOFF
        first.report(success(IMAP, login=True))
        assert second.ask(pop3, SECRET) is None


def test_secrets_are_not_in_the_file(path: Path) -> None:
    """Neither the secret nor what a dictionary could look up: its digest is salted, and slow."""
    hold(path)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"imap/any" in content
    digests = [hashlib.new(name, SENTINEL.encode()) for name in ("md5", "sha1", "sha256")]
    digests += [hashlib.sha256(json.dumps(SECRET).encode())]
    for text in (SENTINEL.encode(), *(digest.hexdigest().encode() for digest in digests)):
        assert text not in content
    assert not any(digest.digest() in content for digest in digests)


def test_digests_tell_secrets_apart() -> None:
    """Also such as are the same when they are put together."""
    with Ledger() as ledger:
        digests = {ledger.digest(secret) for secret in (("a", "b"), ("ab",), ("ab", ""), ("", "ab"), ("a",))}
        assert len(digests) == 5
        assert ledger.digest(("a", "b")) in digests


@pytest.mark.parametrize(
    "state",
    [
        "",
        "no JSON",
        "[]",
        "null",
        "[" * 100_000,
        b"\xff\xfe",
        '{"login_at": 5}',
        '{"login_at": {"imap/any": "soon"}}',
        '{"recent": [null]}',
        '{"blocks": {"": {"denial": "hold"}}}',
        '{"blocks": {"": {"denial": "never", "since": 0, "until": 1, "secret": "", "release": 0, "refusals": 1}}}',
    ],
)
def test_a_damaged_state_is_forgotten(path: Path, state: str | bytes) -> None:
    """With a line in the log, the account begins anew and the daemon runs; the next save mends the file."""
    hold(path)
    change(path, "UPDATE account SET state = ?", state)
    with Ledger(path) as ledger:
        with capture_logs() as logs:
            budget = budget_of(ledger)
        assert [(entry["event"], entry["account"]) for entry in logs] == [
            ("login budget unreadable and forgotten", "ops")
        ]
        assert "\n" not in logs[0]["error"]
        assert budget.ask(IMAP, SECRET) is None
        budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    with Ledger(path) as ledger, capture_logs() as logs:
        assert budget_of(ledger).ask(IMAP, SECRET) is Denial.HOLD
    assert logs == []


def test_a_damaged_state_of_one_account_is_nothing_to_the_others(path: Path) -> None:
    """Only that one is forgotten."""
    hold(path)
    change(path, "INSERT INTO account VALUES ('other', '', 'no JSON', 0)")
    with Ledger(path) as ledger, capture_logs() as logs:
        assert ledger.load("other") is None
        assert budget_of(ledger).ask(IMAP, SECRET) is Denial.HOLD
    assert len(logs) == 1


def test_a_file_that_cannot_be_written_any_more(path: Path) -> None:
    """A lock, or a full disk: the budget goes on in memory, says so once, and is written when that works again."""
    clock = Clock()
    with Ledger(path) as ledger:
        budget = Budget(ledger, clock)
        budget.configure(ACCOUNT, [IMAP.endpoint])
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with capture_logs() as logs:
            assert budget.ask(IMAP, SECRET) is None
            budget.report(refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
            assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
        assert [(entry["log_level"], entry["event"]) for entry in logs] == [("error", "login budget not written")]
        with pytest.raises(LedgerError, match="database is locked"):
            ledger.release("ops")
        blocker.close()
        clock.advance(1800)
        assert budget.ask(IMAP, SECRET) is None
        budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    with Ledger(path) as ledger:
        assert budget_of(ledger).ask(IMAP, SECRET) is Denial.HOLD


def test_a_file_that_is_damaged_under_way(path: Path) -> None:
    """A table that is gone ends nothing: what is known in memory holds."""
    hold(path)
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        change(path, "DROP TABLE account")
        with capture_logs() as logs:
            assert budget.ask(IMAP, SECRET) is Denial.HOLD
            assert budget.ask(IMAP, ("rotated",)) is None
            budget.report(success(IMAP, login=True))
            assert budget.ask(IMAP, ("rotated",)) is Denial.INTERVAL
        assert {entry["event"] for entry in logs} == {
            "login budget unreadable and forgotten",
            "login budget unreadable",
            "login budget not written",
        }


def test_a_release_that_is_no_time(path: Path) -> None:
    """Somebody wrote into the file: the hold holds."""
    hold(path)
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        change(path, "UPDATE account SET released_at = 'yesterday'")
        assert budget.ask(IMAP, SECRET) is Denial.HOLD
