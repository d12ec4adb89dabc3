"""For tests of sources: servers of the test's own, on loopback alone."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping

import pytest

from exporter.probing.resolve import Resolver
from tests.probing.conftest import LoopFactory, fill_backlog, pytest_asyncio_loop_factories, scripted
from tests.servers.authority import Authority
from tests.servers.dns import NameServer

__all__ = ["LoopFactory", "fill_backlog", "pytest_asyncio_loop_factories", "scripted"]

NAMES: Mapping[str, list[str]] = {
    "www.google.com": ["127.0.0.1"],
    "imap.gmail.com": ["127.0.0.1"],
    "mail.example.com": ["127.0.0.1"],
    "both.example": ["127.0.0.1", "::1"],
}


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    """A name server that knows some names, all of them on loopback."""
    async with NameServer(NAMES) as server:
        yield server


@pytest.fixture
async def resolver(names: NameServer) -> AsyncIterator[Resolver]:
    """A resolver that asks it."""
    made = Resolver([names.address])
    yield made
    await made.close()


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """A client's context that trusts the tests' authority."""
    return ssl.create_default_context(cafile=str(authority.ca_file))
