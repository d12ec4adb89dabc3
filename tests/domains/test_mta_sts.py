"""MTA-STS policies: their text, which exchanges they cover, and the host that serves them."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiodns.error import ARES_ESERVFAIL, DNSError
from hypothesis import given
from hypothesis import strategies as st

from exporter.domains import mta_sts
from exporter.domains.mta_sts import MAX_AGE, Invalid, Unreachable, fetch, look_up_id, parse
from exporter.model.domain import Mode, Policy
from exporter.model.settings import Tls
from exporter.probing.resolve import Resolver
from tests.servers import acts
from tests.servers.bind import Bind
from tests.servers.forwarder import Forwarder
from tests.servers.pages import Pages, reply
from tests.servers.policy_host import ENFORCE, PolicyHost
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority

HEAD = b"version: STSv1\nmode: enforce\n"
TAIL = b"max_age: 600\n"

VALID: dict[str, tuple[bytes, Policy]] = {
    "LF": (HEAD + b"mx: a.example.com\n" + TAIL, Policy(Mode.ENFORCE, ("a.example.com",), 600)),
    "CRLF": (
        (HEAD + b"mx: a.example.com\n" + TAIL).replace(b"\n", b"\r\n"),
        Policy(Mode.ENFORCE, ("a.example.com",), 600),
    ),
    "no end of the last line": (
        HEAD + b"mx: a.example.com\nmax_age: 600",
        Policy(Mode.ENFORCE, ("a.example.com",), 600),
    ),
    "empty lines": (b"\n" + HEAD + b"\r\n\nmx:a\n" + TAIL + b"\n\n", Policy(Mode.ENFORCE, ("a",), 600)),
    "tabs and spaces": (b"version:STSv1 \nmode:\tnone\t\nmax_age:  1 ", Policy(Mode.NONE, (), 1)),
    "another order": (TAIL + b"mx: b\nmode: testing\nmx: a\nversion: STSv1", Policy(Mode.TESTING, ("b", "a"), 600)),
    "capital letters": (HEAD + b"mx: *.MX.Example.COM\n" + TAIL, Policy(Mode.ENFORCE, ("*.mx.example.com",), 600)),
    "an A-label": (
        HEAD + b"mx: xn--mnchen-3ya.example\n" + TAIL,
        Policy(Mode.ENFORCE, ("xn--mnchen-3ya.example",), 600),
    ),
    "unknown fields": (HEAD + b"mx: a\nfuture: a:b\n" + TAIL, Policy(Mode.ENFORCE, ("a",), 600)),
    "repeated fields": (HEAD + b"mode: none\nmx: a\n" + TAIL + b"max_age: 7\n", Policy(Mode.ENFORCE, ("a",), 600)),
    "no age": (HEAD + b"mx: a\nmax_age: 0", Policy(Mode.ENFORCE, ("a",), 0)),
    "a very long age": (HEAD + b"mx: a\nmax_age: 9999999999", Policy(Mode.ENFORCE, ("a",), MAX_AGE)),
}


@pytest.mark.parametrize("case", VALID)
def test_valid_policy(case: str) -> None:
    """RFC 8461 §3.2."""
    body, policy = VALID[case]
    assert parse(body) == policy


INVALID: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "version must be STSv1, not missing"),
    "no version": (b"mode: enforce\nmx: a\n" + TAIL, "version must be STSv1, not missing"),
    "another version": (b"version: STSv2\nmode: enforce\nmx: a\n" + TAIL, "version must be STSv1, not STSv2"),
    "version in small letters": (b"version: stsv1\nmode: none\n" + TAIL, "version must be STSv1, not stsv1"),
    "a byte order mark": (b"\xef\xbb\xbf" + HEAD + b"mx: a\n" + TAIL, "version must be STSv1, not missing"),
    "UTF-16": (HEAD.decode().encode("utf-16"), "a line is not of the form name: value: \\x00"),
    "no mode": (b"version: STSv1\nmx: a\n" + TAIL, "mode must be enforce, testing or none, not missing"),
    "mode in capitals": (b"version: STSv1\nmode: Enforce\n", "mode must be enforce, testing or none, not Enforce"),
    "space before the colon": (b"version: STSv1\nmode : none\n", "mode must be enforce, testing or none, not missing"),
    "no mx": (HEAD + TAIL, "it names no mx"),
    "an empty mx": (HEAD + b"mx:\n" + TAIL, "mx must be a host, or *. and a domain, not "),
    "CR alone": (b"version: STSv1\rmode: none\r", "version must be STSv1, not STSv1\\rmode: none"),
    "no age": (HEAD + b"mx: a\n", "max_age must be seconds, not missing"),
    "a negative age": (HEAD + b"mx: a\nmax_age: -1", "max_age must be seconds, not -1"),
    "a fraction": (HEAD + b"mx: a\nmax_age: 1.5", "max_age must be seconds, not 1.5"),
    "an age in words": (HEAD + b"mx: a\nmax_age: 1d", "max_age must be seconds, not 1d"),
    "an endless age": (HEAD + b"mx: a\nmax_age: " + b"9" * 400, f"max_age must be seconds, not {'9' * 80}"),
    "digits of another script": (HEAD + "mx: a\nmax_age: ١٢".encode(), "max_age must be seconds, not ١٢"),
    "a web page": (b"<!DOCTYPE html>\n<html>", "a line is not of the form name: value: <!DOCTYPE html>"),
}  # fmt: skip

WRONG_PATTERNS = [
    "*", "*.", ".example.com", "a.*.example.com", "*a.example.com", "*.*.example.com", "a..example.com",
    "a.example.com.", "*.example.com.", "-a.example.com", "a-.example.com", "münchen.example",
    "a example.com", "a,b", "a/b", "[192.0.2.1]",
    "a" * 64 + ".example.com", ".".join(["a" * 60] * 5), "user@example.com", "https://a.example.com",
]  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_invalid_policy(case: str) -> None:
    """What senders take for no policy; the words say what was wanted and found."""
    body, text = INVALID[case]
    with pytest.raises(Invalid) as raised:
        parse(body)
    assert str(raised.value) == text


@pytest.mark.parametrize("pattern", WRONG_PATTERNS)
def test_invalid_pattern(pattern: str) -> None:
    """It is a domain of RFC 5321 §4.1.2, or *. and one: no dot at the end, no other script, no star elsewhere."""
    with pytest.raises(Invalid, match=r"^mx must be a host, or \*\. and a domain, not "):
        parse(HEAD + f"mx: a\nmx: {pattern}\n".encode() + TAIL)


COVERED: list[tuple[str, str, bool]] = [
    ("mx1.example.com", "mx1.example.com", True),
    ("mx1.example.com", "mx2.example.com", False),
    ("mx1.example.com", "a.mx1.example.com", False),
    ("*.example.com", "mx1.example.com", True),
    ("*.example.com", "example.com", False),
    ("*.example.com", "a.mx1.example.com", False),
    ("*.example.com", "mx1.example.com.evil.example", False),
    ("*.example.com", "mx1example.com", False),
    ("*.com", "example.com", True),
    ("*.com", "mx.example.com", False),
    ("example", "example", True),
    ("*.mx.example.com", "mx.example.com", False),
    ("*.gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com", True),
    ("*.gmail-smtp-in.l.google.com", "gmail-smtp-in.l.google.com", False),
]


@pytest.mark.parametrize(("pattern", "host", "is_covered"), COVERED)
def test_covered(pattern: str, host: str, *, is_covered: bool) -> None:
    """RFC 8461 §4.1: the star stands for exactly one label, the leftmost."""
    policy = parse(HEAD + f"mx: {pattern.upper()}\n".encode() + TAIL)
    assert policy.covers(host) is is_covered


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: HEAD + TAIL + b"mx: " + text.encode()))
def test_any_body(body: bytes) -> None:
    """Whatever a policy host sends is a policy or none; its words stay short."""
    try:
        policy, said = parse(body), ""
    except Invalid as error:
        policy, said = Policy(Mode.NONE, (), 0), str(error)
    assert len(said) < 700
    assert said.isprintable()
    assert 0 <= policy.max_age <= MAX_AGE
    assert all(pattern.isascii() for pattern in policy.patterns)


IDS: dict[str, str | None] = {
    '"v=STSv1; id=20190429T010101;"': "20190429T010101",
    '"v=STSv1;id=1"': "1",
    '"v=STSv1; id=' + "a" * 32 + '"': "a" * 32,
    '"v=STSv1; future=x; id=1"': "1",
    '"v=STSv2; id=1"': None,
}

WRONG_IDS = [
    '"v=STSv1"', '"v=STSv1;"', '"v=STSv1; id="', '"v=STSv1; ID=1"', '"v=STSv1; id=1.0"', '"v=STSv1; id = 1"',
    '"v=STSv1; id= 1"', '"v=STSv1, id=1"',
    '"v=STSv1; id=' + "a" * 33 + '"', r'"v=STSv1; id=\255"', r'"v=STSv1; id=1\000"', r'"v=STSv1; id=\217\161"',
]  # fmt: skip


async def test_id(bind: Bind, resolver: Resolver) -> None:
    """RFC 8461 §3.1: 1 to 32 letters and digits."""
    for number, (record, found) in enumerate(IDS.items()):
        bind.put(f"_mta-sts.{number}.example.com", "TXT", record)
        assert await look_up_id(resolver, f"{number}.example.com") == found
    for number, record in enumerate(WRONG_IDS):
        bind.put(f"_mta-sts.w{number}.example.com", "TXT", record)
        if record == '"v=STSv1, id=1"':
            assert await look_up_id(resolver, f"w{number}.example.com") is None
            continue
        with pytest.raises(Invalid) as raised:
            await look_up_id(resolver, f"w{number}.example.com")
        assert str(raised.value).isprintable()


@pytest.fixture
def policy_host() -> PolicyHost:
    """What mta-sts.example.com answers."""
    return PolicyHost()


async def fetched(
    scripted: StartScripted,
    authority: Authority,
    resolver: Resolver,
    bind: Bind,
    monkeypatch: pytest.MonkeyPatch,
    behave: object,
    *,
    names: tuple[str, ...] = ("mta-sts.example.com",),
    context: ssl.SSLContext | None = None,
    seconds: float = 5.0,
    tls: Tls | None = None,
) -> Policy:
    """Fetch the policy of example.com from a host that behaves so."""
    context = context or authority.issue(*names).context
    server = await scripted(behave, security="tls", context=context)  # type: ignore[arg-type]
    bind.put("mta-sts.example.com", "A", "127.0.0.1")
    monkeypatch.setattr(mta_sts, "PORT", server.port)
    return await fetch(resolver, "example.com", tls or Tls(ca_file=authority.ca_file), seconds)


def answers(status: int = 200, body: bytes = ENFORCE, **headers: str) -> Pages:
    """A host with this answer, of the type text/plain."""
    return Pages(
        reply(status, body, {"Content-Type": "text/plain", **{k.replace("_", "-"): v for k, v in headers.items()}})
    )


TYPES = ["text/plain", "Text/Plain", "text/plain; charset=utf-8", "text/plain;charset=us-ascii"]


@pytest.mark.parametrize("kind", TYPES)
async def test_content_type(
    scripted: StartScripted,
    authority: Authority,
    resolver: Resolver,
    bind: Bind,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """RFC 8461 §3.2: text/plain, whatever its parameters."""
    served = answers(Content_Type=kind)
    policy = await fetched(scripted, authority, resolver, bind, monkeypatch, served)
    assert policy.mode is Mode.ENFORCE


NO_POLICY: dict[str, tuple[Pages, type[Exception], str]] = {
    "302": (answers(302, Location="https://example.com/"), Unreachable, "redirects (status 302)"),
    "304": (answers(304), Unreachable, "redirects (status 304)"),
    "404": (answers(404), Unreachable, "answers with status 404"),
    "204": (answers(204, b""), Unreachable, "answers with status 204"),
    "203": (answers(203), Unreachable, "answers with status 203"),
    "500": (answers(500), Unreachable, "answers with status 500"),
    "no type": (Pages(reply(200, ENFORCE)), Invalid, "the content type is missing, not text/plain"),
    "HTML": (answers(Content_Type="text/html"), Invalid, "the content type is text/html, not text/plain"),
    "a hostile type": (answers(Content_Type="x" * 900), Invalid, f"the content type is {'x' * 80}, not text/plain"),
    "one octet too large": (
        answers(body=ENFORCE.ljust(64 * 1024 + 1, b"\n")),
        Invalid,
        "mta-sts.example.com: the answer is larger than 65536 octets",
    ),
    "compressed": (answers(Content_Encoding="gzip"), Unreachable, "the answer is compressed"),
    "not HTTP": (Pages(b"220 mx.example.com ESMTP\r\n"), Unreachable, "mta-sts.example.com: "),
    "half of it": (Pages(reply(200, b"ver", {"Content-Length": "90"})), Unreachable, "mta-sts.example.com: "),
    "nothing": (Pages(b""), Unreachable, "mta-sts.example.com: "),
}


@pytest.mark.parametrize("case", NO_POLICY)
async def test_no_policy(
    scripted: StartScripted,
    authority: Authority,
    resolver: Resolver,
    bind: Bind,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    """What the policy host says is the fault of whoever runs it."""
    pages, kind, text = NO_POLICY[case]
    with pytest.raises(kind) as raised:
        await fetched(scripted, authority, resolver, bind, monkeypatch, pages)
    assert text in str(raised.value)
    assert getattr(raised.value, "is_certain", True)


async def test_largest_policy(
    scripted: StartScripted, authority: Authority, resolver: Resolver, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 KiB are taken."""
    pages = answers(body=ENFORCE.ljust(64 * 1024, b"\n"))
    assert (await fetched(scripted, authority, resolver, bind, monkeypatch, pages)).mode is Mode.ENFORCE


