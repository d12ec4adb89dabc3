"""`tls_server_config` → what a server's TLS handshake goes by."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from exporter.config.authorities import Authorities
from exporter.config.document import Node, Scalar, Sequence, describe
from exporter.config.keys import ANY, SECRET, SHOWN, Kind
from exporter.config.section import Section
from exporter.config.source import Unreadable, fingerprint, read_file
from exporter.config.value import read_choice, read_switch, read_text
from exporter.model.text import Unacceptable

KEYS: Final[Kind] = {
    "cert_file": SHOWN,
    "key_file": SHOWN,
    "client_auth_type": SHOWN,
    "client_ca_file": SHOWN,
    "client_allowed_sans": {ANY: SHOWN},
    "min_version": SHOWN,
    "max_version": SHOWN,
    "cipher_suites": {ANY: SHOWN},
    "prefer_server_cipher_suites": SHOWN,
    "curve_preferences": {ANY: SHOWN},
    "cert": SECRET,
    "key": SECRET,
    "client_ca": SECRET,
}

_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "curve_preferences": "cannot be chosen: Python's ssl module takes no list of curves",
        "cert": "is not taken here: name a file with cert_file",
        "key": "is not taken here: name a file with key_file",
        "client_ca": "is not taken here: name a file with client_ca_file",
    }
)

MAX_PEM = 1024 * 1024
"""Octets of a certificate's or a key's file; a chain has some ten thousand."""


class ClientAuth(StrEnum):
    """Whether a client must show a certificate, in the words of Go's crypto/tls."""

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


class Files:
    """Files that a configuration is read from, and a fingerprint of each, taken before it is read.

    Args:
        directory: What relative paths are relative to.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fingerprints: dict[Path, bytes] = {}

    def note(self, path: Path | str) -> Path:
        """Return the absolute path of a file that is going to be read."""
        absolute = self.directory / Path(path).absolute() if isinstance(path, Path) else self.directory / path
        self.fingerprints[absolute] = fingerprint(absolute)
        return absolute


@dataclass(frozen=True, slots=True)
class Tls:
    """What a handshake goes by.

    Attributes:
        allowed_names: Of which a client's certificate must have one as a subject alternative name; empty for any.
    """

    context: ssl.SSLContext
    allowed_names: frozenset[str]

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client with this certificate, as `getpeercert` gives it, is let in. It is verified already."""
        if not self.allowed_names:
            return True
        names = (certificate or {}).get("subjectAltName", ())
        return any(isinstance(name, str) and _normal(name) in self.allowed_names for _, name in names)


def read_tls(section: Section | None, files: Files) -> Tls | None:
    """Return what a `tls_server_config` says, None where it says nothing or something is wrong with it."""
    if section is None:
        return None
    for key, text in _REFUSED.items():
        if section.said(key):
            section.wrong(key, text, at_value=False)
    pair = _read_pair(section, files)
    clients = _read_clients(section, files)
    least = section.read("min_version", _read_version) or Version.TLS12
    most = section.read("max_version", _read_version) or Version.TLS13
    if least > most:
        section.wrong("max_version", "must not be older than min_version")
    ciphers = _read_ciphers(section, least)
    own_order = section.read("prefer_server_cipher_suites", read_switch) is not False
    if section.report.mistakes or pair is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[least], _VERSIONS[most]
    # RFC 7301 §3.1: a client that offers h2 first learns that it is to speak HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    if own_order:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if ciphers:
        context.set_ciphers(":".join(ciphers))
    key, text = "cert_file", "the file's certificate or its key is refused by OpenSSL"
    try:
        context.load_cert_chain(*pair)
        key, text = "client_ca_file", "the file holds a certificate that OpenSSL cannot read"
        clients.apply(context)
    except OSError as error:  # an SSLError, or a file that was there a moment ago
        why = getattr(error, "reason", None)
        section.wrong(key, f"{text}: {why.lower().replace('_', ' ')}" if why else text)
        return None
    return Tls(context, clients.names)


def _read_pair(section: Section, files: Files) -> tuple[Path, Path] | None:
    """Return the files of the certificate and its key, which belong together."""
    certificate = section.need("cert_file", _read_pem(files, _load_certificate))
    key = section.need("key_file", _read_pem(files, _load_key))
    if certificate is None or key is None:
        return None
    if certificate[1] != key[1]:
        section.wrong("key_file", "is not the key of the certificate in cert_file")
        return None
    return certificate[0], key[0]


