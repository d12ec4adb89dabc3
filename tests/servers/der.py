"""Certificates made octet by octet: what no builder makes, and OpenSSL accepts, 3.0 as well as 3.6.

DER is ITU-T X.690, the certificate RFC 5280 §4.1. A certificate is signed by its own key where nothing else is said, so
that a client that has it as its `ca_file` trusts it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.servers.authority import Certificate

if TYPE_CHECKING:
    from pathlib import Path

COMMON_NAME = "550403"
ORGANIZATION = "55040a"
COUNTRY = "550406"
SUBJECT_ALTERNATIVE_NAME = "551d11"
UNKNOWN = "2a0304"

UTF8, PRINTABLE, TELETEX, BIT_STRING = 0x0C, 0x13, 0x14, 0x03


def element(tag: int, content: bytes) -> bytes:
    """Return one element: tag, length, content (X.690 §8.1)."""
    size = len(content)
    length = size.to_bytes(max(1, (size.bit_length() + 7) // 8))
    return bytes([tag]) + (length if size < 128 else bytes([128 + len(length)]) + length) + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of elements."""
    return element(0x30, b"".join(parts))


def identifier(octets: str) -> bytes:
    """Return an OBJECT IDENTIFIER; its octets are in hex."""
    return element(0x06, bytes.fromhex(octets))


def name(*attributes: tuple[str, int, bytes]) -> bytes:
    """Return a distinguished name of attributes: each its identifier, the tag of its text, the text."""
    return sequence(*(element(0x31, sequence(identifier(kind), element(tag, text))) for kind, tag, text in attributes))


