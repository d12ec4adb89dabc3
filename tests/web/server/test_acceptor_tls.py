"""Handshakes of real clients with a real server."""

from __future__ import annotations

import ssl

import httpx
import pytest

from exporter.web.server.acceptor import PLAIN_TEXT
from tests.servers.authority import Authority, Certificate
from tests.waiting import PATIENCE
from tests.web.conftest import Serve, WebFile

CLIENTS = ("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem")


def trusting(authority: Authority, certificate: Certificate | None = None) -> ssl.SSLContext:
    """A client's context, with a certificate of its own or without."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    if certificate:
        context.load_cert_chain(certificate.chain_file, certificate.key_file)
    return context


async def ask(port: int, context: ssl.SSLContext) -> str:
    """Return the body of the answer, or the name of the error."""
    async with httpx.AsyncClient(verify=context, timeout=PATIENCE) as client:
        try:
            return (await client.get(f"https://localhost:{port}/")).text
        except (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError) as error:
            return type(error).__name__


async def test_tls_is_served(serve: Serve, web_file: WebFile, authority: Authority) -> None:
    """TLS 1.2 and 1.3, HTTP/1.1 by ALPN; a request in plain text is told what is wrong with it."""
    port = (await serve(settings=web_file.settings(web_file.tls()))).port
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(authority)
        context.minimum_version = context.maximum_version = version
        assert await ask(port, context) == "hello"
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        plain = await client.get(f"http://localhost:{port}/")
    assert (plain.status_code, plain.text) == (400, PLAIN_TEXT)


async def test_a_client_certificate_is_required(serve: Serve, web_file: WebFile, authority: Authority) -> None:
    """One of the authority is accepted; none, a self-signed one and an expired one are not."""
    port = (await serve(settings=web_file.settings(web_file.tls(*CLIENTS)))).port
    assert await ask(port, trusting(authority, authority.issue("prometheus.example.net"))) == "hello"
    assert await ask(port, trusting(authority)) in {"ReadError", "RemoteProtocolError"}
    assert await ask(port, trusting(authority, authority.self_signed)) in {"ReadError", "RemoteProtocolError"}
    assert await ask(port, trusting(authority, authority.expired)) in {"ReadError", "RemoteProtocolError"}


async def test_a_client_certificate_is_verified_if_given(serve: Serve, web_file: WebFile, authority: Authority) -> None:
    """A client without one is accepted."""
    settings = web_file.settings(web_file.tls("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"))
    port = (await serve(settings=settings)).port
    assert await ask(port, trusting(authority)) == "hello"
    assert await ask(port, trusting(authority, authority.issue("prometheus.example.net"))) == "hello"
    assert await ask(port, trusting(authority, authority.self_signed)) in {"ReadError", "RemoteProtocolError"}


async def test_the_names_of_a_client_certificate_are_checked(
    serve: Serve, web_file: WebFile, authority: Authority
) -> None:
    """One of the allowed names is enough; with a valid certificate of another name there is no answer."""
    allowed = "client_allowed_sans: [prometheus.example.net, '::1']"
    port = (await serve(settings=web_file.settings(web_file.tls(*CLIENTS, allowed)))).port
    assert await ask(port, trusting(authority, authority.issue("a.example.net", "prometheus.example.net"))) == "hello"
    assert await ask(port, trusting(authority, authority.issue("::1"))) == "hello"
    other = authority.issue("other.example.net")
    assert await ask(port, trusting(authority, other)) in {"ReadError", "RemoteProtocolError"}


@pytest.mark.parametrize(
    ("lines", "version", "cipher"),
    [
        (("min_version: TLS13",), "TLSv1.3", None),
        (("max_version: TLS12",), "TLSv1.2", None),
        (
            ("max_version: TLS12", "cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]"),
            "TLSv1.2",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
    ],
    ids=["min", "max", "cipher"],
)
async def test_versions_and_ciphers_are_chosen(
    serve: Serve, web_file: WebFile, authority: Authority, lines: tuple[str, ...], version: str, cipher: str | None
) -> None:
    """As the client sees it; a client without that version is not served."""
    port = (await serve(settings=web_file.settings(web_file.tls(*lines)))).port
    async with httpx.AsyncClient(verify=trusting(authority), timeout=PATIENCE) as client:
        answer = await client.get(f"https://localhost:{port}/")
    tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
    assert (tls.version(), tls.selected_alpn_protocol()) == (version, "http/1.1")
    assert cipher in (None, tls.cipher()[0])
    other = trusting(authority)
    if version == "TLSv1.3":
        other.maximum_version = ssl.TLSVersion.TLSv1_2
    else:
        other.minimum_version = ssl.TLSVersion.TLSv1_3
    assert await ask(port, other) == "ConnectError"
