"""The client's TLS contexts, and the facts of the certificates that servers present."""

from __future__ import annotations

import hashlib
import os
import ssl
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

from exporter.model.address import canonical
from exporter.model.certificate import Certificate, TlsFacts
from exporter.model.settings import Tls
from exporter.model.trust import CIPHERS, VERIFY_FLAGS
from exporter.probing import roots
from exporter.probing.redact import redact

NO_SNI_UNIT = "No SNI provided; please fix your client."
"""The subject of the self-signed certificate that Google's servers present to a client without SNI."""

_MIN_VERSION = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

S = TypeVar("S")
T = TypeVar("T")

_MAX_KNOWN = 4096  # certificates whose facts are cached
_MAX_CHAINS = 1024
_MAX_KNOWN_OCTETS = 4 << 20  # of them as presented, of which a server may send 100 KB in a chain
_MAX_NAME = 256  # characters; an unverified certificate may contain anything, and its issuer becomes a label
_MAX_NAMES = 20  # of one certificate; Google's have more than a hundred
_MAX_CHAIN = 10  # certificates of a chain that are kept; public ones have two to four
_MAX_PARSED = 32 << 10  # octets of a chain that are parsed, which takes 0.2 ms each 1,000; public ones have some 5,000


class AuthoritiesUnreadable(Exception):
    """The file of `tls.ca_file` can no longer be read, so no server can be verified."""


def context(tls: Tls) -> ssl.SSLContext:
    """Return the client context of a TLS configuration; it is shared, for building one takes 30 ms.

    Raises:
        AuthoritiesUnreadable: its file was readable when the configuration was loaded, and is not now.
    """
    if tls.server_name is not None or tls.public_root:
        # They are no part of a context, and `hostname` of /probe may be anything: each would take 30 ms.
        tls = replace(tls, server_name=None, public_root=False)
    if tls.ca_file is None:
        return _build(tls, None)
    try:
        state = os.stat(tls.ca_file)  # noqa: PTH116 (pathlib's takes three times as long)
    except OSError as error:
        raise AuthoritiesUnreadable(f"{tls.ca_file}: {error.strerror}") from None
    return _build(tls, (state.st_mtime_ns, state.st_size, state.st_ino))  # a changed file is read again


@lru_cache(maxsize=256)
def _build(tls: Tls, _version: tuple[int, ...] | None) -> ssl.SSLContext:
    return build_context(tls)


def build_context(tls: Tls) -> ssl.SSLContext:
    """Return a new client context of a TLS configuration.

    Raises:
        AuthoritiesUnreadable: its file cannot be read, or holds no certificate.
    """
    built = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the name
    built.verify_flags = ssl.VerifyFlags(VERIFY_FLAGS)
    built.hostname_checks_common_name = False  # RFC 9525 §2: a name is a subject alternative name
    built.set_ciphers(CIPHERS)
    built.minimum_version = _MIN_VERSION[tls.min_version]
    if tls.ca_file is None:
        built.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return built
    try:
        built.load_verify_locations(tls.ca_file)
    except OSError as error:
        text = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificate"
        raise AuthoritiesUnreadable(f"{tls.ca_file}: {text}") from error
    return built


@lru_cache(maxsize=1)
def unverified_context() -> ssl.SSLContext:
    """Return a client context that accepts any certificate and any protocol version.

    It is only for certificate facts, never for a credential.
    """
    built = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    built.check_hostname = False
    built.verify_mode = ssl.CERT_NONE
    built.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    built.set_ciphers("DEFAULT:@SECLEVEL=0")  # at a higher level OpenSSL 3 has no cipher for TLS 1.1
    return built


class _Handshake(NamedTuple):
    """What a handshake agreed on, the certificates as sent, and those by which the server was trusted, in DER."""

    version: str
    cipher: str
    sent: Sequence[bytes]
    trusted: Sequence[bytes]
    own_roots: bool


def facts(connection: ssl.SSLObject, *, verified: bool, own_roots: bool = False) -> TlsFacts | None:
    """Return what the server presented, after the handshake; None where it presented no certificate.

    The handshake is OpenSSL's: what only OpenSSL can read in a certificate is absent here, and fails nothing. With
    `own_roots` nothing is said of the root: other ones than the public's are trusted on purpose.
    """
    sent = certificates_of(connection)
    if not sent:
        return None
    trusted = _chain_of(connection, "get_verified_chain") if verified else []
    cipher = connection.cipher()
    return _known.facts(_Handshake(connection.version() or "", cipher[0] if cipher else "", sent, trusted, own_roots))


def _facts_of(handshake: _Handshake) -> TlsFacts:
    presented, verified = _certificates(handshake.sent), _certificates(handshake.trusted)
    certificates = [*handshake.trusted, *handshake.sent]
    chain = _known.chain(tuple(known.certificate for known in presented))
    leaf = chain[0]
    return TlsFacts(
        version=handshake.version,
        cipher=handshake.cipher,
        issuer=leaf.issuer,
        fingerprint_sha256=leaf.fingerprint_sha256,
        not_after=leaf.not_after,
        chain_not_after=_earliest(chain),
        no_sni=presented[0].no_sni,
        chain=chain,
        verified_not_after=_earliest(known.certificate for known in verified),
        public_root=None if handshake.own_roots else _known.root(verified + presented, certificates),
    )


def _earliest(certificates: Iterable[Certificate]) -> float | None:
    """Return the earliest notAfter that is known."""
    return min((one.not_after for one in certificates if one.not_after is not None), default=None)


def certificates_of(connection: ssl.SSLObject) -> list[bytes]:
    """Return the certificates that the server presented, its own first, in DER."""
    return _chain_of(connection, "get_unverified_chain")


