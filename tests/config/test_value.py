"""Hosts that are accepted; what is refused is in the bad files."""

import pytest

from exporter.model.address import check_host


@pytest.mark.parametrize(
    "host",
    [
        "imap.gmail.com", "localhost", "a", "mail_server", "xn--mnchen-3ya.example", "imap.gmail.com.", "127.0.0.1",
        "::1", "2001:db8::1", "1and1.com", "a." * 126 + "b", "3com.0x1", "IMAP.Gmail.com",
    ],
)  # fmt: skip
def test_good_host(host: str) -> None:
    """A host name or an IP address is taken as it is written."""
    assert check_host(host) == host