def extension(kind: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an extension."""
    return sequence(identifier(kind), element(0x01, b"\xff") if critical else b"", element(0x04, value))


def alternative_names(*names: bytes) -> bytes:
    """Return the extension of subject alternative names."""
    return extension(SUBJECT_ALTERNATIVE_NAME, sequence(*names))


def dns(text: bytes) -> bytes:
    """Return a DNS name, for `alternative_names`."""
    return element(0x82, text)


def time(text: str) -> bytes:
    """Return a UTCTime, or a GeneralizedTime where the year has four digits."""
    return element(0x17 if len(text) <= 13 else 0x18, text.encode())


AUTHORITY = extension("551d13", sequence(element(0x01, b"\xff")), critical=True)
"""Basic constraints of an authority."""

AUTHORITY_NOT_CRITICAL = extension("551d13", sequence(element(0x01, b"\xff")))
NO_AUTHORITY = extension("551d13", sequence())
MAY_SIGN = extension("551d0f", element(0x03, b"\x01\x06"))
"""Key usage: certificates and revocation lists."""

_ECDSA: Mapping[type[hashes.HashAlgorithm], bytes] = {
    hashes.SHA256: sequence(identifier("2a8648ce3d040302")),
    hashes.SHA1: sequence(identifier("2a8648ce3d0401")),
}
LOCALHOST = name((COMMON_NAME, UTF8, b"localhost"))
NAMES = alternative_names(dns(b"localhost"))


def certificate(
    key: ec.EllipticCurvePrivateKey,
    *,
    version: int | None = 2,
    serial: bytes = b"\x01",
    subject: bytes = LOCALHOST,
    not_before: bytes = time("200101000000Z"),
    not_after: bytes = time("20990101000000Z"),
    extensions: tuple[bytes, ...] = (NAMES,),
    issuer: tuple[bytes, ec.EllipticCurvePrivateKey] | None = None,
    digest: type[hashes.HashAlgorithm] = hashes.SHA256,
) -> bytes:
    """Return a certificate in DER. `version` is one less than people say; None is version 1.

    `issuer` is the name and the key of who signs it, by default its own; `digest` is what is signed.
    """
    its_name, its_key = issuer or (subject, key)
    body = sequence(
        b"" if version is None else element(0xA0, element(0x02, bytes([version]))),
        element(0x02, serial),
        _ECDSA[digest],
        its_name,
        sequence(not_before, not_after),
        subject,
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        element(0xA3, sequence(*extensions)) if extensions else b"",
    )
    return signed(its_key, body, digest)


def signed(key: ec.EllipticCurvePrivateKey, body: bytes, digest: type[hashes.HashAlgorithm] = hashes.SHA256) -> bytes:
    """Return the certificate of a TBSCertificate in DER."""
    return sequence(body, _ECDSA[digest], element(0x03, b"\0" + key.sign(body, ec.ECDSA(digest()))))


ODD: Mapping[str, Mapping[str, Any]] = {
    # What cryptography refuses as a whole
    "version_4": {"version": 3},
    "latin1_in_printable_text": {"subject": name((COMMON_NAME, PRINTABLE, b"B\xfcro"))},
    "time_of_a_zone": {"not_before": time("20200101000000+0100")},
    "leap_second": {"not_before": time("200101000060Z")},
    # What it refuses when a field is asked for
    "bit_string_as_name": {"subject": name((COMMON_NAME, BIT_STRING, b"\0localhost"))},
    "latin1_in_teletex_text": {"subject": name((COMMON_NAME, UTF8, b"localhost"), (ORGANIZATION, TELETEX, b"B\xfcro"))},
    "empty_part_of_a_name": {"subject": sequence(element(0x31, b""))},
    "year_0": {"not_before": time("00000101000000Z")},
    "extension_twice": {"extensions": (NAMES, extension(UNKNOWN, b"x"), extension(UNKNOWN, b"x"))},
    "x400_address": {"extensions": (alternative_names(dns(b"localhost"), element(0xA3, sequence())),)},
    "edi_party_name": {
        "extensions": (alternative_names(dns(b"localhost"), element(0xA5, element(0xA1, element(UTF8, b"x")))),)
    },
    "address_of_3_octets": {"extensions": (alternative_names(dns(b"localhost"), element(0x87, b"\1\2\3")),)},
    "dns_name_not_text": {"extensions": (alternative_names(dns(b"localhost"), dns(b"\xff\xfe")),)},
    "directory_name_of_bits": {
        "extensions": (alternative_names(dns(b"localhost"), element(0xA4, name((COMMON_NAME, BIT_STRING, b"\0x")))),)
    },
    "extension_of_garbage": {"extensions": (NAMES, extension("551d20", b"garbage"))},
    # What it reads, some of it with a warning
    "negative_serial_number": {"serial": b"\xff"},
    "serial_number_0": {"serial": b"\0"},
    "serial_number_of_9000_octets": {"serial": b"\1" * 9000},
    "country_of_7_letters": {"subject": name((COMMON_NAME, UTF8, b"localhost"), (COUNTRY, PRINTABLE, b"Germany"))},
    "year_9999": {"not_after": time("99991231235959Z")},
    "year_1": {"not_before": time("00010101000000Z")},
    "no_subject": {"subject": sequence()},
    "no_extensions": {"extensions": (), "version": None},
    "version_1_with_extensions": {"version": None},
    # What takes long
    "names_of_60000_octets": {
        "extensions": (alternative_names(dns(b"localhost"), *(dns(b"%d.example" % one) for one in range(4000))),)
    },
    "subject_of_40000_octets": {"subject": name(*[(COMMON_NAME, UTF8, b',+"\\ \0' * 4)] * 1000)},
}
"""Fields of certificates that OpenSSL accepts, by what is odd about them."""


def issue(directory: Path, key: ec.EllipticCurvePrivateKey, encoded: bytes) -> Certificate:
    """Write a certificate and its key to files."""
    issued = Certificate(directory / "odd.pem", directory / "odd.key")
    issued.chain_file.write_text(ssl.DER_cert_to_PEM_cert(encoded))
    issued.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return issued


def is_trusted(issued: Certificate) -> bool:
    """Whether OpenSSL trusts a certificate for localhost that is the only authority."""
    client, server = ssl.create_default_context(cafile=str(issued.chain_file)), issued.context
    client.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST  # Python 3.13 is stricter by default
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):  # the client's turns: its hello, and its end of the handshake
        with suppress(ssl.SSLWantReadError):
            try:
                ours.do_handshake()
            except ssl.SSLCertVerificationError:
                return False
        with suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
    return True
