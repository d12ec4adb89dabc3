"""BIND and Unbound do what their tests rely on: signatures, the AD flag, and changes at once."""

from __future__ import annotations

from collections.abc import Iterator

import dns.flags
import dns.message
import dns.query
import pytest

from tests.servers.bind import Bind, Unbound
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def bind() -> Iterator[Bind]:
    """A signed zone and one that is not."""
    with Bind({"example.com": "@ MX 10 mx1", "example.net": "@ MX 10 mx1"}, signed=["example.com"]) as server:
        yield server


def ask(host: str, port: int, name: str, kind: str) -> tuple[list[str], bool]:
    """Return the records, and whether the resolver says that they are authenticated."""
    question = dns.message.make_query(f"{name}.", kind, flags=dns.flags.RD | dns.flags.AD)
    answer = dns.query.udp(question, host, timeout=PATIENCE, port=port)
    records = [
        record.to_text() for rrset in answer.answer for record in rrset if rrset.rdtype == question.question[0].rdtype
    ]
    return records, bool(answer.flags & dns.flags.AD)


def test_signed_and_unsigned(bind: Bind) -> None:
    """Unbound verifies what has an anchor; BIND itself, and a resolver that verifies nothing, say nothing of it."""
    with Unbound(bind) as verifying, Unbound(bind, verifies=False) as other:
        assert ask("127.0.0.1", verifying.port, "example.com", "MX") == (["10 mx1.example.com."], True)
        assert ask("127.0.0.1", verifying.port, "example.net", "MX") == (["10 mx1.example.net."], False)
        assert ask("127.0.0.1", other.port, "example.com", "MX") == (["10 mx1.example.com."], False)
        assert ask("127.0.0.1", bind.port, "example.com", "MX") == (["10 mx1.example.com."], False)
        bind.put("new.example.com", "A", "127.0.0.1")
        assert ask("127.0.0.1", verifying.port, "new.example.com", "A") == (["127.0.0.1"], True)
        bind.put("new.example.com", "A", "127.0.0.2")
        assert ask("127.0.0.1", verifying.port, "new.example.com", "A") == (["127.0.0.2"], True)
        bind.put("new.example.com", "A")
        assert ask("127.0.0.1", verifying.port, "new.example.com", "A") == ([], True)
        bind.put("new.example.com", "A", "127.0.0.3")
        assert ask("127.0.0.1", verifying.port, "new.example.com", "A") == (["127.0.0.3"], True)
