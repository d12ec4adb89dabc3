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
    """The path of the file."""
    return tmp_path / "ledger.db"


def budget_of(ledger: Ledger) -> Budget:
    """Create a budget with a ledger."""
    budget = Budget(ledger)
    budget.configure(ACCOUNT, [IMAP.endpoint])
    return budget


def hold(path: Path) -> None:
    """Let the server refuse the secret, so that the account is held."""
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        assert budget.ask(IMAP, SECRET) is None
        budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))


def change(path: Path, statement: str, *values: object) -> None:
    """Change the file from outside the program."""
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


def test_file_is_kept(path: Path) -> None:
    """State and digests are the same when the file is opened again, infinity included."""
    with Ledger(path) as ledger:
        assert ledger.load("ops") is None
        ledger.save("ops", "configuration", {**STATE, "until": float("inf")})
        digest = ledger.digest(SECRET)
    with Ledger(path) as ledger:
        assert ledger.load("ops") == ("configuration", {**STATE, "until": float("inf")})
        assert ledger.load("other") is None
        assert ledger.digest(SECRET) == digest


def test_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, two ledgers are independent, and no file is created."""
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
    ("prepare", "message"),
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
def test_not_a_ledger(path: Path, prepare: Callable[[Path], None], message: str) -> None:
    """The error has the path and what is wrong, in one line; the file of another program is not changed."""
    prepare(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(LedgerError, match=message) as caught:
        Ledger(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("where", ["missing/ledger.db", "file/ledger.db", "/proc/self/ledger.db"])
def test_file_cannot_be_created(tmp_path: Path, where: str) -> None:
    """A missing directory, one that is a file, one that is not writable: each is an error in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="unable to open database file") as caught:
        Ledger(tmp_path / where)
    assert str(caught.value) == f"{tmp_path / where}: unable to open database file"


def test_locked_file(path: Path) -> None:
    """A file that is locked for more than a second is an error."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="database is locked"):
        Ledger(path)
    blocker.close()
    Ledger(path).close()


def test_empty_file(path: Path) -> None:
    """An empty file, as `mktemp` creates one, becomes a ledger."""
    path.touch()
    hold(path)
    with Ledger(path) as ledger:
        assert ledger.load("ops") is not None


def test_created_by_two_processes_at_once(path: Path) -> None:
    """Both have the same salt, and so the same digests."""
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: _digest(path), range(8)))
    assert len(digests) == 1


def _digest(path: Path) -> str:
    with Ledger(path) as ledger:
        return ledger.digest(SECRET)


def test_release_on_another_connection(path: Path) -> None:
    """The command releases an account that the daemon holds."""
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


def test_refusal_in_another_process(path: Path) -> None:
    """The command and the daemon share one budget."""
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        hold(path)
        assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_login_under_way_in_another_process(path: Path) -> None:
    """Two processes do not log in at once; after the end of one login the other may begin."""
    with Ledger(path) as one, Ledger(path) as other:
        first, second = budget_of(one), budget_of(other)
        pop3 = target("pop3", account=ACCOUNT)
        assert first.ask(IMAP, SECRET) is None
        assert second.ask(pop3, SECRET) is Denial.BACKOFF
        first.report(success(IMAP, login=True))
        assert second.ask(pop3, SECRET) is None


def test_secrets_are_not_in_the_file(path: Path) -> None:
    """The file has neither a secret nor an unsalted, fast hash of it."""
    hold(path)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"imap/any" in content
    digests = [hashlib.new(name, SENTINEL.encode()) for name in ("md5", "sha1", "sha256")]
    digests += [hashlib.sha256(json.dumps(SECRET).encode())]
    for text in (SENTINEL.encode(), *(digest.hexdigest().encode() for digest in digests)):
        assert text not in content
    assert not any(digest.digest() in content for digest in digests)


def test_digests_differ() -> None:
    """Secrets have different digests, also if they are the same when joined."""
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
        '{"recent": [NaN]}',
        '{"recent": [true]}',
        '{"recent": ["1.5"]}',
        '{"recent": ""}',
        '{"recent": [1' + "0" * 400 + "]}",
        '{"blocks": {"": {"denial": "hold"}}}',
        '{"blocks": {"": {"denial": "never", "since": 0, "until": 1, "secret": "", "release": 0, "refusals": 1}}}',
    ],
)
def test_damaged_state(path: Path, state: str | bytes) -> None:
    """A damaged state is logged and forgotten, the account starts again, and the next save repairs the file."""
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


def test_damaged_state_of_another_account(path: Path) -> None:
    """The other accounts are not concerned."""
    hold(path)
    change(path, "INSERT INTO account VALUES ('other', '', 'no JSON', 0)")
    with Ledger(path) as ledger, capture_logs() as logs:
        assert ledger.load("other") is None
        assert budget_of(ledger).ask(IMAP, SECRET) is Denial.HOLD
    assert len(logs) == 1


def test_file_cannot_be_written(path: Path) -> None:
    """After a lock or a full disk the budget stays in memory, logs that once, and is written later."""
    clock = Clock()
    with Ledger(path) as ledger:
        budget = Budget(ledger, clock)
        budget.configure(ACCOUNT, [IMAP.endpoint])
        ledger._database.execute("PRAGMA busy_timeout = 10")  # rather than a second
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


def test_file_is_damaged_later(path: Path) -> None:
    """Without its table the program continues with the state in memory."""
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


def test_release_is_not_a_time(path: Path) -> None:
    """After a change of the file from outside, the hold remains."""
    hold(path)
    with Ledger(path) as ledger:
        budget = budget_of(ledger)
        change(path, "UPDATE account SET released_at = 'yesterday'")
        assert budget.ask(IMAP, SECRET) is Denial.HOLD
