"""The TLS layer with OpenSSL's server side, both in memory: pieces, ends and failures."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probing.tls_layer import TlsLayer
from tests.probing.conftest import cut
from tests.servers.authority import Authority


class Peer:
    """The server's side, in memory."""

    def __init__(self, authority: Authority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = authority.issue()
        context.load_cert_chain(certificate.chain_file, certificate.key_file)
        context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.side = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def do_handshake(self, received: bytes) -> bytes:
        """Continue the handshake; return what has to be sent."""
        self.incoming.write(received)
        with suppress(ssl.SSLWantReadError):
            self.side.do_handshake()
        return self.outgoing.read()

    def close(self, received: bytes = b"") -> bytes:
        """Send close_notify; return what has to be sent."""
        self.incoming.write(received)
        with suppress(ssl.SSLWantReadError):
            self.side.unwrap()
        return self.outgoing.read()


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for this file."""
    return Authority(Path(tmp_path_factory.mktemp("authority")))


def secure(layer: TlsLayer, peer: Peer) -> None:
    """Do the handshake."""
    layer.do_handshake()
    while not layer.secured:
        layer.do_handshake(peer.do_handshake(layer.take()))
    layer.decrypt(peer.do_handshake(layer.take()))


def pair(authority: Authority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[TlsLayer, Peer]:
    """Return both sides after the handshake."""
    layer, peer = TlsLayer(authority.client_context, "localhost"), Peer(authority, version)
    secure(layer, peer)
    return layer, peer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_directions(trusted: Authority, version: ssl.TLSVersion) -> None:
    """Each side reads what the other sends, in both TLS versions."""
    layer, peer = pair(trusted, version)
    layer.encrypt(b"a1 CAPABILITY\r\n")
    peer.incoming.write(layer.take())
    assert peer.side.read() == b"a1 CAPABILITY\r\n"
    peer.side.write(b"a1 OK\r\n")
    assert layer.decrypt(peer.outgoing.read()) == (b"a1 OK\r\n", False)
    assert layer.take() == b""


@settings(max_examples=40, deadline=None)
@given(data=st.lists(st.binary(min_size=1, max_size=40_000), max_size=3), places=st.lists(st.integers(0), max_size=6))
def test_any_pieces(trusted: Authority, data: list[bytes], places: list[int]) -> None:
    """Data is the same in any pieces, and the end after it is reported."""
    layer, peer = pair(trusted)
    for each in data:
        peer.side.write(each)
    found, ended = b"", False
    for piece in cut(peer.outgoing.read() + peer.close(), places):
        assert not ended or not piece
        more, ended = layer.decrypt(piece)
        found += more
    assert (found, ended) == (b"".join(data), True)


def test_close(trusted: Authority) -> None:
    """close_notify is sent once; data that still comes is dropped, and the server's close_notify is the end."""
    layer, peer = pair(trusted)
    assert not layer.close()
    close_notify = layer.take()
    assert close_notify
    peer.side.write(b"* BYE too late\r\n")
    assert not layer.close(peer.outgoing.read())
    assert layer.take() == b""
    peer.incoming.write(close_notify)
    assert peer.side.read() == b""  # a close_notify, not an end of the stream
    assert layer.close(peer.close())


def test_untrusted_certificate(trusted: Authority, tmp_path: Path) -> None:
    """The handshake fails with OpenSSL's error, and the alert is sent to the server."""
    layer, peer = TlsLayer(ssl.create_default_context(), "localhost"), Peer(Authority(tmp_path))
    layer.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError):
        layer.do_handshake(peer.do_handshake(layer.take()))
    assert not layer.secured
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        peer.do_handshake(layer.take())


def test_not_tls(trusted: Authority) -> None:
    """Plaintext in the handshake, and changed octets after it, are errors."""
    layer = TlsLayer(trusted.client_context, "localhost")
    layer.do_handshake()
    with pytest.raises(ssl.SSLError):
        layer.do_handshake(b"220 smtp.example.com ESMTP\r\n")
    layer, peer = pair(trusted)
    peer.side.write(b"* OK\r\n")
    data = bytearray(peer.outgoing.read())
    data[-1] ^= 1
    with pytest.raises(ssl.SSLError):
        layer.decrypt(bytes(data))
