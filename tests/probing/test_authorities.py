"""The file of authorities is looked at without blocking, even where its file system never answers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.model.settings import Tls
from exporter.probing import authorities
from exporter.probing.authorities import context_of
from exporter.probing.client_tls import AuthoritiesUnreadable
from tests.servers.authority import Authority
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look of another test counts."""
    monkeypatch.setattr(authorities, "_looks", {})
    monkeypatch.setattr(authorities, "_good", {})


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody writes to: who opens it waits, as on a file system that hangs."""
    path = tmp_path / "ca.pem"
    os.mkfifo(path)
    yield path
    let_go(path)


def let_go(path: Path) -> None:
    """Let who waits for a writer read an empty file."""
    os.close(os.open(path, os.O_RDWR))


def threads() -> int:
    """The number of threads that look at a file."""
    return sum(thread.name == "authorities" for thread in threading.enumerate())


async def test_good_file(authority: Authority) -> None:
    """One context for all names of servers; without a file it is that of the system."""
    one = await context_of(Tls(ca_file=authority.ca_file))
    assert await context_of(Tls(ca_file=authority.ca_file, server_name="other.example.com")) is one
    assert await context_of(Tls()) is not one


async def test_changed_file(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again, after a moment; what cannot be read is told as often as it is asked for."""
    monkeypatch.setattr(authorities, "FRESH", PATIENCE)
    path = tmp_path / "ca.pem"
    with pytest.raises(AuthoritiesUnreadable, match=f"^{path}: No such file or directory$"):
        await context_of(Tls(ca_file=path))
    path.write_bytes(authority.ca_file.read_bytes())
    for _ in range(2):
        with pytest.raises(AuthoritiesUnreadable, match="No such file"):
            await context_of(Tls(ca_file=path))
    monkeypatch.setattr(authorities, "FRESH", 0.0)
    good = await context_of(Tls(ca_file=path))
    path.write_text("nothing")
    with pytest.raises(AuthoritiesUnreadable, match=f"^{path}: it holds no certificate$"):
        await context_of(Tls(ca_file=path))
    path.write_bytes(authority.ca_file.read_bytes() + b"\n")
    assert await context_of(Tls(ca_file=path)) is not good


async def test_hanging_file(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe ends with what is wrong, the event loop goes on, and one thread waits for all."""
    monkeypatch.setattr(authorities, "PATIENCE", 0.2)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count())
    asked = [context_of(Tls(ca_file=fifo)) for _ in range(20)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    counting.cancel()
    assert {str(error) for error in found} == {f"{fifo}: no answer of the file system within 0.2 s"}
    assert turns > 1
    monkeypatch.setattr("exporter.probing.authorities.asyncio.wait", None)
    with pytest.raises(AuthoritiesUnreadable):
        await context_of(Tls(ca_file=fifo))  # nobody waits again for a look that hangs
    assert threads() == 1


async def test_file_that_hangs_later(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before serves."""
    monkeypatch.setattr(authorities, "PATIENCE", 0.1)
    monkeypatch.setattr(authorities, "FRESH", 0.0)
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.ca_file.read_bytes())
    good = await context_of(Tls(ca_file=path))
    path.unlink()
    os.mkfifo(path)
    for _ in range(3):
        assert await context_of(Tls(ca_file=path)) is good
    let_go(path)
