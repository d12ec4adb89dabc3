"""What a header tells of the sender and of the way, whoever wrote it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.deliveries.headers import MAX_HOPS, authentication, hops
from exporter.model.delivery import Hop

GMAIL = b"""\
Received: by 2002:a05:6a10:1234:b0:5f:1:2 with SMTP id x1csp1;\r
        Fri, 26 Jul 2024 08:02:32 -0700 (PDT)\r
Received: from mail-sor-f41.google.com (mail-sor-f41.google.com. [209.85.220.41])\r
        by mx.google.com with SMTPS id d2e1a72fcca58sor1;\r
        Fri, 26 Jul 2024 08:02:30 -0700 (PDT)\r
Authentication-Results: mx.google.com;\r
       dkim=pass header.i=@gmail.com header.s=20230601 header.b=AbC;\r
       spf=pass (google.com: domain of ops@gmail.com designates 209.85.220.41 as permitted sender) smtp.mailfrom=a@b;\r
       dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=gmail.com;\r
       dara=pass header.i=@gmail.com\r
Received: from [192.0.2.1] ([192.0.2.1])\r
        by smtp.gmail.com with ESMTPSA id d2e1a72fcca58;\r
        Fri, 26 Jul 2024 15:02:29 +0000\r
Message-ID: <x@gmail.com>\r
\r
"""


def at_gmail(header: bytes) -> dict[str, str]:
    """What Gmail says, as plain text."""
    found = authentication(header, "imap.gmail.com", "probe@gmail.com")
    return {str(method): str(result) for method, result in found.items()}


def elsewhere(header: str) -> dict[str, str]:
    """What another receiver says."""
    found = authentication(header.encode(), "imap.example.net", "probe@example.com")
    return {str(method): str(result) for method, result in found.items()}


def test_gmail() -> None:
    """Gmail's own header: three results, and the way by the clocks of its servers."""
    assert at_gmail(GMAIL) == {"dkim": "pass", "spf": "pass", "dmarc": "pass"}
    assert hops(GMAIL) == (Hop("mx.google.com", 1.0), Hop("2002:a05:6a10:1234:b0:5f:1:2", 2.0))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Authentication-Results: mx.example.com; spf=fail", {"spf": "fail"}),
        ("Authentication-Results: example.com 1; dkim=PASS", {"dkim": "pass"}),
        ("Authentication-Results: IMAP.example.net; dmarc = none", {"dmarc": "none"}),
        ("Authentication-Results: mx.example.com; none", {}),
        ("Authentication-Results: mx.example.com", {}),
        ("Authentication-Results: mx.example.com; spf=hardfail; dkim=pass; dmarc=pass2", {"dkim": "pass"}),
        ("Authentication-Results: mx.example.com; arc=pass; iprev=pass; x-spf=pass", {}),
        # Two signatures, of which one is right
        ("Authentication-Results: mx.example.com; dkim=fail; dkim=pass; dkim=neutral", {"dkim": "pass"}),
        ("Authentication-Results: mx.example.com; dkim=fail; dkim=neutral", {"dkim": "fail"}),
        # A server that says it received the message is the receiver's
        (
            "Received: from a by mx7.hoster.example; x\nAuthentication-Results: mx7.hoster.example; spf=pass",
            {"spf": "pass"},
        ),
        (
            "Received: by box.hoster.example; x\nReceived: by mx7.hoster.example; x\n"
            "Authentication-Results: mx7.hoster.example; spf=fail\nReceived: by smtp.sender.example; x",
            {"spf": "fail"},
        ),
        # One that took it from the sender is the sender's
        (
            "Received: by mx7.hoster.example; x\nAuthentication-Results: smtp.sender.example; spf=pass\n"
            "Received: by smtp.sender.example; x\nReceived: by smtp.sender.example; x",
            {},
        ),
        # unless it delivers the message itself
        (
            "Received: by one.example; x\nReceived: by filter.example; x\n"
            "Authentication-Results: one.example; spf=none\nReceived: by one.example; x",
            {"spf": "none"},
        ),
        # SPF of EHLO, and of the sender, in any order
        ("Authentication-Results: example.com; spf=pass smtp.helo=a; spf=fail smtp.mailfrom=b", {"spf": "fail"}),
        ("Authentication-Results: example.com; spf=fail smtp.mailfrom=b; spf=pass smtp.helo=a", {"spf": "fail"}),
        ("Authentication-Results: example.com; spf=softfail smtp . HELO=a", {"spf": "softfail"}),
        ("Authentication-Results: example.com; spf=fail smtp.mailfrom=a; spf=pass smtp.mailfrom=b", {"spf": "fail"}),
        # Versions
        (
            "Authentication-Results: example.com 1; dkim/1=pass; spf / 1 = fail; dmarc/2=pass",
            {"dkim": "pass", "spf": "fail"},
        ),
        ("Authentication-Results: example.com 2; dkim=pass", {}),
        # Others are not
        ("Authentication-Results: mx.attacker.example; spf=pass", {}),
        ("Authentication-Results: notexample.com; spf=pass", {}),
        ("Authentication-Results: mx.google.com; spf=pass", {}),
        # The topmost of the receiver's own counts, whatever stands around it
        (
            "Authentication-Results: attacker.example; spf=pass\nAuthentication-Results: example.com; spf=fail\n"
            "Authentication-Results: example.com; spf=pass",
            {"spf": "fail"},
        ),
        # Comments and quoted text say nothing
        ("Authentication-Results: example.com; spf=fail (dkim=pass; dmarc=pass)", {"spf": "fail"}),
        ('Authentication-Results: example.com; spf=fail reason="x; dkim=pass"', {"spf": "fail"}),
        ("Authentication-Results: (attacker) example.com (x (y) \\) z); (c) spf(c)=(c)pass", {"spf": "pass"}),
        ("Authentication-Results: example.com; (spf=pass", {}),
        ("Subject: x\n\nAuthentication-Results: example.com; spf=pass", {}),
    ],
)
def test_others(header: str, expected: dict[str, str]) -> None:
    """Only the topmost field of the receiver's own counts, and only what is plain."""
    assert elsewhere(header) == expected


