"""The time by which a budget goes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from exporter.accounts.clock import BOOT_ID, Clock, boot_name
from tests.examples import Clock as Given


def test_it_goes_by_the_seconds_since_the_boot() -> None:
    """CLOCK_BOOTTIME, and the name of this boot: the same in every process."""
    one, other = Clock(), Clock()
    assert one.boot == other.boot == BOOT_ID.read_text("ascii").strip()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= one.now() <= other.now() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"  \n"], ids=["missing", "empty", "no-text", "blank"])
def test_without_a_name_each_process_is_a_boot(tmp_path: Path, content: bytes | None) -> None:
    """As in a sandbox that has no such file."""
    path = tmp_path / "boot_id"
    if content is not None:
        path.write_bytes(content)
    names = {boot_name(path) for _ in range(3)}
    assert len(names) == 3
    assert all(names)


def test_a_system_without_that_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic one is taken."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    before = time.monotonic()
    assert before <= Clock().now() <= time.monotonic()


def test_it_never_goes_back() -> None:
    """Where the system's clock does, it stands still, and goes on from there."""
    given = Given()
    clock = Clock("boot", given)
    assert clock.now() == 1000
    given.now = 999.5  # another thread was faster
    assert clock.now() == 1000
    given.now = 1000.5
    assert clock.now() == 1000.5
    given.now = 1000.0
    assert clock.now() == 1000.5
    given.now = 10.0
    assert clock.now() == 1000.5
    given.advance(5)
    assert clock.now() == 1005.5


def test_it_catches_up_with_another_process() -> None:
    """What that one has read is not in the future; what it read before changes nothing."""
    given = Given()
    clock = Clock("boot", given)
    clock.catch_up(400.0)
    assert clock.now() == 1000
    clock.catch_up(1500.0)
    given.advance(1)
    assert clock.now() == 1501


def test_unix_seconds_by_the_wall_clock_of_now() -> None:
    """For people: they change when the wall clock is set."""
    given, wall = Given(), Given()
    clock = Clock("boot", given, wall)
    wall.now = 5_000_000.0
    assert clock.unix(1060.0) == 5_000_060.0
    wall.now = 3_000_000.0
    assert clock.unix(1060.0) == 3_000_060.0
    assert clock.unix(float("inf")) == float("inf")
