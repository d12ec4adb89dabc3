"""What a server presents: when it expires."""

from __future__ import annotations

import pytest

from exporter.model.certificate import TlsFacts


@pytest.mark.parametrize(("verified", "expires"), [(None, 1.0), (3.0, 3.0)])
def test_certificate_expiry(verified: float | None, expires: float) -> None:
    """The expiry is that of the verified chain, or else of the first certificate to expire that was sent."""
    facts = TlsFacts("TLSv1.3", "X", "CN=x", "00", not_after=2.0, chain_not_after=1.0, verified_not_after=verified)
    assert facts.expires_at == expires
