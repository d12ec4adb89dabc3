"""Whether a chain of certificates ends in a root that the public trusts, whatever this host trusts besides.

The public's roots are those of certifi, which is Mozilla's list. A root is known by its subject and its public key, not
by its certificate: the same root exists with several (cross-signed, renewed).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

import certifi
from cryptography import x509

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")

_MAX_CERTIFICATES = 10
"""Certificates of a chain that are looked at, which bounds the signatures that are verified."""

Name = bytes
"""A subject or an issuer, in DER."""


@lru_cache(maxsize=1)
def public_roots() -> Mapping[Name, Sequence[x509.Certificate]]:
    """Return the roots that the public trusts, by subject; they are read once, which takes some milliseconds."""
    found: dict[Name, list[x509.Certificate]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd serial numbers, on standard error
        for pem in _PEM.findall(certifi.contents().encode("ascii")):
            # One by one: cryptography will not read those odd ones for ever.
            with suppress(ValueError):
                root = x509.load_pem_x509_certificate(pem)
                found.setdefault(root.subject.public_bytes(), []).append(root)
    return found


def is_public(chain: Sequence[bytes]) -> bool | None:
    """Return whether a path from the server's certificate leads to a root that the public trusts.

    The path that was verified is one; where its certificates and those that the server sent allow others, they count,
    too.

    Args:
        chain: In DER, the server's own certificate first; others in any order.

    Returns:
        None where a certificate cannot be read, or there is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [x509.load_der_x509_certificate(one) for one in dict.fromkeys(chain)]
            return _leads_to_root(found[0], found[1:_MAX_CERTIFICATES]) if found else None
    except Exception:  # noqa: BLE001 (cryptography raises a dozen types; OpenSSL reads more than it does)
        return None


def _leads_to_root(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> bool:
    roots, reached, left = public_roots(), [leaf], list(others)
    while reached:
        one = reached.pop()
        same_subject = roots.get(one.subject.public_bytes(), ())
        if any(root.public_key() == one.public_key() for root in same_subject):
            return True
        if any(_signed(one, root) for root in roots.get(one.issuer.public_bytes(), ())):
            return True
        above = [other for other in left if _may_sign(other) and _signed(one, other)]
        left = [other for other in left if other not in above]
        reached += above
    return False


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 (another name, another key, another algorithm: it was not this one)
        return False
    return True


def _may_sign(certificate: x509.Certificate) -> bool:
    """Whether it is an authority's (RFC 5280 §4.2.1.9): the key of a server's certificate signs no others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except Exception:  # noqa: BLE001 (without the extension, or one that cannot be read)
        return False
