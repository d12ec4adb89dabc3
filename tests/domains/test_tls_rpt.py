"""Whether a domain asks for reports."""

from __future__ import annotations

import pytest
from aiodns.error import DNSError

from exporter.domains.tls_rpt import is_announced, name_of
from exporter.probing.resolve import Resolver
from tests.servers.bind import Bind
from tests.servers.forwarder import Forwarder

RECORDS: dict[str, tuple[list[str], bool]] = {
    "missing": ([], False),
    "by mail": (['"v=TLSRPTv1; rua=mailto:reports@example.com"'], True),
    "as Google's": (['"v=TLSRPTv1;rua=mailto:sts-reports@google.com"'], True),
    "by HTTPS": (['"v=TLSRPTv1; rua=https://reports.example.com/v1"'], True),
    "to two": (['"v=TLSRPTv1; rua=mailto:a@example.com , https://b.example.com/"'], True),
    "space at the =": (['"v=TLSRPTv1; rua= mailto:a@example.com"', '"v=TLSRPTv1"'], False),
    "capital scheme": (['"v=TLSRPTv1; rua=MAILTO:a@example.com"'], True),
    "one of two is an address": (['"v=TLSRPTv1; rua=ftp://a.example.com,mailto:b@example.com"'], True),
    "beside others": (['"v=spf1 -all"', '"v=TLSRPTv1; rua=mailto:a@example.com"'], True),
    "two records": (['"v=TLSRPTv1; rua=mailto:a@example.com"', '"v=TLSRPTv1; rua=mailto:b@example.com"'], False),
    "another version": (['"v=TLSRPTv2; rua=mailto:a@example.com"'], False),
    "capital version": (['"V=TLSRPTV1; rua=mailto:a@example.com"'], False),
    "no rua": (['"v=TLSRPTv1;"'], False),
    "empty rua": (['"v=TLSRPTv1; rua="'], False),
    "no address": (['"v=TLSRPTv1; rua=mailto:"'], False),
    "no host": (['"v=TLSRPTv1; rua=https:"', '"v=spf1 -all"'], False),
    "without a scheme": (['"v=TLSRPTv1; rua=reports@example.com"'], False),
    "in the clear": (['"v=TLSRPTv1; rua=http://reports.example.com/"'], False),
    "octets that are no text": ([r'"v=TLSRPTv1; rua=\000\255"'], False),
}


@pytest.mark.parametrize("case", RECORDS)
async def test_record(bind: Bind, resolver: Resolver, case: str) -> None:
    """One record with an address of mail or of HTTPS (RFC 8460 §3)."""
    records, is_there = RECORDS[case]
    bind.put(name_of("example.com"), "TXT", *records)
    assert await is_announced(resolver, "example.com") is is_there


async def test_failing_server(bind: Bind) -> None:
    """That a server fails does not mean that there is no record."""
    async with Forwarder(bind.address) as server:
        server.faults = {"_smtp._tls.example.com": "refused"}
        resolver = Resolver([server.address])
        with pytest.raises(DNSError):
            await is_announced(resolver, "example.com")
        await resolver.close()