async def test_certificate_for_another_name(
    scripted: StartScripted, authority: Authority, resolver: Resolver, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must be for the policy host (RFC 8461 §3.3), and for nothing that a server_name of the configuration says."""
    with pytest.raises(Unreachable, match=r"^mta-sts.example.com: .*mismatch") as raised:
        await fetched(
            scripted, authority, resolver, bind, monkeypatch, PolicyHost(), names=("example.com", "a.example.com"),
            tls=Tls(ca_file=authority.ca_file, server_name="a.example.com"),
        )  # fmt: skip
    assert raised.value.is_certain


async def test_nobody_answers(
    scripted: StartScripted, authority: Authority, resolver: Resolver, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose fault that is, is not known: a firewall may be in the way."""
    with pytest.raises(Unreachable, match=r"^mta-sts.example.com: no whole answer within 0.3 s$") as raised:
        await fetched(scripted, authority, resolver, bind, monkeypatch, acts.silence, seconds=0.3)
    assert not raised.value.is_certain
    bind.put("mta-sts.refused.example.com", "A", "127.0.0.9")
    with pytest.raises(Unreachable, match=r"^mta-sts.refused.example.com: Connection refused$") as raised:
        await fetch(resolver, "refused.example.com", Tls(ca_file=authority.ca_file), 5)
    assert not raised.value.is_certain


async def test_name_of_the_policy_host(bind: Bind, authority: Authority) -> None:
    """One that does not exist is the domain's fault; a resolver that fails is a failed look-up, and nobody's yet."""
    tls = Tls(ca_file=authority.ca_file)
    async with Forwarder(bind.address) as server:
        resolver = Resolver([server.address])
        for fault in ("nxdomain", None):
            server.faults = {"mta-sts.text.example.com": fault} if fault else {}
            bind.put("mta-sts.text.example.com", "TXT", "text")
            with pytest.raises(Unreachable) as raised:
                await fetch(resolver, "text.example.com", tls, 5)
            assert raised.value.is_certain
        server.faults = {"mta-sts.example.com": "servfail"}
        with pytest.raises(DNSError) as failed:
            await fetch(resolver, "example.com", tls, 5)
        assert failed.value.args[0] == ARES_ESERVFAIL
        server.faults = {"mta-sts.example.com": "silence"}
        with pytest.raises(Unreachable) as raised:
            await fetch(resolver, "example.com", tls, 0.3)
        assert not raised.value.is_certain
        await resolver.close()


async def test_unreadable_authorities(resolver: Resolver, tmp_path: Path) -> None:
    """That the exporter's own file of authorities is gone is no fault of the domain."""
    with pytest.raises(Unreachable) as raised:
        await fetch(resolver, "example.com", Tls(ca_file=tmp_path / "gone.pem"), 5)
    assert not raised.value.is_certain
    assert str(raised.value).startswith(str(tmp_path))


async def test_slow_octets(
    scripted: StartScripted, authority: Authority, resolver: Resolver, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that trickles does not hold a fetch beyond its time."""
    pages = answers()
    pages.pause = 0.05
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Unreachable, match="no whole answer within 0.4 s"):
            await fetched(scripted, authority, resolver, bind, monkeypatch, pages, seconds=0.4)
