"""The times of several boots and hosts in one ledger, and clocks that are set."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.accounts.clock import Clock
from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.ledger_schema import LedgerError, prepare
from exporter.accounts.ledger_time import Boots
from exporter.accounts.standing import MAX_BACKOFF, WAIT24_INTERVAL, Verdict
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.plan import DAY
from exporter.model.reason import Retry
from tests.accounts.ledgers import EPOCH, IMAP, mailbox_of
from tests.accounts.test_standing import IMAP_REQUEST

YEARS = 365 * DAY
MAILBOX = mailbox_of(IMAP)


@dataclass(slots=True)
class World:
    """The seconds that really pass, and one database."""

    real: float = 0.0
    database: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(":memory:", isolation_level=None))

    def __post_init__(self) -> None:
        prepare(self.database)


@dataclass(slots=True)
class Host:
    """A host in that world: its boot, and how wrong its wall clock is."""

    world: World
    boot: str = "a"
    wrong: float = 0.0
    started: float = -5000.0
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(self.boot, self.now, self.wall)

    def now(self) -> float:
        """Its seconds since the boot, also while it was suspended."""
        return self.world.real - self.started

    def wall(self) -> float:
        """Its wall clock."""
        return EPOCH + self.world.real + self.wrong

    def look(self, *, write: bool = False) -> Boots:
        """Look at the ledger with a new process, and write if asked to."""
        boots = Boots(self.world.database, self.clock)
        boots.look()
        if write:
            boots.write()
        return boots

    def age(self, other: Host, then: float) -> float:
        """For how long this host thinks to have passed what another one did at that real time."""
        boots = self.look()
        (key,) = self.world.database.execute("SELECT id FROM boot WHERE name = ?", (other.boot,)).fetchone()
        return boots.now - boots.at(key, then - other.started)


@pytest.fixture
def world() -> World:
    """A world in which nothing has happened."""
    return World()


@pytest.mark.parametrize("step", [-10 * YEARS, -3600.0, 3600.0, 10 * YEARS])
def test_within_a_boot_the_wall_clock_does_not_matter(world: World, step: float) -> None:
    """Also for another process."""
    host = Host(world)
    host.look(write=True)
    world.real += 100
    host.wrong = step
    assert host.age(host, 0.0) == 100
    host.look(write=True)
    assert Host(world, wrong=-step).age(host, 0.0) == 100


@pytest.mark.parametrize(
    ("wrong", "age"), [(0.0, 600.0), (3600.0, 4200.0), (-60.0, 540.0), (-3600.0, 0.0), (-14 * YEARS, 0.0)]
)
def test_after_a_boot_it_goes_by_the_wall_clocks_once(world: World, wrong: float, age: float) -> None:
    """What lies in the future counts as just made; from then on the time that really passes counts."""
    Host(world, "before").look(write=True)
    world.real += 600
    after = Host(world, "after", wrong=wrong, started=500.0)
    after.look(write=True)
    before = Host(world, "before")
    assert after.age(before, 0.0) == age
    world.real += 50
    after.wrong += 12345
    assert after.age(before, 0.0) == age + 50
    assert after.age(before, -7.0) == age + 57


def test_each_boot_sees_the_times_of_all_before(world: World) -> None:
    """With a wall clock that is right, over any number of boots."""
    for number in range(5):
        Host(world, f"{number}", started=world.real - 10).look(write=True)
        world.real += 1000
    last = Host(world, "last", started=world.real - 10)
    for number in range(5):
        assert last.age(Host(world, f"{number}", started=1000.0 * number - 10), 1000.0 * number) == 5000 - 1000 * number


@pytest.mark.parametrize("wrong", [-10 * YEARS, -DAY, -3600.0, 0.0, 3600.0, DAY, 10 * YEARS])
def test_another_host_at_the_same_time(world: World, wrong: float) -> None:
    """However wrong its clock is: once both have looked, what it does is known to be as old as it is, or younger."""
    here, there = Host(world, "here"), Host(world, "there", wrong=wrong, started=-77.0)
    for host in (here, there, here, there):
        host.look(write=True)
        world.real += 2
    for _ in range(20):
        world.real += 60
        there.look(write=True)
        made = world.real
        world.real += 3
        here.look(write=True)
        assert here.age(there, made) == pytest.approx(3.0, abs=3.0)
        assert here.age(there, made) <= 3.0 + 1e-6
        here.wrong += 100_000


def test_a_silent_process_of_another_host(world: World) -> None:
    """It is silent since the first look at most, whatever the wall clocks say; of this boot, since it last spoke."""
    there, here = Host(world, "there", wrong=-DAY), Host(world, "here")
    there.look(write=True)
    world.real += 10
    here.look(write=True)
    boots = here.look()
    (key,) = world.database.execute("SELECT id FROM boot WHERE name = 'there'").fetchone()
    assert boots.silence(key, there.now() - 10) == 0
    assert boots.silence(boots.me, here.now() - 10) == 10
    world.real += 25
    assert here.look().silence(key, there.now() - 35) == 25


def test_a_clock_of_this_boot_that_goes_back(world: World) -> None:
    """The time goes on from where another process has seen it."""
    host = Host(world)
    host.look(write=True)
    back = Host(world, started=host.started + 1000)
    assert back.look(write=True).now == host.now()
    world.real += 5
    assert back.look().now == host.now()
    assert host.age(host, 0.0) == 5


def test_boots_of_which_nothing_is_stored_are_forgotten(world: World) -> None:
    """Where boots have no name, each process is one."""
    for number in range(9):
        host = Host(world, f"process {number}")
        boots = host.look(write=True)
        if number == 3:
            world.database.execute("INSERT INTO login VALUES ('x', 1, '', '', ?, 0)", (boots.me,))
        boots.forget_unused()
    names = [name for (name,) in world.database.execute("SELECT name FROM boot ORDER BY name")]
    assert names == ["process 3", "process 8"]
    assert world.database.execute("SELECT count(*) FROM sight").fetchone() == (1,)


def test_a_boot_that_another_one_has_forgotten(world: World) -> None:
    """It has stored nothing yet. Its process goes on under another key, not under that of the other boot."""
    first, second = Host(world, "first"), Host(world, "second")
    of_first = first.look(write=True)
    of_second = second.look()
    of_second.forget_unused()
    of_second.write()
    of_first.look()
    assert of_first.me == 0
    of_first.write()
    assert 0 not in (of_first.me, of_second.me)
    assert of_first.me != of_second.me


def test_a_login_of_a_boot_that_another_one_has_forgotten(tmp_path: Path) -> None:
    """Two hosts, or two processes where boots have no name: the second one sees that the first one is logging in."""
    hosts = Host(World(), "first"), Host(World(), "second", started=-9000.0)
    first, second = (LedgerFile(Storage(tmp_path / "ledger.db"), host.clock) for host in hosts)
    assert isinstance(first.grant(MAILBOX, IMAP_REQUEST, ("secret",))[0], Grant)
    assert second.grant(MAILBOX, IMAP_REQUEST, ("secret",))[0] is Denial.BUSY
    first.close()
    second.close()


def test_a_time_of_no_known_boot(world: World) -> None:
    """The file is damaged."""
    with pytest.raises(LedgerError, match="no known boot"):
        Host(world).look().at(17, 0.0)


class Owner:
    """A mailbox on one host that is started again and again, and how its ledger is asked."""

    def __init__(self) -> None:
        self.world = World()
        self.host = Host(self.world, "boot 0", started=0.0)
        self.boots = 0
        self.file: LedgerFile
        self.grants: list[tuple[int, float]] = []
        """The boot, and the seconds since then."""
        self.due: float | None = None
        """When the next login is due, in the seconds of this boot."""
        self.restart()

    def restart(self) -> None:
        """Another process."""
        self.file = LedgerFile.__new__(LedgerFile)
        self.file._path, self.file._database = None, self.world.database
        self.file._open(Clock(self.host.boot, self.host.now, self.host.wall))
        self.file.digest = "".join  # the real one is slow on purpose

    def reboot(self, off: float) -> None:
        """Another boot, after the host was off for so many seconds."""
        self.boots += 1
        self.world.real += off
        self.host = Host(self.world, f"boot {self.boots}", self.host.wrong, started=self.world.real)
        self.due = None
        self.restart()

    def log_in(self, retry: Retry = Retry.SAFE) -> None:
        """Log in if that is due."""
        now = self.host.now()
        granted, _ = self.file.grant(MAILBOX, REQUEST, ("secret",))
        if isinstance(granted, Grant):
            assert self.due is None or now >= self.due
            self.grants.append((self.boots, now))
            self.file.settle(granted, Verdict(retry=retry, is_good=retry is Retry.SAFE))
        (standing,) = self.file.standings([MAILBOX], ())
        due = standing.next_login_at(REQUEST, "other", self.host.now())
        if isinstance(granted, Denial):
            # What stops a login ends when it was said to end, and no wait is longer than itself.
            assert self.due is None or due <= max(self.due, now) + 1e-3
            assert due - now <= (DAY if standing.logins_of_day(now) >= REQUEST.most else LONGEST[granted])
        self.due = due


REQUEST = replace(IMAP_REQUEST, interval=900.0, most=4)
LONGEST = {Denial.INTERVAL: 900.0, Denial.BACKOFF: MAX_BACKOFF, Denial.WAIT24: WAIT24_INTERVAL}

SECONDS = st.sampled_from([0.0, 1.0, 60.0, 899.0, 900.0, 3600.0, 7200.0, DAY / 2, DAY, 3 * DAY])
STEPS = st.one_of(
    st.tuples(st.just("pass"), SECONDS),
    st.tuples(st.just("set"), st.sampled_from([-20 * YEARS, -DAY, -3600.0, -1.0, 1.0, 3600.0, DAY, 20 * YEARS])),
    st.tuples(st.just("restart"), st.just(0.0)),
    st.tuples(st.just("reboot"), SECONDS),
    st.tuples(st.just("log in"), st.sampled_from([0.0, 1.0, 2.0])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_any_clock(steps: list[tuple[str, float]]) -> None:
    """However the wall clock is set, the host suspended or started again: the ceiling of any day holds in each boot.

    And no login is stopped for longer than its wait, counted from the login or from the start of the boot.
    """
    owner = Owner()
    for what, how in steps:
        match what:
            case "pass":
                owner.world.real += how
            case "set":
                owner.host.wrong += how
            case "restart":
                owner.restart()
            case "reboot":
                owner.reboot(how)
            case _:
                owner.log_in((Retry.SAFE, Retry.BACKOFF, Retry.WAIT24)[int(how)])
        if what != "pass":
            owner.log_in()
    for boot in range(owner.boots + 1):
        logins = [at for of, at in owner.grants if of == boot]
        assert all(later - earlier >= 0.99 * 900 for earlier, later in pairwise(logins))
        assert all(later - earlier >= DAY for earlier, later in zip(logins, logins[4:], strict=False))


def test_a_clock_that_is_right_counts_over_boots(world: World) -> None:
    """The ceiling of a day holds over any number of boots, and a wait goes on."""
    owner = Owner()
    logins: list[float] = []
    for _ in range(400):
        before = len(owner.grants)
        owner.log_in()
        logins += [owner.world.real] * (len(owner.grants) - before)
        owner.reboot(1000.0)
    assert len(logins) == 4 + 4 * int(400 * 1000 // DAY)
    assert all(later - earlier >= DAY - 1e-3 for earlier, later in zip(logins, logins[4:], strict=False))


def test_stepping_back_all_day_gives_no_login_more() -> None:
    """A clock that is set back by an hour every 30 seconds: the ceiling holds, and the interval."""
    owner = Owner()
    for _ in range(int(DAY / 30)):
        owner.world.real += 30
        owner.host.wrong -= 3600
        owner.log_in()
    assert len(owner.grants) == 4


def test_a_login_of_2040_blocks_nobody_until_then() -> None:
    """After the clock was set right, and a boot, its interval has passed after its interval."""
    owner = Owner()
    owner.host.wrong = 14 * YEARS
    owner.log_in(Retry.BACKOFF)
    owner.host.wrong = 0.0
    owner.reboot(10.0)
    owner.log_in()
    assert owner.due == pytest.approx(1800.0)
    owner.world.real += 1800
    owner.log_in()
    assert len(owner.grants) == 2


def test_a_hold_has_no_time() -> None:
    """Neither years nor boots nor clocks end it."""
    owner = Owner()
    granted, _ = owner.file.grant(MAILBOX, REQUEST, ("secret",))
    assert isinstance(granted, Grant)
    owner.file.settle(granted, Verdict(retry=Retry.HOLD))
    for wrong in (-40 * YEARS, 0.0, 40 * YEARS):
        owner.host.wrong = wrong
        owner.reboot(10 * YEARS)
        assert owner.file.grant(MAILBOX, REQUEST, ("secret",))[0] is Denial.HOLD
