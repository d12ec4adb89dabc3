"""The tables of the ledger's file, and what 0.1 wrote.

`ledger-0.1.db` was made by the code of 0.1, at the Unix time `THEN`, with these accounts:

- `ops`, probe@gmail.com: good logins 30 h, 20 h and (POP3) 19 h 59 min before; one hour before, a secret was refused;
- `again`, P.robe+tag@googlemail.com: POP3 switched off 30 min before, a limit of the day (IMAP) 20 min before;
- `own`, probe@example.com at mail.example.com: two refusals with a backoff; the last one 1,000 s before;
- `free`: refused, and then released; `died`: its process ended during a login 300 s before;
- `future`: a backoff that was learned in 2040; `gone`: refused.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from exporter.accounts.clock import Clock
from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.ledger_schema import VERSION, LedgerError, number
from exporter.accounts.standing import Request, Standing
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.mailbox import Mailbox, mailboxes
from exporter.model.plan import DAY
from exporter.model.settings import Account, Config, Endpoint, Protocol, SecretRef

OLD = Path(__file__).with_name("ledger-0.1.db")
THEN = 1_800_000_000.0
BOOTED = 100_000.0
"""Seconds since the boot, at `THEN`."""

IMAP = Request("imap/imap.gmail.com/993/any", "imap", 900.0, 200)
POP3 = Request("pop3/pop.gmail.com/995/any", "pop3", 900.0, 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the file."""
    return Path(shutil.copy(OLD, tmp_path / "ledger.db"))


def opened(path: Path, later: float = 0.0) -> LedgerFile:
    """The file as it is opened so many seconds later."""
    return LedgerFile(Storage(path), Clock("boot", lambda: BOOTED + later, lambda: THEN + later))


def config(*names: str) -> tuple[Mailbox, ...]:
    """The mailboxes of these accounts, as they were configured with 0.1."""
    users = {"ops": "probe@gmail.com", "again": "P.robe+tag@googlemail.com", "own": "probe@example.com"}
    places = {"ops": ("imap", "pop3"), "again": ("imap-again", "pop3-again")}
    reference = SecretRef(file=Path("/run/secrets/x"))
    accounts = {n: Account(name=n, username=users.get(n, f"{n}@example.com"), app_password=reference) for n in names}
    endpoints = {}
    for name, account in accounts.items():
        for place in places.get(name, (name,)):
            is_pop = place.startswith("pop3")
            host = {True: "pop.gmail.com", False: "imap.gmail.com"}[is_pop] if name in places else "mail.example.com"
            protocol, port = (Protocol.POP3, 995) if is_pop else (Protocol.IMAP, 993)
            endpoints[place] = Endpoint(name=place, protocol=protocol, host=host, port=port, account=account)
    return mailboxes(Config(accounts=accounts, endpoints=endpoints))


def standing(file: LedgerFile, *names: str) -> Standing:
    """Configure these accounts of one mailbox, and return its standing."""
    (mailbox,) = config(*names)
    file.configure([mailbox])
    (found,) = file.standings([mailbox], ())
    return found


def ago(at: float) -> float:
    """How many seconds before `THEN` that was."""
    return BOOTED - at


def test_holds_and_the_last_day_are_kept(path: Path) -> None:
    """The refused secret is held, another one is not; the logins count, and so do the intervals."""
    file = opened(path)
    found = standing(file, "ops")
    assert [ago(at) for at in found.recent if ago(at) < DAY] == [20 * 3600, 20 * 3600 - 60, 3600]
    assert found.logins_of_day(BOOTED) == 3
    assert ago(found.last[IMAP.place].at) == 3600
    assert ago(found.last[POP3.place].at) == 20 * 3600 - 60
    (mailbox,) = config("ops")
    assert file.grant(mailbox, IMAP, ("refused",))[0] is Denial.HOLD
    assert file.grant(mailbox, POP3, ("refused",))[0] is Denial.HOLD
    assert isinstance(file.grant(mailbox, IMAP, ("another",))[0], Grant)
    assert list(found.refused[""].values()) == [None], "0.1 has not stored which login was refused"


@pytest.mark.parametrize("order", [("ops", "again"), ("again", "ops")])
def test_accounts_that_are_one_mailbox_are_merged(path: Path, order: tuple[str, str]) -> None:
    """All logins count, both secrets are held where they were refused, and the wait holds for both."""
    file = opened(path)
    found = standing(file, *order)
    assert found.logins_of_day(BOOTED) == 5
    (mailbox,) = config(*order)
    assert file.grant(mailbox, IMAP, ("refused",))[0] is Denial.HOLD
    assert file.grant(mailbox, POP3, ("other",))[0] is Denial.HOLD
    assert file.grant(mailbox, IMAP, ("other",))[0] is Denial.WAIT24
    assert found.next_login_at(IMAP, file.digest(("other",)), BOOTED) == BOOTED + 2400


