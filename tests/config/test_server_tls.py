"""The names that a client's certificate must have; what is read from the file is in test_web.py."""

import ssl

from exporter.config.server_tls import ServerTls


def test_names_are_compared_whole() -> None:
    """Names of any kind are compared, and nothing else of a certificate; without names every client is accepted."""
    tls = ServerTls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), frozenset({"a.example", "mailto:x"}))
    assert tls.admits({"subjectAltName": (("DNS", "b.example"), ("URI", "mailto:x"))})
    assert not tls.admits({"subjectAltName": (("DNS", "b.a.example"), ("DirName", (("a.example",),)))})
    assert not tls.admits({"subject": ((("commonName", "a.example"),),)})
    assert not tls.admits({})
    assert not tls.admits(None)
    assert ServerTls(tls.context, frozenset()).admits(None)
