"""`tls_server_config` of the web configuration file: the kinds of its keys, and the TLS context made of it."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from exporter.config.kinds import choice, read_text, simple
from exporter.config.nodes import Node, ScalarNode, describe
from exporter.config.section import Section
from exporter.config.source import Unreadable, read_file
from exporter.config.table import Context, Value
from exporter.model.address import canonical
from exporter.model.message import Unacceptable
from exporter.model.trust import VERIFY_FLAGS

MAX_PEM = 1024 * 1024
"""Octets of a certificate's or a key's file; a chain has some ten thousand."""


class ClientAuth(StrEnum):
    """Whether a client must show a certificate, under the names of Go's crypto/tls."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


_UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})


class Version(StrEnum):
    """A version of TLS."""

    TLS12 = "TLS12"
    TLS13 = "TLS13"


_DEPRECATED = frozenset({"TLS10", "TLS11"})
_VERSIONS: Final = {Version.TLS12: ssl.TLSVersion.TLSv1_2, Version.TLS13: ssl.TLSVersion.TLSv1_3}

CIPHERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    }
)
"""Cipher suites of TLS 1.2 by IANA's names, as OpenSSL calls them."""

# Of TLS 1.3: whatever is listed, all of them are offered, as by Go.
_ALWAYS = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})


class PemFile(NamedTuple):
    """A file of a certificate or of a key, and the public key in it."""

    path: Path
    public_key: bytes


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How a server's TLS handshake is done.

    Attributes:
        context: The certificate, the versions and the cipher suites.
        allowed_names: A client's certificate must have one of them as a subject alternative name; empty for any.
    """

    context: ssl.SSLContext
    allowed_names: frozenset[str]

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client with this certificate, as `getpeercert` returns it, is accepted. It is verified already."""
        if not self.allowed_names:
            return True
        names = (certificate or {}).get("subjectAltName", ())
        return any(isinstance(name, str) and canonical(name) in self.allowed_names for _, name in names)


def make_tls(section: Section) -> ServerTls | None:
    """Return the TLS of a `tls_server_config`, None if something is wrong with it, which is then reported."""
    if any(mistake.path.startswith("tls_server_config") for mistake in section.report.mistakes):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[section.get("min_version") or Version.TLS12]
    context.maximum_version = _VERSIONS[section.get("max_version") or Version.TLS13]
    # RFC 7301 §3.1: a client that offers h2 first learns that it is to speak HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    if section.get("prefer_server_cipher_suites") is False:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    key, text = "cipher_suites", "OpenSSL has none of them here"
    try:
        if ciphers := [CIPHERS[name] for name in section.get("cipher_suites") or () if name in CIPHERS]:
            context.set_ciphers(":".join(ciphers))
        key, text = "cert_file", "the file's certificate or its key is refused by OpenSSL"
        # With a password, though it is none, OpenSSL does not ask for one on a terminal.
        context.load_cert_chain(section.get("cert_file").path, section.get("key_file").path, password="")
        key, text = "client_ca_file", "the file holds a certificate that OpenSSL cannot read"
        if (authorities := section.get("client_ca_file")) is not None:
            context.load_verify_locations(authorities)
            context.verify_flags = ssl.VerifyFlags(VERIFY_FLAGS)  # an authority below a root is enough, as for Go
            is_optional = section.get("client_auth_type") is ClientAuth.IF_GIVEN
            context.verify_mode = ssl.CERT_OPTIONAL if is_optional else ssl.CERT_REQUIRED
    except OSError as error:  # an SSLError, or a file that is gone since it was read
        why = getattr(error, "reason", None)
        section.wrong(key, f"{text}: {why.lower().replace('_', ' ')}" if why else text)
        return None
    return ServerTls(context, frozenset(section.get("client_allowed_sans") or ()))


def _pem(public_key: Callable[[bytes], bytes]) -> Value:
    def read(node: Node, context: Context) -> PemFile:
        path = context.files.note(read_text(node))
        try:
            return PemFile(path, public_key(read_file(path, MAX_PEM)))
        except Unreadable as error:
            raise Unacceptable(f"the file {error}") from None

    return Value("path", read)


def _public_key_of_certificate(content: bytes) -> bytes:
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 (see `_der`)

    return _der(content, lambda pem: load_pem_x509_certificates(pem)[0], "certificate")


def _public_key_of_key(content: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 (see `_der`)

    return _der(content, lambda pem: load_pem_private_key(pem, None), "private key")


def _der(content: bytes, load: Callable[[bytes], Any], what: str) -> bytes:
    # Without `tls_server_config` this is not needed, and takes 15 ms of the start.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an odd serial number: standard error is the log
            return bytes(load(content).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except Exception as error:  # noqa: BLE001 (it raises many types, and to the operator they mean the same)
        if isinstance(error, TypeError) and "encrypted" in str(error):
            text = "the file's key is encrypted, and nobody is there to type its passphrase"
        else:
            text = f"the file holds no {what} in PEM that can be read"
        raise Unacceptable(text) from None


def _read_authorities(node: Node, context: Context) -> Path:
    files = context.files
    return files.authorities(str(files.note(read_text(node))))


def _refuse_unverified(node: ScalarNode) -> None:
    if node.value in _UNVERIFIED:
        raise Unacceptable(
            f"{node.value} would take any certificate unverified, which Python's ssl module cannot do: "
            f"use {ClientAuth.IF_GIVEN} or {ClientAuth.REQUIRED}"
        )


def _refuse_deprecated(node: ScalarNode) -> None:
    if node.value in _DEPRECATED:
        raise Unacceptable("must be TLS12 or TLS13: RFC 8996 has put an end to the older ones")


def _read_cipher(node: Node) -> str:
    name = read_text(node)
    if name not in CIPHERS and name not in _ALWAYS:
        raise Unacceptable(f"must be a cipher suite that Go calls secure, not {describe(node)}")
    return name


CERTIFICATE = _pem(_public_key_of_certificate)
KEY = _pem(_public_key_of_key)
CLIENT_AUTHORITIES = Value("path", _read_authorities)
CLIENT_AUTH = choice(ClientAuth, _refuse_unverified)
CLIENT_NAME = simple("name", lambda node: canonical(read_text(node)))
VERSION = choice(Version, _refuse_deprecated)
CIPHER = simple("name", _read_cipher)
