"""The name servers of these tests: zones of BIND, and Unbound that verifies the signed one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from exporter.domains import mta_sts
from exporter.probing.resolve import Resolver
from tests.domains.policy_bench import ZONE, Bench
from tests.servers.bind import Bind, Unbound
from tests.servers.policy_host import PolicyHost

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority

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
    "example.net": "\n".join(f"many MX {number} mx{number}" for number in range(1, 101)),
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


@pytest.fixture(scope="module")
def signed() -> Iterator[Bind]:
    """One BIND for the tests of this file: a signed zone, and one that is not."""
    with Bind({"example.com": ZONE, "example.net": ZONE}, signed=["example.com"]) as server:
        yield server


@pytest.fixture(scope="module")
def unbound(signed: Bind) -> Iterator[Unbound]:
    """The resolver that verifies it."""
    with Unbound(signed) as server:
        yield server


@pytest.fixture
async def bench(
    signed: Bind,
    unbound: Unbound,
    authority: Authority,
    scripted: StartScripted,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bench]:
    """A domain that is as it should be; afterwards its records are as before."""
    host = PolicyHost()
    context = authority.issue("mta-sts.example.com", "mta-sts.example.net").context
    server = await scripted(host, security="tls", context=context)
    monkeypatch.setattr(mta_sts, "PORT", server.port)
    yield Bench(signed, unbound.address, authority, host)
    signed.put("_mta-sts.example.com", "TXT", '"v=STSv1; id=1;"')
    for name in ("_25._tcp.mx1.example.com", "_25._tcp.mx1.example.net"):
        signed.put(name, "TLSA")