def test_an_account_that_is_configured_later(path: Path) -> None:
    """It is merged then, and its logins are as old as they are."""
    file = opened(path)
    standing(file, "ops")
    file.close()
    file = opened(path, later=3000)
    found = standing(file, "ops", "again")
    assert [ago(at) for at in found.recent] == [20 * 3600, 20 * 3600 - 60, 3600, 1800, 1200]
    assert found.refused.keys() == {"", "pop3"}


def test_a_backoff_goes_on(path: Path) -> None:
    """It ends when it would have, and the next one is longer."""
    found = standing(opened(path), "own")
    (wait,) = found.waits.values()
    assert (wait.denial, wait.until - BOOTED, wait.refusals) == (Denial.BACKOFF, 2600, 2)


def test_what_was_released_stays_released(path: Path) -> None:
    """The login still counts."""
    found = standing(opened(path), "free")
    assert (found.refused, found.waits, found.logins_of_day(BOOTED)) == ({}, {}, 1)


def test_a_login_whose_result_nobody_knows(path: Path) -> None:
    """It still counts as one that was answered with `backoff`."""
    (wait,) = standing(opened(path), "died").waits.values()
    assert (wait.denial, wait.until - BOOTED, wait.refusals) == (Denial.BACKOFF, 1500, 1)


def test_what_lies_in_the_future_counts_as_just_made(path: Path) -> None:
    """A login of 2040 blocks nobody until then."""
    found = standing(opened(path), "future")
    (wait,) = found.waits.values()
    assert (wait.until - BOOTED, [ago(at) for at in found.recent]) == (1800, [0])


def test_what_is_configured_for_nobody_is_kept(path: Path) -> None:
    """Until it is."""
    file = opened(path)
    file.configure(config("ops", "own"))
    file.close()
    file = opened(path, later=30 * DAY)
    assert standing(file, "gone").refused == {"": {file.digest(("gone",)): None}}


def test_it_is_converted_once(path: Path) -> None:
    """What 0.1 wrote of an account is not there a second time."""
    file = opened(path)
    standing(file, "ops")
    file.close()
    assert standing(opened(path), "ops").logins_of_day(BOOTED) == 3


def test_without_a_place_to_log_in_nothing_is_taken(path: Path) -> None:
    """It is not known yet which mailbox that is."""
    file = opened(path)
    account = Account(name="ops", username="probe@gmail.com", app_password=SecretRef(file=Path("/x")))
    file.configure(mailboxes(Config(accounts={"ops": account})))
    assert standing(file, "ops").logins_of_day(BOOTED) == 3


def state(**changes: object) -> str:
    """What 0.1 wrote of an account, with these changes."""
    return json.dumps({"login_at": {"imap/any": THEN}, "recent": [THEN], "blocks": {}, "unsettled": None, **changes})


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "no JSON",
        "[]",
        "null",
        "[" * 100_000,
        "{}",
        b"\xff\xfe",
        state(login_at=5),
        state(login_at={"imap/any": "soon"}),
        state(recent=[None]),
        state(recent=[float("nan")]),
        state(recent=[True]),
        state(recent=["1.5"]),
        state(recent=5),
        state(recent=[10**400]),
        state(blocks={"": {"denial": "hold"}}),
        state(blocks={"": {"denial": "never", "since": 0, "until": 1, "secret": "", "release": 0, "refusals": 1}}),
        state(unsettled=[]),
    ],
)
def test_a_damaged_state(path: Path, damaged: str | bytes) -> None:
    """It is a fault of the file: a budget that cannot be read may hold a secret. Nothing of it is removed."""
    file = opened(path)
    file._database.execute("UPDATE account SET state = ? WHERE name = 'ops'", (damaged,))
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"^damaged: what it has of the account ops is not readable$|UTF-8"):
            file.configure(config("ops"))
    file.configure(config("own"))


def test_a_later_version(path: Path) -> None:
    """The error says so, and nothing is changed."""
    opened(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version={VERSION + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=f"later version of this program: its tables are version {VERSION + 1}"):
        opened(path)
    assert path.read_bytes() == before


def test_0_1_can_still_use_the_file(path: Path) -> None:
    """After a downgrade it begins with an empty budget, and what it writes is taken over by the next upgrade."""
    file = opened(path)
    standing(file, "ops")
    database = sqlite3.connect(path)
    database.execute("INSERT INTO account (name, configuration, state) VALUES ('ops', '', ?)", (state(),))
    database.commit()
    database.close()
    assert standing(file, "ops").logins_of_day(BOOTED) == 4


@pytest.mark.parametrize("value", [None, "1", b"1", True, float("nan"), float("inf"), 10**400])
def test_no_number(value: object) -> None:
    """SQLite stores anything in any column."""
    with pytest.raises(LedgerError, match="damaged"):
        number(value)


def test_number() -> None:
    """Whole ones, too."""
    assert (number(1), number(-1.5)) == (1.0, -1.5)
