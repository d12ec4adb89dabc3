"""How chains are verified."""

from __future__ import annotations

import ssl

from exporter.model.trust import CIPHERS, VERIFY_FLAGS


def test_flags() -> None:
    """Any certificate of a file is an anchor, and authorities of any age are trusted."""
    flags = ssl.VerifyFlags(VERIFY_FLAGS)
    assert flags == ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def test_ciphers() -> None:
    """No suite is without encryption or without authentication."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(CIPHERS)
    assert context.security_level == 2
    assert not [suite for suite in context.get_ciphers() if suite["strength_bits"] < 112 or "ADH" in suite["name"]]