def _read_pem(files: Files, public_key: Callable[[bytes], bytes]) -> Callable[[Node], tuple[Path, bytes]]:
    def read(node: Node) -> tuple[Path, bytes]:
        path = files.note(read_text(node))
        try:
            return path, public_key(read_file(path, MAX_PEM))
        except Unreadable as error:
            raise Unacceptable(f"the file {error}") from None

    return read


def _load_certificate(content: bytes) -> bytes:
    try:
        key = load_pem_x509_certificates(content)[0].public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise Unacceptable("the file holds no certificate in PEM that can be read") from None


def _load_key(content: bytes) -> bytes:
    try:
        key = load_pem_private_key(content, None).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except TypeError:
        raise Unacceptable("the file's key is encrypted, and nobody is there to type its passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unacceptable("the file holds no private key in PEM that can be read") from None


def _read_client_auth(node: Node) -> ClientAuth:
    if isinstance(node, Scalar) and node.value in _UNVERIFIED:
        raise Unacceptable(
            f"{node.value} would take any certificate unverified, which Python's ssl module cannot do: "
            f"use {ClientAuth.IF_GIVEN} or {ClientAuth.REQUIRED}"
        )
    return read_choice(ClientAuth)(node)


def _read_authorities(files: Files) -> Callable[[Node], Path]:
    def read(node: Node) -> Path:
        return Authorities(files.directory).find(str(files.note(read_text(node))))

    return read


@dataclass(frozen=True, slots=True)
class _Clients:
    """What is asked of clients."""

    auth: ClientAuth
    authorities: Path | None
    names: frozenset[str]

    def apply(self, context: ssl.SSLContext) -> None:
        if self.authorities is None:
            return
        context.load_verify_locations(self.authorities)
        # An authority below a root is enough, as it is for Go.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_OPTIONAL if self.auth is ClientAuth.IF_GIVEN else ssl.CERT_REQUIRED


def _read_clients(section: Section, files: Files) -> _Clients:
    authorities = section.read("client_ca_file", _read_authorities(files))
    names = frozenset(_read_items(section, "client_allowed_sans", _read_name))
    auth = section.read("client_auth_type", _read_client_auth) if section.said("client_auth_type") else ClientAuth.NONE
    if auth is not None:
        _check_client_auth(section, auth)
    return _Clients(auth or ClientAuth.NONE, authorities, names)


def _check_client_auth(section: Section, client_auth: ClientAuth) -> None:
    """Say so where what is asked of clients does not go together: none of it may come to nothing in silence."""
    if client_auth is ClientAuth.NONE:
        if section.said("client_ca_file") and not section.meant("client_auth_type"):
            section.wrong("client_ca_file", "needs client_auth_type: without it no certificate is asked for")
        elif section.said("client_ca_file"):
            section.wrong("client_ca_file", f"means nothing with client_auth_type: {client_auth}")
    elif not section.meant("client_ca_file"):
        section.wrong("client_auth_type", "needs client_ca_file: whose certificates are to be taken?")
    if section.said("client_allowed_sans") and client_auth is not ClientAuth.REQUIRED:
        # A client without a certificate has no name that could be allowed or not.
        section.wrong("client_allowed_sans", f"needs client_auth_type: {ClientAuth.REQUIRED}", at_value=False)


def _read_name(node: Node) -> str:
    return _normal(read_text(node))


def _normal(name: str) -> str:
    """Return the one way to write an address; what is none stays as it is."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _read_version(node: Node) -> Version:
    if isinstance(node, Scalar) and node.value in _DEPRECATED:
        raise Unacceptable("must be TLS12 or TLS13: RFC 8996 has put an end to the older ones")
    return read_choice(Version)(node)


def _read_ciphers(section: Section, least: Version) -> list[str]:
    """Return OpenSSL's names of those that can be chosen: those of TLS 1.2."""

    def read(node: Node) -> str:
        name = read_text(node)
        if name not in CIPHERS and name not in _ALWAYS:
            raise Unacceptable(f"must be a cipher suite that Go calls secure, not {describe(node)}")
        return name

    names = _read_items(section, "cipher_suites", read)
    chosen = [CIPHERS[name] for name in names if name in CIPHERS]
    if names and not chosen and least is Version.TLS12:
        section.wrong("cipher_suites", "holds none of TLS 1.2: add one, or say min_version: TLS13", at_value=False)
    return chosen


def _read_items(section: Section, key: str, read: Callable[[Node], str]) -> list[str]:
    node, path = section.node(key), (*section.path, key)
    if node is None:
        return []
    if not isinstance(node, Sequence):
        section.wrong(key, f"must be a list, not {describe(node)}")
        return []
    values = [section.report.attempt(item, (*path, f"[{index}]"), read) for index, item in enumerate(node.items)]
    return [value for value in values if value is not None]