def test_only_google_speaks_for_google() -> None:
    """At Google, no other name is the receiver's, not even the recipient's own domain."""
    assert at_gmail(b"Authentication-Results: gmail.com; spf=pass") == {}
    assert at_gmail(b"Authentication-Results: mx.google.com; spf=pass") == {"spf": "pass"}


def test_odd_ways() -> None:
    """What has no date, no name or no zone is passed over; clocks may differ; the number is bounded."""
    assert hops(b"Received: by a; nonsense\r\nReceived: by b\r\nReceived: x; Fri, 26 Jul 2024 15:02:29 +0000") == ()
    text = "Received: by a; Fri, 26 Jul 2024 15:02:29 +0000\r\nReceived: by b; Fri, 26 Jul 2024 15:02:34 +0000\r\n"
    assert hops(text.encode()) == (Hop("a", -5.0),)
    assert len(hops((text * 100).encode())) == MAX_HOPS - 1


@pytest.mark.parametrize(
    "field",
    [
        "mx.example.com " + "(" * 200_000 + ")" * 200_000 + "; spf=pass",
        "mx.example.com; " + "; ".join(["spf=pass smtp.mailfrom=a@b"] * 50_000),
        "mx.example.com;" + " " * 500_000 + "spf=pass",
        'mx.example.com; spf=pass "' + "a" * 500_000,
        "mx.example.com; spf=pass (" + "\\" * 500_001,
        "a." * 200_000,
        "spf=" * 200_000,
    ],
)
def test_hostile(field: str) -> None:
    """However long and deep a field is, it is read in a moment."""
    began = time.perf_counter()
    for name in ("Authentication-Results", "Received"):
        header = f"{name}: {field}; Fri, 26 Jul 2024 15:02:29 +0000\r\n".encode() * 3
        authentication(header, "imap.example.net", "probe@example.com")
        hops(header)
    assert time.perf_counter() - began < 10


@given(st.binary(max_size=300))
def test_anything(octets: bytes) -> None:
    """Any header is read without a fault."""
    for name in (b"", b"Authentication-Results: mx.example.com; ", b"Received: by a; "):
        authentication(name + octets, "imap.example.net", "probe@example.com")
        assert all(hop.by.isprintable() for hop in hops((name + octets + b"\r\n") * 2))
