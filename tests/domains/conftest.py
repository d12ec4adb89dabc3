"""The name servers of these tests: zones of BIND, and Unbound that verifies the signed one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from exporter.probing.resolve import Resolver
from tests.servers.bind import Bind

ZONES = {
    "example.com": """
@ MX 20 mx2
@ MX 10 mx1
mx1 A 127.0.0.1
mx2 A 127.0.0.2
alias CNAME example.com.
implicit A 127.0.0.3
null MX 0 .
half MX 0 .
half MX 5 MX1.Example.COM.
twice MX 20 mx1
twice MX 10 mx1
equal MX 10 b
equal MX 10 a
text TXT "no mail here"
""",
    "example.net": "\n".join(f"many MX {number} mx{number}" for number in range(1, 26)),
}


@pytest.fixture(scope="module")
def bind() -> Iterator[Bind]:
    """One BIND for the tests of a file."""
    with Bind(ZONES) as server:
        yield server


@pytest.fixture
async def resolver(bind: Bind) -> AsyncIterator[Resolver]:
    """A resolver that asks it."""
    resolver = Resolver([bind.address])
    yield resolver
    await resolver.close()
