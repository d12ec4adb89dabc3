"""Whether the certificates that a server presented match TLSA records (RFC 7672 §3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.x509.oid import NameOID

from exporter.model.domain import Dane, Tlsa
from exporter.probing.dialogue import DialogueError

_DANE_TA, _DANE_EE = 2, 3
_MAX_CHAIN = 10


class DaneMismatch(DialogueError):
    """No authenticated TLSA record matches: senders that know DANE do not deliver (RFC 7672 §2.2)."""

    in_step = True


def check(dane: Dane, chain: Sequence[bytes]) -> None:
    """Check the chain, the server's own certificate first, in DER.

    Raises:
        DaneMismatch: No record matches.
    """
    if not any(_matches(record, chain[:_MAX_CHAIN], dane.names) for record in dane.records):
        kinds = ", ".join(sorted({f"{one.usage} {one.selector} {one.matching}" for one in dane.records}))
        raise DaneMismatch(f"none of the {len(dane.records)} TLSA records ({kinds}) matches the certificate")


def _matches(record: Tlsa, chain: Sequence[bytes], hosts: Sequence[str]) -> bool:
    if record.usage == _DANE_EE:
        # RFC 7672 §3.1.1: neither the name nor the expiry of the certificate counts.
        return bool(chain) and _is_of(record, chain[0])
    for number, encoded in enumerate(chain):
        if number and _is_of(record, encoded):
            return _is_issued_by(chain[: number + 1], hosts)
    return False


def _is_of(record: Tlsa, encoded: bytes) -> bool:
    try:
        data = encoded if record.selector == 0 else _public_key(encoded)
    except ValueError:
        return False  # a certificate that cannot be read
    hashes = {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}
    return hashes[record.matching] == record.data


def _public_key(encoded: bytes) -> bytes:
    key = x509.load_der_x509_certificate(encoded).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 (it loads bcrypt)

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is_issued_by(encoded: Sequence[bytes], hosts: Sequence[str]) -> bool:
    """Whether each certificate is signed by the next one, none has expired, and the first is for one of the hosts.

    RFC 7672 §3.1.2: with DANE-TA, names and dates count as they do elsewhere.
    """
    now = datetime.now(UTC)
    try:
        chain = [x509.load_der_x509_certificate(one) for one in encoded]
        for issued, issuer in pairwise(chain):
            issued.verify_directly_issued_by(issuer)
        is_valid = all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in chain)
        names = {name.lower() for name in _names_of(chain[0])}
        return is_valid and any(host in names or f"*.{host.partition('.')[2]}" in names for host in hosts)
    except Exception:  # noqa: BLE001 (cryptography raises a dozen types for what it cannot read or verify)
        return False


def _names_of(certificate: x509.Certificate) -> Iterable[str]:
    """Return the names that a certificate is for; RFC 7672 §3.2.2: the common name where there are no others."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found = []
    else:
        found = names.get_values_for_type(x509.DNSName)
    return found or [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
