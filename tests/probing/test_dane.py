"""TLSA records against certificates that the tests' authority has issued."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.model.domain import Tlsa
from exporter.probing.dane import DaneMismatch, check

if TYPE_CHECKING:
    from cryptography import x509

    from tests.servers.authority import Authority, Certificate

HASHES: dict[int, Callable[[bytes], bytes]] = {
    0: lambda data: data,
    1: lambda data: hashlib.sha256(data).digest(),
    2: lambda data: hashlib.sha512(data).digest(),
}


def record(usage: int, selector: int, matching: int, certificate: x509.Certificate) -> Tlsa:
    """The record of a certificate."""
    whole = certificate.public_bytes(Encoding.DER)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Tlsa(usage, selector, matching, HASHES[matching](whole if selector == 0 else key))


def chain(certificate: Certificate) -> list[bytes]:
    """What a server presents."""
    return [one.public_bytes(Encoding.DER) for one in certificate.chain]


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_end_entity(authority: Authority, selector: int, matching: int) -> None:
    """With DANE-EE neither name nor expiry counts (RFC 7672 §3.1.1)."""
    for certificate in (authority.expired, authority.self_signed, authority.wrong_name):
        check([record(3, selector, matching, certificate.leaf)], chain(certificate), "mx.example.com")


def test_trust_anchor(authority: Authority) -> None:
    """With DANE-TA the chain up to it, its dates and the name count (RFC 7672 §3.1.2)."""
    good = authority.short_intermediate
    anchor = record(2, 1, 1, good.chain[1])
    check([anchor], chain(good), "localhost")
    with pytest.raises(DaneMismatch):
        check([anchor], chain(good), "mx.example.com")
    # The anchor is presented, and has not issued the leaf.
    with pytest.raises(DaneMismatch):
        check([anchor], [chain(authority.self_signed)[0], chain(good)[1]], "localhost")
    # The leaf is no anchor.
    with pytest.raises(DaneMismatch):
        check([record(2, 1, 1, good.leaf)], chain(good), "localhost")


def test_one_of_several(authority: Authority) -> None:
    """While a key is changed, there are records of both."""
    old, new = authority.issue("old.example.com"), authority.issue("new.example.com")
    records = [record(3, 1, 1, old.leaf), record(3, 1, 1, new.leaf)]
    check(records, chain(new), "mx.example.com")
    text = r"^none of the 1 TLSA records \(3 1 1\) matches the certificate$"
    with pytest.raises(DaneMismatch, match=text):
        check(records[:1], chain(new), "mx.example.com")


def test_what_cannot_be_read(authority: Authority) -> None:
    """A certificate that is none matches by its octets alone; no certificate matches nothing."""
    odd = b"no certificate"
    check([Tlsa(3, 0, 0, odd)], [odd], "localhost")
    for records, presented in (
        ([Tlsa(3, 1, 0, odd)], [odd]),
        ([Tlsa(3, 0, 0, odd)], []),
        ([Tlsa(2, 0, 0, odd)], [chain(authority.expired)[0], odd]),
    ):
        with pytest.raises(DaneMismatch):
            check(records, presented, "localhost")
