"""The certificates are what their names say, to OpenSSL too."""

from __future__ import annotations

import ssl
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.servers.authority import Authority


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "localhost") -> ssl.SSLObject:
    """A client's TLS connection to a server, in memory; raises what its handshake raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = client.wrap_bio(to_client, to_server, server_hostname=name)
    peer = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [connection, peer]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    return connection


def unverifying() -> ssl.SSLContext:
    """A client's context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_good(authority: Authority, name: str) -> None:
    """A certificate for loopback is trusted under each of its names."""
    assert shake_hands(authority.issue().context, authority.client_context, name).version() == "TLSv1.3"


def test_issued_once(authority: Authority) -> None:
    """The same names give the same certificate, other names another."""
    assert authority.issue("a.example.com") is authority.issue("a.example.com")
    assert authority.issue("a.example.com") is not authority.issue("b.example.com")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("expired", "certificate has expired"),
        ("not_yet_valid", "certificate is not yet valid"),
        ("wrong_name", "Hostname mismatch"),
        ("self_signed", "self-signed certificate"),
        ("no_sni", "self-signed certificate"),
    ],
)
def test_bad(authority: Authority, kind: str, says: str) -> None:
    """Each bad certificate is refused for its own reason."""
    with pytest.raises(ssl.SSLCertVerificationError, match=says):
        shake_hands(getattr(authority, kind).context, authority.client_context)


def test_no_sni(authority: Authority) -> None:
    """Google's context presents the self-signed certificate to those who send no server name, and only to them."""
    context = authority.google_context()
    assert shake_hands(context, authority.client_context).version() == "TLSv1.3"
    presented = shake_hands(context, unverifying(), None).getpeercert(binary_form=True)
    assert presented is not None
    certificate = x509.load_der_x509_certificate(presented)
    assert certificate.subject == certificate.issuer
    assert [(attribute.oid, attribute.value) for attribute in certificate.subject] == [
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "No SNI provided; please fix your client."),
        (NameOID.COMMON_NAME, "invalid2.invalid"),
    ]


def test_short_intermediate(authority: Authority) -> None:
    """A chain of two is trusted, and its upper certificate ends first."""
    certificate = authority.short_intermediate
    shake_hands(certificate.context, authority.client_context)
    leaf, intermediate = certificate.chain
    assert leaf.issuer == intermediate.subject
    assert intermediate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=11) < leaf.not_valid_after_utc


def test_short_intermediate_strictly(authority: Authority) -> None:
    """The chain stands up to strict checking, the default of newer Python versions."""
    strict = ssl.create_default_context(cafile=str(authority.ca_file))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    shake_hands(authority.short_intermediate.context, strict)


@pytest.mark.parametrize(("version", "name"), [("TLSv1", "TLSv1"), ("TLSv1_1", "TLSv1.1")])
def test_old_tls(authority: Authority, version: str, name: str) -> None:
    """An old server is refused by a client of today, and served by one that allows its version."""
    context = authority.issue().old_tls_context(ssl.TLSVersion[version])
    with pytest.raises(ssl.SSLError):
        shake_hands(context, authority.client_context)
    willing = unverifying()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        willing.minimum_version = ssl.TLSVersion.TLSv1
    willing.set_ciphers("ALL:@SECLEVEL=0")
    assert shake_hands(context, willing).version() == name
