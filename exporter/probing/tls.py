"""TLS contexts and certificate facts."""

from __future__ import annotations

import hashlib
import ssl
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from exporter.config import Tls
from exporter.outcome import TlsFacts
from exporter.probing.redact import redact

NO_SNI_UNIT = "No SNI provided; please fix your client."
"""What Google's servers present, as the subject of a self-signed certificate, to a client that names no server."""

_MIN_VERSION = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


_MAX_KNOWN = 4096  # certificates whose facts are kept
_MAX_ISSUER = 256  # characters; it becomes a label, and a certificate that was not verified may say anything


class AuthoritiesUnreadable(Exception):
    """The file of `tls.ca_file` cannot be read any more: nothing can be verified."""


def context(tls: Tls) -> ssl.SSLContext:
    """Return the client context of a TLS configuration; shared, since building one costs 30 ms.

    Raises:
        AuthoritiesUnreadable: its file was there when the configuration was read, and is no more.
    """
    if tls.ca_file is None:
        return _build(tls, None)
    try:
        state = tls.ca_file.stat()
    except OSError as error:
        raise AuthoritiesUnreadable(f"{tls.ca_file}: {error.strerror}") from None
    return _build(tls, (state.st_mtime_ns, state.st_size, state.st_ino))  # a renewed file is read anew


@lru_cache(maxsize=256)
def _build(tls: Tls, _version: tuple[int, ...] | None) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=None if tls.ca_file is None else str(tls.ca_file))
    except OSError as error:
        words = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificate"
        raise AuthoritiesUnreadable(f"{tls.ca_file}: {words}") from error
    made.minimum_version = _MIN_VERSION[tls.min_version]
    return made


@lru_cache(maxsize=1)
def unverified_context() -> ssl.SSLContext:
    """Return a client context that accepts any certificate and any protocol version.

    It is there to collect facts, never for a credential.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    made.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 has nothing that TLS 1.1 could use at a higher level
    return made


def facts(connection: ssl.SSLObject) -> TlsFacts | None:
    """Return what the server presented on a connection whose handshake is complete.

    None where its certificate is one that only OpenSSL can read: that is no failure of the server's.
    """
    leaf, *rest = (_certificate(encoded) for encoded in _presented_chain(connection))
    if leaf is None:
        return None
    cipher = connection.cipher()
    return TlsFacts(
        version=connection.version() or "",
        cipher=cipher[0] if cipher else "",
        issuer=leaf.issuer,
        fingerprint_sha256=leaf.fingerprint_sha256,
        not_after=leaf.not_after,
        chain_not_after=min([leaf.not_after, *(certificate.not_after for certificate in rest if certificate)]),
        no_sni=leaf.no_sni,
    )


def _presented_chain(connection: ssl.SSLObject) -> list[bytes]:
    """The server's certificates as sent, leaf first, in DER."""
    public = getattr(connection, "get_unverified_chain", None)  # Python 3.13
    if public is not None:
        return list(public())
    # Up to 3.12 the same method, of the object underneath, is not documented; it is there since 3.10.
    return [certificate.public_bytes(2) for certificate in connection._sslobj.get_unverified_chain()]  # type: ignore[attr-defined]  # noqa: SLF001


class _Certificate:
    """The facts of one certificate."""

    __slots__ = ("fingerprint_sha256", "issuer", "no_sni", "not_after")

    def __init__(self, encoded: bytes, fingerprint: str) -> None:
        certificate = x509.load_der_x509_certificate(encoded)
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        self.fingerprint_sha256 = fingerprint
        self.issuer = redact(certificate.issuer.rfc4514_string())[:_MAX_ISSUER]
        self.not_after = certificate.not_valid_after_utc.timestamp()
        self.no_sni = any(unit.value == NO_SNI_UNIT for unit in units)


_known: dict[str, _Certificate | None] = {}


def _certificate(encoded: bytes) -> _Certificate | None:
    """Parse a certificate once: a thousand endpoints present the same few, probe after probe."""
    fingerprint = hashlib.sha256(encoded).hexdigest()
    if fingerprint not in _known:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        try:
            _known[fingerprint] = _Certificate(encoded, fingerprint)
        except (ValueError, x509.InvalidVersion):
            _known[fingerprint] = None
    return _known[fingerprint]
