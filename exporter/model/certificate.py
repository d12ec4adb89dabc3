"""What a server presents in the TLS handshake."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it was presented; do not trust its texts. Times are Unix seconds.

    What only OpenSSL can read in it is empty, or None.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    """Its subject alternative names, at most 20: DNS names and addresses (RFC 5280 §4.2.1.6)."""
    not_before: float | None
    not_after: float | None
    fingerprint_sha256: str
    serial_number: str = ""
    """In hex."""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the server presented, trusted or not. Times are Unix seconds, None where only OpenSSL can read them."""

    version: str
    cipher: str
    issuer: str
    fingerprint_sha256: str
    not_after: float | None
    chain_not_after: float | None
    no_sni: bool = False
    chain: tuple[Certificate, ...] = ()
    """As sent, the server's own first; at most 10."""
    verified_not_after: float | None = None
    """Earliest notAfter in the chain that was verified, up to the root; None where none was."""
    public_root: bool | None = None
    """Whether the chain leads to a root that the public trusts; None where nothing is said of it."""

    @property
    def expires_at(self) -> float | None:
        """Earliest notAfter in the verified chain; where none was verified, in the presented one."""
        if self.verified_not_after is not None:
            return self.verified_not_after
        return self.chain_not_after
