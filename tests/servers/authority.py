"""A throw-away certificate authority: good certificates, and every kind of bad one."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificate:
    """A private key, and a chain from the leaf up to (not including) the root, as PEM files."""

    chain_file: Path
    key_file: Path

    @cached_property
    def chain(self) -> list[x509.Certificate]:
        """The certificates as a server presents them, leaf first."""
        return x509.load_pem_x509_certificates(self.chain_file.read_bytes())

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.chain[0]

    @cached_property
    def context(self) -> ssl.SSLContext:
        """A server's context that presents this chain; one, shared, because making one is slow: no test changes it."""
        return self.own_context()

    def own_context(self) -> ssl.SSLContext:
        """The same, for a test that changes it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        # A ticket that crosses a client's goodbye would meet a reset, and the goodbye would be lost to the server.
        context.num_tickets = 0
        return context

    def old_tls_context(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_1) -> ssl.SSLContext:
        """A server's context that speaks nothing newer than TLS 1.1 (or the version given)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with warnings.catch_warnings():
            # Python warns of the very thing wanted here.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        # OpenSSL 3 allows the SHA-1 signatures of TLS 1.0 and 1.1 at security level 0 only.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


class Authority:
    """Issues certificates into a directory; every method gives the same certificate when called again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self._issued: dict[str, Certificate] = {}
        self._ca = trustme.CA(organization_name="gmail-exporter tests", key_type=trustme.KeyType.ECDSA)
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    @cached_property
    def client_context(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and nothing else."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        # Python before 3.11.4 asks OpenSSL to take a bare end of the stream for close_notify.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        return context

    def issue(self, *names: str, not_before: datetime | None = None, not_after: datetime | None = None) -> Certificate:
        """A certificate for host names and addresses, loopback's by default, valid from yesterday for a year.

        It is the same each time, whatever the time is.
        """
        names = names or LOOPBACK_NAMES
        label = "-".join(
            ["_".join(names), *(f"{time:%Y%m%d%H%M%S}" if time else "" for time in (not_before, not_after))]
        )
        label = label.replace(":", "").replace("*", "any")
        if label not in self._issued:
            not_before = not_before or _now() - timedelta(days=1)
            not_after = not_after or _now() + timedelta(days=365)
            issued = self._ca.issue_cert(
                *names,
                common_name=names[0],
                not_before=not_before,
                not_after=not_after,
                key_type=trustme.KeyType.ECDSA,
            )
            chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
            file = f"{label[:80]}-{len(self._issued)}"  # of many names
            self._issued[label] = self._write(file, chain, issued.private_key_pem.bytes())
        return self._issued[label]

    @cached_property
    def expired(self) -> Certificate:
        """Ended yesterday."""
        return self.issue(not_before=_now() - timedelta(days=30), not_after=_now() - timedelta(days=1))

    @cached_property
    def not_yet_valid(self) -> Certificate:
        """Begins tomorrow."""
        return self.issue(not_before=_now() + timedelta(days=1), not_after=_now() + timedelta(days=30))

    @cached_property
    def wrong_name(self) -> Certificate:
        """Trusted, but for a host that no test connects to."""
        return self.issue("wrong.example.net")

    @cached_property
    def self_signed(self) -> Certificate:
        """For the right names, signed by nobody but itself."""
        key = _new_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        builder = _builder(name, name, key, timedelta(days=365)).add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        return self._write("self-signed", _pem(builder.sign(key, hashes.SHA256())), _key_pem(key))

    @cached_property
    def no_sni(self) -> Certificate:
        """What Google presents to a client that sends no server name: self-signed, and saying so in its subject."""
        key = _new_key()
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "No SNI provided; please fix your client."),
                x509.NameAttribute(NameOID.COMMON_NAME, "invalid2.invalid"),
            ]
        )
        signed = _builder(name, name, key, timedelta(days=365)).sign(key, hashes.SHA256())
        return self._write("no-sni", _pem(signed), _key_pem(key))

    @cached_property
    def short_intermediate(self) -> Certificate:
        """Valid for a year, through an intermediate that ends in ten days: the chain ends before its leaf."""
        root = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        root_key = load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        middle_key, key = _new_key(), _new_key()
        middle_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gmail-exporter tests, intermediate")])
        middle = (
            _builder(middle_name, root.subject, middle_key, timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_ca_usage(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(middle_key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
            .sign(root_key, hashes.SHA256())
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        leaf = (
            _builder(name, middle_name, key, timedelta(days=365))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(middle_key.public_key()), critical=False)
            .sign(middle_key, hashes.SHA256())
        )
        return self._write("short-intermediate", _pem(leaf) + _pem(middle), _key_pem(key))

    def google_context(self, *names: str) -> ssl.SSLContext:
        """A server's context as Google's: `no_sni` without a server name, a good certificate with one."""
        good = self.issue(*names).context

        def choose(sslobj: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
            if name is not None:
                sslobj.context = good

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.no_sni.chain_file, self.no_sni.key_file)
        context.num_tickets = 0
        context.sni_callback = choose
        return context

    def _write(self, label: str, chain: bytes, key: bytes) -> Certificate:
        certificate = Certificate(self.directory / f"{label}.pem", self.directory / f"{label}.key")
        certificate.chain_file.write_bytes(chain)
        certificate.key_file.touch(mode=0o600)
        certificate.key_file.write_bytes(key)
        return certificate


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - timedelta(days=1))
        .not_valid_after(_now() + lifetime)
    )


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
