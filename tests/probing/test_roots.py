"""Whether a chain leads to a public root, with authorities that the test makes and declares public."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from exporter.probing import roots

NOW = datetime.now(UTC)


@dataclass
class Holder:
    """Somebody with a name and a key."""

    name: str
    key: ec.EllipticCurvePrivateKey

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def certify(self, other: Holder, *, ca: bool = True, age: int = 1) -> x509.Certificate:
        """Issue a certificate to another, or to itself, that began so many days ago."""
        return (
            x509.CertificateBuilder()
            .subject_name(other.subject)
            .issuer_name(self.subject)
            .public_key(other.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=age))
            .not_valid_after(NOW - timedelta(days=age) + timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )


def holder(name: str) -> Holder:
    """Return somebody new."""
    return Holder(name, ec.generate_private_key(ec.SECP256R1()))


PUBLIC, OLD, PROXY, MIDDLE, SERVER, OTHER = map(
    holder, ["Public Root", "Old Root", "Proxy", "Middle", "imap.gmail.com", "other.example"]
)
LEAF = MIDDLE.certify(SERVER, ca=False)
MIDDLE_BY_PUBLIC = PUBLIC.certify(MIDDLE)
ROOT = PUBLIC.certify(PUBLIC)


@pytest.fixture(autouse=True)
def public_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The public trusts one root."""
    pem = PUBLIC.certify(PUBLIC, age=2).public_bytes(Encoding.PEM).decode()
    monkeypatch.setattr(certifi, "contents", lambda: pem)
    roots.public_roots.cache_clear()
    yield
    roots.public_roots.cache_clear()


@pytest.mark.parametrize(
    ("chain", "public"),
    [
        ([LEAF, MIDDLE_BY_PUBLIC, ROOT], True),
        ([LEAF, MIDDLE_BY_PUBLIC], True),
        ([PUBLIC.certify(SERVER, ca=False)], True),
        # The same root, cross-signed by another that this host trusts.
        ([LEAF, MIDDLE_BY_PUBLIC, OLD.certify(PUBLIC), OLD.certify(OLD)], True),
        # The verified path ends at a root that is trusted here alone; another path, over what was sent, does not.
        ([LEAF, OLD.certify(MIDDLE), OLD.certify(OLD), MIDDLE_BY_PUBLIC], True),
        # Expired, and yet from where it should be.
        ([MIDDLE.certify(SERVER, ca=False, age=50), PUBLIC.certify(MIDDLE, age=50)], True),
        ([PROXY.certify(SERVER, ca=False), PROXY.certify(PROXY)], False),
        ([PROXY.certify(SERVER, ca=False)], False),
        # What was sent beside it says nothing of who signed the server's own.
        ([PROXY.certify(SERVER, ca=False), PROXY.certify(PROXY), MIDDLE_BY_PUBLIC, ROOT], False),
        # The name of a public root with another key.
        ([holder("Public Root").certify(SERVER, ca=False)], False),
        ([LEAF, holder("Public Root").certify(MIDDLE), holder("Public Root").certify(PUBLIC)], False),
        # The key of a server's certificate signs no others.
        ([OTHER.certify(SERVER, ca=False), PUBLIC.certify(OTHER, ca=False)], False),
        ([], None),
    ],
)
def test_chains(chain: Sequence[x509.Certificate], public: bool | None) -> None:
    """By subject and key of a root, on any path whose signatures are right."""
    assert roots.is_public([one.public_bytes(Encoding.DER) for one in chain]) is public


def test_a_long_chain_is_bounded() -> None:
    """Only so many certificates are looked at; those in the middle lead nowhere."""
    many = [PROXY.certify(holder(f"{number}")) for number in range(50)]
    chain = [LEAF, *many, MIDDLE_BY_PUBLIC]
    assert roots.is_public([one.public_bytes(Encoding.DER) for one in chain]) is False


@pytest.mark.parametrize("encoded", [b"", b"\x30\x00", bytes(range(200))])
def test_what_cannot_be_read(encoded: bytes) -> None:
    """It is not known then."""
    assert roots.is_public([encoded]) is None


def test_the_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of certifi's roots is one, and there are enough."""
    monkeypatch.undo()
    roots.public_roots.cache_clear()
    found = [root.public_bytes(Encoding.DER) for of_name in roots.public_roots().values() for root in of_name]
    assert len(found) > 80
    assert all(roots.is_public([root]) for root in found)
