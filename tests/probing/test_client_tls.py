"""The client's contexts, and the facts of what servers present, on both event loops."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from exporter.model import certificate as presented
from exporter.model.certificate import TlsFacts
from exporter.model.settings import Tls
from exporter.model.trust import CIPHERS, VERIFY_FLAGS
from exporter.probing import client_tls
from exporter.probing.connection import connect
from tests.servers import acts, der

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority, Certificate

KINDS = ["issue", "expired", "not_yet_valid", "wrong_name", "self_signed", "no_sni", "short_intermediate"]


def certificate_of(authority: Authority, kind: str) -> Certificate:
    """Return a certificate of this kind."""
    return authority.issue() if kind == "issue" else getattr(authority, kind)


def facts_of(certificate: x509.Certificate) -> presented.Certificate:
    """Return what cryptography reads of one certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    return presented.Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=tuple(str(name.value) for name in names),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        serial_number=certificate.serial_number.to_bytes(32).lstrip(b"\0").hex(),
    )


async def handshake_facts(scripted: StartScripted, server: ssl.SSLContext, client: ssl.SSLContext) -> TlsFacts | None:
    """Return the facts of a handshake between these two."""
    started = await scripted(acts.silence, security="tls", context=server)
    connection = await connect("127.0.0.1", started.port)
    try:
        secured = await connection.start_tls(client, "localhost")
        return client_tls.facts(secured, verified=client.verify_mode is ssl.CERT_REQUIRED)
    finally:
        connection.abort()


@pytest.mark.parametrize("kind", KINDS)
async def test_facts(scripted: StartScripted, authority: Authority, kind: str) -> None:
    """For each kind of certificate, the facts are those that cryptography reads from its file."""
    certificate = certificate_of(authority, kind)
    facts = await handshake_facts(scripted, certificate.context, client_tls.unverified_context())
    assert facts == TlsFacts(
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        issuer=certificate.leaf.issuer.rfc4514_string(),
        fingerprint_sha256=certificate.leaf.fingerprint(hashes.SHA256()).hex(),
        not_after=certificate.leaf.not_valid_after_utc.timestamp(),
        chain_not_after=min(each.not_valid_after_utc.timestamp() for each in certificate.chain),
        no_sni=kind == "no_sni",
        chain=tuple(map(facts_of, certificate.chain)),
        public_root=False,
    )
    again = await handshake_facts(scripted, certificate.context, client_tls.unverified_context())
    assert again is not None
    assert again.chain is facts.chain  # one object for a thousand outcomes