def _chain_of(connection: ssl.SSLObject, method: str) -> list[bytes]:
    """Return the certificates as sent or as verified, leaf first, in DER."""
    public = getattr(connection, method, None)  # Python 3.13
    if public is not None:
        return list(public())
    # Up to 3.12 this method of the underlying object is not documented; it exists since 3.10. None: there is no chain.
    chain = getattr(connection._sslobj, method)() or ()  # type: ignore[attr-defined]  # noqa: SLF001
    return [certificate.public_bytes(2) for certificate in chain]


class _Known(NamedTuple):
    """The cached facts of a certificate."""

    certificate: Certificate
    no_sni: bool


class _KnownCertificates:
    """A cache: a thousand endpoints present the same few certificates in every probe."""

    def __init__(self) -> None:
        self._facts: dict[str, _Known] = {}
        self._chains: dict[tuple[Certificate, ...], tuple[Certificate, ...]] = {}
        self._roots: dict[tuple[str, ...], bool | None] = {}
        self._presented: dict[tuple[str, str, int, bool, bytes], TlsFacts] = {}
        self._octets = 0

    def facts(self, handshake: _Handshake) -> TlsFacts:
        """Return the facts of a handshake: one object for all that are alike, and nothing is parsed again."""
        version, cipher, sent, trusted, own_roots = handshake
        # DER says where each certificate ends.
        key = version, cipher, len(sent), own_roots, hashlib.sha256(b"".join([*sent, *trusted])).digest()
        if (known := self._presented.get(key)) is None:
            known = _facts_of(handshake)
            if len(self._presented) >= _MAX_CHAINS:
                self._presented.clear()
            self._presented[key] = known
        return known

    def __call__(self, encoded: bytes) -> _Known:
        """Return the facts of a certificate, which is parsed once."""
        fingerprint = hashlib.sha256(encoded).hexdigest()
        if fingerprint not in self._facts:
            if len(self._facts) >= _MAX_KNOWN or self._octets + len(encoded) > _MAX_KNOWN_OCTETS:
                self._facts.clear()
                self._chains.clear()
                self._presented.clear()
                self._octets = 0
            self._octets += len(encoded)
            with warnings.catch_warnings():
                # cryptography warns of odd serial numbers and names, on standard error, beside the log.
                warnings.simplefilter("ignore")
                parsed = _read(encoded, x509.load_der_x509_certificate, None)
                self._facts[fingerprint] = _facts(parsed, fingerprint)
        return self._facts[fingerprint]

    def chain(self, certificates: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
        """Return one object for equal chains: every stored outcome has one."""
        if len(self._chains) >= _MAX_CHAINS:
            self._chains.clear()
        return self._chains.setdefault(certificates, certificates)

    def root(self, chain: Sequence[_Known], encoded: Sequence[bytes]) -> bool | None:
        """Return whether a chain leads to a root that the public trusts; signatures are verified once for each."""
        key = tuple(known.certificate.fingerprint_sha256 for known in chain)
        if key not in self._roots:
            if len(self._roots) >= _MAX_CHAINS:
                self._roots.clear()
            self._roots[key] = roots.is_public(encoded) if sum(map(len, encoded)) <= 2 * _MAX_PARSED else None
        return self._roots[key]


_known = _KnownCertificates()


def _certificates(encoded: Iterable[bytes]) -> list[_Known]:
    """Return the facts of a chain, as far as it is parsed; a handshake allows 100,000 octets of certificates."""
    found, octets = [], 0
    for one in list(encoded)[:_MAX_CHAIN]:
        octets += len(one)
        found.append(_known(one) if octets <= _MAX_PARSED else _facts(None, hashlib.sha256(one).hexdigest()))
    return found


def _facts(parsed: x509.Certificate | None, fingerprint: str) -> _Known:
    if parsed is None:
        return _Known(Certificate("", "", (), None, None, fingerprint), no_sni=False)
    facts = Certificate(
        subject=_shown(_read(parsed, lambda one: one.subject.rfc4514_string(), "")),
        issuer=_shown(_read(parsed, lambda one: one.issuer.rfc4514_string(), "")),
        names=_read(parsed, _names, ()),
        not_before=_read(parsed, lambda one: one.not_valid_before_utc.timestamp(), None),
        not_after=_read(parsed, lambda one: one.not_valid_after_utc.timestamp(), None),
        fingerprint_sha256=fingerprint,
        serial_number=_shown(_hex(parsed.serial_number)),
    )
    return _Known(facts, _read(parsed, _lacks_sni, otherwise=False))


def _read(source: S, read: Callable[[S], T], otherwise: T) -> T:
    """Return what cryptography reads of a certificate, or `otherwise` where it cannot.

    It parses a field when the field is asked for. Whatever it raises then means the same: OpenSSL accepts more than it
    does, such as an extension that is there twice, a name that is a BIT STRING, or a year 0.
    """
    try:
        return read(source)
    except Exception:  # noqa: BLE001 (it raises a dozen types, some of them only Exception's)
        return otherwise


def _hex(number: int) -> str:
    """Return a number in whole octets, as OpenSSL prints it."""
    digits = f"{abs(number):x}"
    return digits.zfill(len(digits) + len(digits) % 2)[:_MAX_NAME]


def _names(parsed: x509.Certificate) -> tuple[str, ...]:
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = [str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
    return tuple(_shown(canonical(name)) for name in known[:_MAX_NAMES])


def _lacks_sni(parsed: x509.Certificate) -> bool:
    units = parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return any(unit.value == NO_SNI_UNIT for unit in units)


def _shown(name: str) -> str:
    return redact(name)[:_MAX_NAME]
