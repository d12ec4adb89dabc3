"""Records that begin with a version, as BIND serves them, and what hostile ones give."""

from __future__ import annotations

import pytest
from aiodns.error import ARES_ESERVFAIL, DNSError
from hypothesis import given
from hypothesis import strategies as st

from exporter.domains.txt import Ambiguous, fields_of, look_up
from exporter.probing.resolve import Resolver
from tests.servers.bind import Bind
from tests.servers.forwarder import Forwarder

NAME = "_record.example.com"

RECORDS: dict[str, tuple[list[str], str | None]] = {
    "none": ([], None),
    "another": (['"v=spf1 -all"'], None),
    "one": (['"v=V1; a=b"'], "v=V1; a=b"),
    "beside others": (['"v=spf1 -all"', '"v=V1; a=b"', '"V1"', '""'], "v=V1; a=b"),
    "in pieces": (['"v=V" "1;" "a=" "b"'], "v=V1;a=b"),
    "space before the semicolon": (['"v=V1 ; a=b"'], "v=V1 ; a=b"),
    "a version alone": (['"v=V1"'], "v=V1"),
    "a version alone beside a record": (['"v=V1"', '"v=V1; a=b"'], "v=V1; a=b"),
    "capital letters": (['"V=V1; a=b"', '"v=v1; a=b"'], None),
    "a longer version": (['"v=V10; a=b"', '"v=V1a=b"'], None),
    "space before the version": (['" v=V1; a=b"'], None),
    "the version later": (['"a=b; v=V1"'], None),
    "octets that are no text": ([r'"\255\000\010v=V1"', r'"v=V1; a=\255\000"'], "v=V1; a=\xff\x00"),
    "very long": ([" ".join(['"' + "v=V1;a=".ljust(255, "x") + '"'] * 40)], ("v=V1;a=".ljust(255, "x")) * 40),
}


@pytest.mark.parametrize("case", RECORDS)
async def test_record(bind: Bind, resolver: Resolver, case: str) -> None:
    """Records of another version are as none (RFC 8461 §3.1), the strings of one record one text."""
    records, found = RECORDS[case]
    bind.put(NAME, "TXT", *records)
    assert await look_up(resolver, NAME, "V1") == found


async def test_two_records(bind: Bind, resolver: Resolver) -> None:
    """Then none is valid."""
    bind.put(NAME, "TXT", '"v=V1; a=b"', '"v=V1;a=c"')
    with pytest.raises(Ambiguous, match=r"^_record.example.com has 2 TXT records that begin with v=V1$"):
        await look_up(resolver, NAME, "V1")


async def test_alias(bind: Bind, resolver: Resolver) -> None:
    """The record may be at the end of an alias; one that ends nowhere is none."""
    bind.put("end.example.com", "TXT", '"v=V1"')
    bind.put("alias-of-record.example.com", "CNAME", "end.example.com.")
    assert await look_up(resolver, "alias-of-record.example.com", "V1") == "v=V1"
    bind.put("loose.example.com", "CNAME", "nowhere.example.com.")
    assert await look_up(resolver, "loose.example.com", "V1") is None


async def test_failing_server(bind: Bind) -> None:
    """That a server fails does not mean that there is no record."""
    async with Forwarder(bind.address) as server:
        server.faults = {NAME: "servfail"}
        resolver = Resolver([server.address])
        with pytest.raises(DNSError) as raised:
            await look_up(resolver, NAME, "V1")
        await resolver.close()
        assert raised.value.args[0] == ARES_ESERVFAIL


FIELDS: dict[str, dict[str, str]] = {
    "": {},
    ";;;": {},
    "v=V1": {"v": "V1"},
    "v=V1;id=1;id=2": {"v": "V1", "id": "1"},
    " v=V1 ;\tid=1 ": {"v": "V1", "id": "1"},
    "v=V1; id": {"v": "V1"},
    "v=V1; id=": {"v": "V1", "id": ""},
    "v=V1; id =1; a= b": {"v": "V1", "id ": "1", "a": " b"},
    "v=V1; a=b=c": {"v": "V1", "a": "b=c"},
    "=x": {"": "x"},
}


@pytest.mark.parametrize("text", FIELDS)
def test_fields(text: str) -> None:
    """Of two with one name the first counts; what has no = is none."""
    assert fields_of(text) == FIELDS[text]


@given(st.text(alphabet="v=;V1 \t\0é", max_size=30))
def test_fields_of_anything(text: str) -> None:
    """Whatever is in a record."""
    assert all(";" not in name + value for name, value in fields_of(text).items())