async def test_names_that_are_addresses(scripted: StartScripted, authority: Authority) -> None:
    """They have one spelling, whatever the Python that runs this."""
    certificate = authority.issue("localhost", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1")
    facts = await handshake_facts(scripted, certificate.context, client_tls.unverified_context())
    assert facts is not None
    assert facts.chain[0].names == ("localhost", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1")


async def test_chain_ends_first(scripted: StartScripted, authority: Authority) -> None:
    """The expiry of an intermediate that ends before its leaf is in the facts."""
    client = client_tls.context(Tls(ca_file=authority.ca_file))
    facts = await handshake_facts(scripted, authority.short_intermediate.context, client)
    assert facts is not None
    assert facts.not_after is not None
    assert facts.chain_not_after is not None
    assert facts.not_after - facts.chain_not_after > timedelta(days=300).total_seconds()
    assert facts.issuer == "CN=gmail-exporter tests\\, intermediate"
    assert facts.verified_not_after == facts.chain_not_after


async def test_verified_chain_includes_the_root(scripted: StartScripted, authority: Authority) -> None:
    """A leaf that expires after its root is trusted only until then; without verification there is no such time."""
    root = x509.load_pem_x509_certificate(authority.ca_file.read_bytes()).not_valid_after_utc
    certificate = authority.issue(not_after=root + timedelta(days=1))
    facts = await handshake_facts(scripted, certificate.context, client_tls.context(Tls(ca_file=authority.ca_file)))
    assert facts is not None
    assert facts.verified_not_after == root.timestamp()
    assert facts.chain_not_after == (root + timedelta(days=1)).timestamp()
    unverified = await handshake_facts(scripted, certificate.context, client_tls.unverified_context())
    assert unverified is not None
    assert unverified.verified_not_after is None


async def test_older_version(scripted: StartScripted, authority: Authority) -> None:
    """Version and cipher are those of the handshake."""
    server = authority.issue().context
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    older.load_cert_chain(authority.issue().chain_file, authority.issue().key_file)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    facts = await handshake_facts(scripted, older, client_tls.context(Tls(ca_file=authority.ca_file)))
    assert facts is not None
    assert (facts.version, facts.cipher) == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
    assert (await handshake_facts(scripted, server, client_tls.context(Tls(ca_file=authority.ca_file)))) != facts


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
async def test_ancient_version(scripted: StartScripted, authority: Authority, version: ssl.TLSVersion) -> None:
    """TLS 1.0 and 1.1 are used only to collect facts."""
    server = authority.issue().old_tls_context(version)
    with pytest.raises(ssl.SSLError):
        await handshake_facts(scripted, server, client_tls.context(Tls(ca_file=authority.ca_file)))
    facts = await handshake_facts(scripted, server, client_tls.unverified_context())
    assert facts is not None
    assert facts.version == ("TLSv1" if version is ssl.TLSVersion.TLSv1 else "TLSv1.1")


async def test_min_version(scripted: StartScripted, authority: Authority) -> None:
    """A server with TLS 1.2 is refused where `min_version` is 1.3."""
    older = authority.issue().old_tls_context(ssl.TLSVersion.TLSv1_2)
    assert await handshake_facts(scripted, older, client_tls.context(Tls(ca_file=authority.ca_file)))
    with pytest.raises(ssl.SSLError):
        await handshake_facts(scripted, older, client_tls.context(Tls(ca_file=authority.ca_file, min_version="1.3")))


def test_contexts_are_shared(authority: Authority) -> None:
    """Equal configurations share one context, different ones do not; there is one unverified context."""
    one = client_tls.context(Tls(ca_file=authority.ca_file))
    assert client_tls.context(Tls(ca_file=authority.ca_file)) is one
    assert client_tls.context(Tls(ca_file=authority.ca_file, min_version="1.3")) is not one
    assert client_tls.unverified_context() is client_tls.unverified_context()
    assert client_tls.unverified_context() is not one


ROOT = der.name((der.COMMON_NAME, der.UTF8, b"Old private root"))
MIDDLE = der.name((der.COMMON_NAME, der.UTF8, b"Old private intermediate"))

OLD_ROOTS: dict[str, dict[str, Any]] = {
    "of today": {"extensions": (der.AUTHORITY, der.MAY_SIGN)},
    "no key usage": {"extensions": (der.AUTHORITY,)},  # and no key identifiers, none of which have
    "basic constraints not critical": {"extensions": (der.AUTHORITY_NOT_CRITICAL, der.MAY_SIGN)},
    "key usage alone": {"extensions": (der.MAY_SIGN,)},
    "version 1": {"extensions": (), "version": None},
    "SHA-1": {"extensions": (der.AUTHORITY,), "digest": hashes.SHA1},
    "negative serial number": {"extensions": (der.AUTHORITY,), "serial": b"\xff"},
    "no subject": {"extensions": (der.AUTHORITY,), "subject": der.sequence()},
}
"""Roots as private authorities have made them for decades. `VERIFY_X509_STRICT` would refuse all but the first."""


def made_by(directory: Path, root: Mapping[str, Any], leaf: Mapping[str, Any]) -> tuple[Certificate, Path]:
    """Return a server's certificate that a root has signed, and the file of that root."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    fields = {"subject": ROOT, **root}
    ca_file = directory / "root.pem"
    ca_file.write_text(ssl.DER_cert_to_PEM_cert(der.certificate(root_key, **fields)))
    encoded = der.certificate(key, serial=b"\x02", issuer=(fields["subject"], root_key), **leaf)
    return der.issue(directory, key, encoded), ca_file


@pytest.mark.parametrize("kind", OLD_ROOTS)
async def test_old_authorities(scripted: StartScripted, tmp_path: Path, kind: str) -> None:
    """A private authority of any age is trusted where its certificate is the `ca_file`."""
    issued, ca_file = made_by(tmp_path, OLD_ROOTS[kind], {})
    facts = await handshake_facts(scripted, issued.context, client_tls.context(Tls(ca_file=ca_file)))
    assert facts is not None
    assert facts.chain[0].subject == "CN=localhost"


@pytest.mark.parametrize(
    ("root", "leaf", "code"),
    [
        ({"extensions": (der.NO_AUTHORITY,)}, {}, 79),  # invalid CA certificate
        ({"extensions": (der.AUTHORITY,)}, {"digest": hashes.SHA1}, 68),  # its digest is too weak
        ({"extensions": (der.AUTHORITY,)}, {"extensions": ()}, 62),  # a name, but no subject alternative name
        ({"extensions": (der.AUTHORITY,)}, {"not_after": der.time("210101000000Z")}, 10),
        ({"extensions": (der.AUTHORITY,), "not_after": der.time("210101000000Z")}, {}, 10),
    ],
    ids=["no authority", "SHA-1 leaf", "common name alone", "expired leaf", "expired root"],
)
async def test_not_trusted(
    scripted: StartScripted, tmp_path: Path, root: Mapping[str, Any], leaf: Mapping[str, Any], code: int
) -> None:
    """What is no matter of age is refused: no authority, a broken digest, no name, the time."""
    issued, ca_file = made_by(tmp_path, root, leaf)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("DEFAULT:@SECLEVEL=0")  # it does not judge itself
    server.load_cert_chain(issued.chain_file, issued.key_file)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        await handshake_facts(scripted, server, client_tls.context(Tls(ca_file=ca_file)))
    assert caught.value.verify_code == code


@pytest.mark.parametrize("anchor", ["root", "intermediate", "leaf"])
@pytest.mark.parametrize("sent", ["leaf", "leaf and intermediate"])
async def test_anchors(scripted: StartScripted, tmp_path: Path, anchor: str, sent: str) -> None:
    """Any certificate of the chain is an anchor, the server's own, too; below a root the server sends the others."""
    root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority: dict[str, Any] = {"extensions": (der.AUTHORITY,)}
    encoded = {
        "root": der.certificate(root_key, subject=ROOT, **authority),
        "intermediate": der.certificate(middle_key, subject=MIDDLE, issuer=(ROOT, root_key), **authority),
        "leaf": der.certificate(key, issuer=(MIDDLE, middle_key)),
    }
    issued = der.issue(tmp_path, key, encoded["leaf"])
    if sent != "leaf":
        with issued.chain_file.open("a") as file:
            file.write(ssl.DER_cert_to_PEM_cert(encoded["intermediate"]))
    ca_file = tmp_path / "anchor.pem"
    ca_file.write_text(ssl.DER_cert_to_PEM_cert(encoded[anchor]))
    shaking = handshake_facts(scripted, issued.context, client_tls.context(Tls(ca_file=ca_file)))
    if anchor == "root" and sent == "leaf":
        with pytest.raises(ssl.SSLCertVerificationError):
            await shaking
    else:
        assert await shaking is not None


def test_contexts_do_not_depend_on_python(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to defaults of Python or of who built it, nor to a variable that writes keys to a file."""
    monkeypatch.setattr(ssl, "create_default_context", None)
    monkeypatch.setenv("SSLKEYLOGFILE", "/dev/null")
    for made in map(client_tls.build_context, (Tls(), Tls(ca_file=authority.ca_file))):
        assert made.verify_flags == VERIFY_FLAGS
        assert made.security_level == 2
        assert not made.keylog_filename
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.set_ciphers(CIPHERS)
        assert made.get_ciphers() == plain.get_ciphers()


@pytest.mark.parametrize("min_version", ["1.2", "1.3"])
def test_contexts_verify(authority: Authority, min_version: Literal["1.2", "1.3"]) -> None:
    """A context verifies chain and name, with the system's authorities or with those of the file alone."""
    versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    own = client_tls.context(Tls(ca_file=authority.ca_file, min_version=min_version))
    for made in (own, client_tls.context(Tls(min_version=min_version))):
        assert made.verify_mode is ssl.CERT_REQUIRED
        assert made.check_hostname
        assert made.minimum_version is versions[min_version]
    root = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    assert own.get_ca_certs(binary_form=True) == [root.public_bytes(Encoding.DER)]


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "No such file or directory"), ("", "it holds no certificate"), ("nonsense", "it holds no certificate")],
)
def test_authorities_unreadable(tmp_path: Path, authority: Authority, content: str | None, text: str) -> None:
    """An error names a ca_file that was removed or emptied; when the file is back it is used."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(client_tls.AuthoritiesUnreadable, match=f"^{file}: {text}$"):
        client_tls.context(Tls(ca_file=file))
    file.write_bytes(authority.ca_file.read_bytes())
    assert client_tls.context(Tls(ca_file=file)).verify_mode is ssl.CERT_REQUIRED


def of_version_9(authority: Authority, directory: Path, chain: bytes = b"") -> ssl.SSLContext:
    """A server with a certificate of version 9, which OpenSSL verifies and cryptography refuses."""
    good = authority.issue()
    key = load_pem_private_key(authority._ca.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    # RFC 5280 section 4.1: [0] EXPLICIT INTEGER, 2 for version 3.
    body = good.leaf.tbs_certificate_bytes.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x08", 1)
    odd = ssl.DER_cert_to_PEM_cert(der.signed(key, body)).encode()
    file = directory / "odd.pem"
    file.write_bytes(chain + odd)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, good.key_file)
    return context


PLAIN = {
    "subject": "CN=localhost",
    "issuer": "CN=localhost",
    "names": ("localhost",),
    "not_before": datetime(2020, 1, 1, tzinfo=UTC).timestamp(),
    "not_after": datetime(2099, 1, 1, tzinfo=UTC).timestamp(),
    "serial_number": "01",
}
"""The facts of a certificate with nothing odd about it."""

NO_NAMES: dict[str, Any] = {"names": ()}
NO_SUBJECT: dict[str, Any] = {"subject": "", "issuer": ""}
NO_FACTS = {**NO_NAMES, **NO_SUBJECT, "not_before": None, "not_after": None, "serial_number": ""}
TOO_LONG = NO_FACTS
READ: dict[str, dict[str, Any]] = {
    "version_4": NO_FACTS,
    "latin1_in_printable_text": NO_FACTS,
    "time_of_a_zone": NO_FACTS,
    "leap_second": NO_FACTS,
    "bit_string_as_name": NO_SUBJECT,
    "latin1_in_teletex_text": NO_SUBJECT,
    "empty_part_of_a_name": NO_SUBJECT,
    "year_0": {"not_before": None},
    "extension_twice": NO_NAMES,
    "x400_address": NO_NAMES,
    "edi_party_name": NO_NAMES,
    "address_of_3_octets": NO_NAMES,
    "dns_name_not_text": NO_NAMES,
    "directory_name_of_bits": NO_NAMES,
    "extension_of_garbage": NO_NAMES,
    "negative_serial_number": {},
    "serial_number_0": {"serial_number": "00"},
    "serial_number_of_9000_octets": {"serial_number": "01" * 128},
    "country_of_7_letters": dict.fromkeys(("subject", "issuer"), "C=Germany,CN=localhost"),
    "year_9999": {"not_after": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()},
    "year_1": {"not_before": datetime(1, 1, 1, tzinfo=UTC).timestamp()},
    "no_subject": NO_SUBJECT,
    "no_extensions": NO_NAMES,
    "version_1_with_extensions": {},
    "names_of_60000_octets": TOO_LONG,
    "subject_of_40000_octets": TOO_LONG,
}
"""What is known of each odd certificate, where it is not as in `PLAIN`."""


async def facts_of_odd(scripted: StartScripted, directory: Path, fields: Mapping[str, Any]) -> TlsFacts:
    """Return the facts of a handshake with a server that presents a certificate of these fields."""
    key = ec.generate_private_key(ec.SECP256R1())
    odd = der.issue(directory, key, der.certificate(key, **fields))
    facts = await handshake_facts(scripted, odd.context, client_tls.unverified_context())
    assert facts is not None
    assert facts.version == "TLSv1.3"
    assert facts.fingerprint_sha256 == hashlib.sha256(ssl.PEM_cert_to_DER_cert(odd.chain_file.read_text())).hexdigest()
    return facts


@pytest.mark.parametrize("odd", ["plain", *der.ODD])
@pytest.mark.filterwarnings("error")
async def test_odd_certificates(scripted: StartScripted, tmp_path: Path, odd: str) -> None:
    """What cryptography cannot read of a certificate is absent, without a warning; all else is known."""
    facts = await facts_of_odd(scripted, tmp_path, der.ODD.get(odd, {}))
    expected = presented.Certificate(**{**PLAIN, **READ.get(odd, {})}, fingerprint_sha256=facts.fingerprint_sha256)
    assert facts.chain == (expected,)
    assert (facts.issuer, facts.not_after) == (expected.issuer, expected.not_after)
    assert facts.chain_not_after == facts.expires_at == expected.not_after


def test_every_odd_certificate_is_expected() -> None:
    """The table has every certificate."""
    assert set(READ) == set(der.ODD)


async def test_odd_certificate_is_verified(scripted: StartScripted, tmp_path: Path) -> None:
    """The expiry of a verified chain is known where one of its certificates is."""
    key = ec.generate_private_key(ec.SECP256R1())
    for fields, expiry in ({}, PLAIN["not_after"]), (der.ODD["version_4"], None):
        odd = der.issue(tmp_path, key, der.certificate(key, **fields))
        facts = await handshake_facts(scripted, odd.context, client_tls.context(Tls(ca_file=odd.chain_file)))
        assert facts is not None
        assert facts.verified_not_after == expiry


async def test_unreadable_link(scripted: StartScripted, authority: Authority, tmp_path: Path) -> None:
    """A certificate of the chain that only OpenSSL can read has its place in it, and no facts."""
    leaf = authority.issue().leaf
    server = of_version_9(authority, tmp_path, chain=leaf.public_bytes(Encoding.PEM))
    facts = await handshake_facts(scripted, server, client_tls.context(Tls(ca_file=authority.ca_file)))
    assert facts is not None
    assert facts.not_after == facts.chain_not_after == leaf.not_valid_after_utc.timestamp()
    assert [one.not_after for one in facts.chain] == [facts.not_after, None]


async def test_long_chain(scripted: StartScripted, tmp_path: Path) -> None:
    """Ten certificates of a chain are kept, and of those with many octets only the first are parsed."""
    key = ec.generate_private_key(ec.SECP256R1())
    long: dict[str, Any] = {"extensions": (der.NAMES, der.extension(der.UNKNOWN, b"x" * 8000))}
    chain = [der.certificate(key, serial=bytes([number]), **long) for number in range(1, 12)]
    odd = der.issue(tmp_path, key, chain[0])
    with odd.chain_file.open("a") as file:
        file.writelines(map(ssl.DER_cert_to_PEM_cert, chain[1:]))
    facts = await handshake_facts(scripted, odd.context, client_tls.unverified_context())
    assert facts is not None
    assert [one.serial_number for one in facts.chain] == ["01", "02", "03", *[""] * 7]


def test_server_name_needs_no_other_context() -> None:
    """A thousand server names must not make the event loop build a thousand contexts."""
    assert len({client_tls.context(Tls(server_name=f"{number}.example")) for number in range(300)}) == 1


def test_known_certificates_are_bounded_in_octets(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is parsed once; where a server never presents the same twice, the old ones are forgotten."""
    certificates = [authority.issue(f"{number}.example").leaf.public_bytes(Encoding.DER) for number in range(8)]
    monkeypatch.setattr(client_tls, "_MAX_KNOWN_OCTETS", 3 * max(map(len, certificates)))
    known = client_tls._KnownCertificates()
    assert known(certificates[0]) is known(certificates[0])
    first = known(certificates[0])
    for each in certificates:
        known(each)
        assert known._octets <= client_tls._MAX_KNOWN_OCTETS
    assert known(certificates[0]) == first
    assert known(certificates[0]) is not first
