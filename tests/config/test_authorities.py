"""Files of certificates."""

import os
from pathlib import Path

import pytest

from exporter.config.authorities import Authorities
from exporter.config.mistake import Unacceptable


def test_good(authority: Path) -> None:
    """A file with a certificate is accepted, by its absolute path, and read once."""
    authorities = Authorities(authority.parent)
    assert authorities.find(authority.name) == authority
    authority.unlink()
    assert authorities.find(str(authority)) == authority


def test_text_around_the_certificate(authority: Path) -> None:
    """Comments around a certificate may be in any language and encoding."""
    authority.write_bytes("# Behörde\n".encode() + b"\xff\n" + authority.read_bytes())
    assert Authorities(authority.parent).find("ca.pem") == authority


def test_one_is_enough(authority: Path) -> None:
    """A certificate that can be read makes up for one that cannot."""
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    authority.write_bytes(broken + authority.read_bytes())
    assert Authorities(authority.parent).find("ca.pem") == authority


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_no_certificate(tmp_path: Path, content: bytes) -> None:
    """A file without a certificate that can be read is refused."""
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(Unacceptable, match=r"^the file holds no certificate in PEM that can be read$"):
        Authorities(tmp_path).find("ca.pem")


def test_unreadable(tmp_path: Path) -> None:
    """A file that cannot be read is refused, and does not block."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Unacceptable, match=r"^the file is not a regular file$"):
        Authorities(tmp_path).find("fifo")
