"""Certificates with elements moved, repeated and replaced, with lengths that are right and with lengths that are not.

A case is a certificate in DER. It is read as one that a server presents, and now and then, for that needs a file, as
`tls.ca_file` and as the certificate of the web configuration.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exporter.config.mistake import Mistake
from exporter.config.source import ConfigFiles
from exporter.config.web import read_web
from exporter.model.certificate import TlsFacts
from exporter.model.message import Unacceptable
from exporter.probing import client_tls
from fuzz.fuzzer import Wrong
from fuzz.mutation import ODD_OCTETS, SEEDS, dictionary
from tests.servers.der import element

FILES = 64
"""Of so many cases one is also read from files."""

LONGEST = 512
"""Characters of a text of a certificate."""

TAGS = (
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0C, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1A, 0x1C, 0x1E, 0x30, 0x31,
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0x1F, 0x3F, 0xFF, 0x00,
)  # fmt: skip


@dataclass(slots=True)
class _Element:
    """An element of DER: its content, or the elements in it."""

    tag: int
    content: bytes = b""
    parts: list[_Element] = field(default_factory=list)

    def encoded(self) -> bytes:
        return element(self.tag, b"".join(part.encoded() for part in self.parts) if self.parts else self.content)


def _read(encoded: bytes, depth: int = 0) -> list[_Element] | None:
    """Return the elements of a text in DER, with those inside of them; None where it is none."""
    found, at = [], 0
    while at < len(encoded):
        if at + 2 > len(encoded):
            return None
        tag, size = encoded[at], encoded[at + 1]
        at += 2
        if size >= 0x80:
            octets = size - 0x80
            size = int.from_bytes(encoded[at : at + octets])
            at += octets
        content = encoded[at : at + size]
        if len(content) < size:
            return None
        is_nested = tag & 0x20 or tag in (0x04, 0x03)  # OCTET STRING and BIT STRING may have elements inside
        parts = (_read(content, depth + 1) if is_nested and depth < 12 else None) or []
        found.append(_Element(tag, content, parts))
        at += size
    return found


def _all(found: Sequence[_Element]) -> list[_Element]:
    return [each for one in found for each in (one, *_all(one.parts))]


class _Presented:
    """Stands for the TLS connection: what a server has presented, as Python 3.13's `SSLObject` has it."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def get_unverified_chain(self) -> list[bytes]:
        return [self._encoded]

    get_verified_chain = get_unverified_chain

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256


class Certificates:
    """The seeds are good and odd certificates, made by tests/servers/der.py."""

    def __init__(self, directory: Path) -> None:
        warnings.simplefilter("error")
        self._seeds = [path.read_bytes() for path in sorted((SEEDS / "certificates").glob("*.der"))]
        self._elements = [(one.tag, one.content) for seed in self._seeds for one in _all(_read(seed) or [])]
        self._contents = [b"", b"\1" * 300, *dictionary("certificates.words"), *ODD_OCTETS]
        self._directory = directory
        key = ec.generate_private_key(ec.SECP256R1())
        (directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (directory / "web.yml").write_text("tls_server_config: {cert_file: odd.pem, key_file: key.pem}\n")

    def make(self, random: Random) -> bytes:
        """Return a case: a seed with elements changed, in one case of four with octets changed, too."""
        tree = _read(random.choice(self._seeds)) or []
        for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
            self._change(random, random.choice(_all(tree)))
        encoded = b"".join(one.encoded() for one in tree)
        if random.random() < 0.25:
            at = random.randrange(len(encoded) + 1)
            encoded = (
                encoded[:at] + random.randbytes(random.choice((0, 1, 1, 2))) + encoded[at + random.choice((0, 1)) :]
            )
        return encoded[:40_000]

    def _change(self, random: Random, one: _Element) -> None:
        match random.randrange(6):
            case 0:
                one.tag = random.choice(TAGS)
            case 1:
                one.content, one.parts = random.choice(self._contents), []
            case 2:
                one.tag, one.content = random.choice(self._elements)
                one.parts = []
            case 3 if one.parts:
                del one.parts[random.randrange(len(one.parts))]
            case 4 if one.parts:
                one.parts += [_Element(part.tag, part.content) for part in one.parts] * random.choice((1, 1, 2, 40))
            case 5 if one.parts:
                one.parts.append(_Element(*random.choice(self._elements)))
            case _:
                at = random.randrange(len(one.content) + 1)
                one.content, one.parts = one.content[:at] + random.randbytes(2) + one.content[at + 1 :], []

    def run(self, case: bytes) -> None:
        """Read the certificate.

        Raises:
            Wrong: Something that must be true of every one is not.
        """
        facts = client_tls.facts(_Presented(case), verified=True)  # type: ignore[arg-type]
        if facts is None:
            raise Wrong("a certificate is presented, and there are no facts")
        _check(facts)
        if sum(case) % FILES == 0:
            self._read_files(case)

    def _read_files(self, case: bytes) -> None:
        (self._directory / "odd.pem").write_text(ssl.DER_cert_to_PEM_cert(case))
        try:
            ConfigFiles(self._directory).authorities("odd.pem")
        except Unacceptable as mistake:
            _check_mistake(str(mistake))
        for found in read_web(self._directory / "web.yml").mistakes:
            _check_mistake(found)


def _check(facts: TlsFacts) -> None:
    for one in facts.chain:
        for text in (one.subject, one.issuer, one.serial_number, *one.names):
            if len(text) > LONGEST:
                raise Wrong(f"a text is too long: {len(text)}")
            text.encode()
        for at in (one.not_before, one.not_after):
            if at is not None and not -6.3e10 < at < 2.6e11:
                raise Wrong(f"a time is in no year: {at}")


def _check_mistake(mistake: Mistake | str) -> None:
    if not str(mistake).isprintable():
        raise Wrong(f"a mistake is not one line: {mistake}")
