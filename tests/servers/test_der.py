"""The certificates that are made octet by octet."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers import der


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    """A key of the P-256 curve."""
    return ec.generate_private_key(ec.SECP256R1())


def test_plain(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Without anything odd it is a certificate that cryptography reads octet by octet, and that OpenSSL trusts."""
    encoded = der.certificate(key)
    certificate = x509.load_der_x509_certificate(encoded)
    assert certificate.public_bytes(Encoding.DER) == encoded
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    certificate.verify_directly_issued_by(certificate)
    assert der.is_trusted(der.issue(tmp_path, key, encoded))


@pytest.mark.parametrize("odd", der.ODD)
def test_odd(tmp_path: Path, key: ec.EllipticCurvePrivateKey, odd: str) -> None:
    """OpenSSL takes every one into a server, and trusts those whose times it can read."""
    issued = der.issue(tmp_path, key, der.certificate(key, **der.ODD[odd]))
    assert der.is_trusted(issued) == (odd not in ("time_of_a_zone", "leap_second"))


@pytest.mark.parametrize(("size", "length"), [(5, "05"), (127, "7f"), (128, "8180"), (300, "82012c")])
def test_length(size: int, length: str) -> None:
    """A length has as many octets as it needs."""
    assert der.element(0x04, b"x" * size).hex().startswith("04" + length + "78")
