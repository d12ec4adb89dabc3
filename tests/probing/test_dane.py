"""TLSA records against certificates that the tests' authority has issued."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from exporter.model.domain import Dane, Tlsa
from exporter.probing.dane import DaneMismatch, check

if TYPE_CHECKING:
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


def by(*records: Tlsa, names: tuple[str, ...] = ("mx.example.com",)) -> Dane:
    """The records of an exchange of one of these names."""
    return Dane(records, names)


def chain(certificate: Certificate) -> list[bytes]:
    """What a server presents."""
    return [one.public_bytes(Encoding.DER) for one in certificate.chain]


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_end_entity(authority: Authority, selector: int, matching: int) -> None:
    """With DANE-EE neither name nor expiry counts (RFC 7672 §3.1.1)."""
    for certificate in (authority.expired, authority.self_signed, authority.wrong_name):
        check(by(record(3, selector, matching, certificate.leaf)), chain(certificate))


def test_trust_anchor(authority: Authority) -> None:
    """With DANE-TA the chain up to it, its dates and the name count (RFC 7672 §3.1.2)."""
    good = authority.short_intermediate
    anchor = by(record(2, 1, 1, good.chain[1]), names=("localhost",))
    check(anchor, chain(good))
    # The anchor is presented, and has not issued the leaf.
    with pytest.raises(DaneMismatch):
        check(anchor, [chain(authority.self_signed)[0], chain(good)[1]])
    # The leaf is no anchor.
    with pytest.raises(DaneMismatch):
        check(by(record(2, 1, 1, good.leaf), names=("localhost",)), chain(good))


NAMES: list[tuple[list[str], tuple[str, ...], bool]] = [
    (["mx.example.com"], ("mx.example.com",), True),
    (["MX.Example.com"], ("mx.example.com",), True),
    (["*.example.com"], ("mx.example.com",), True),
    (["*.example.com"], ("a.mx.example.com",), False),
    (["*.example.com"], ("example.com",), False),
    (["mx.example.com"], ("mx2.example.com",), False),
    # RFC 7672 §3.2.2: an exchange that is an alias, and the domain itself, too.
    (["base.example.net"], ("base.example.net", "mx.example.com", "example.com"), True),
    (["mx.example.com"], ("base.example.net", "mx.example.com", "example.com"), True),
    (["example.com"], ("mx.example.com", "example.com"), True),
]


@pytest.mark.parametrize(("certified", "names", "is_right"), NAMES)
def test_names(authority: Authority, certified: list[str], names: tuple[str, ...], *, is_right: bool) -> None:
    """The names of which the certificate must have one, where its authority is recorded."""
    root = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    presented = [*chain(authority.issue(*certified)), root.public_bytes(Encoding.DER)]
    outcome = nullcontext() if is_right else pytest.raises(DaneMismatch)
    with outcome:
        check(by(record(2, 0, 1, root), names=names), presented)


def test_common_name(authority: Authority) -> None:
    """RFC 7672 §3.2.2: it counts only where the certificate has no names of the DNS."""
    good = authority.short_intermediate
    key, root_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])

    def made(subject: str, of: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]), of.public_key(),
            x509.random_serial_number(), good.leaf.not_valid_before_utc, good.leaf.not_valid_after_utc,
        )  # fmt: skip
        return builder.sign(root_key, hashes.SHA256())

    root, leaf = made("An authority", root_key), made("MX.example.com", key)
    presented = [one.public_bytes(Encoding.DER) for one in (leaf, root)]
    check(by(record(2, 1, 1, root)), presented)
    with pytest.raises(DaneMismatch):
        check(by(record(2, 1, 1, root), names=("mx2.example.com",)), presented)


def test_one_of_several(authority: Authority) -> None:
    """While a key is changed, there are records of both."""
    old, new = authority.issue("old.example.com"), authority.issue("new.example.com")
    records = record(3, 1, 1, old.leaf), record(3, 1, 1, new.leaf)
    check(by(*records), chain(new))
    text = r"^none of the 1 TLSA records \(3 1 1\) matches the certificate$"
    with pytest.raises(DaneMismatch, match=text):
        check(by(*records[:1]), chain(new))


def test_what_cannot_be_read(authority: Authority) -> None:
    """A certificate that is none matches by its octets alone; no certificate matches nothing."""
    odd = b"no certificate"
    check(by(Tlsa(3, 0, 0, odd)), [odd])
    for unmatched, presented in (
        (Tlsa(3, 1, 0, odd), [odd]),
        (Tlsa(3, 0, 0, odd), []),
        (Tlsa(2, 0, 0, odd), [chain(authority.expired)[0], odd]),
    ):
        with pytest.raises(DaneMismatch):
            check(by(unmatched), presented)
