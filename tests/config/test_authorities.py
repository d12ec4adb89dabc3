"""Files of certificates."""

import os
from pathlib import Path

import pytest

from exporter.config.authorities import Authorities
from exporter.model.text import Unacceptable


def test_good(ca_file: Path) -> None:
    """A file with a certificate is accepted, by its absolute path, and read once."""
    authorities = Authorities(ca_file.parent)
    assert authorities.find(ca_file.name) == ca_file
    ca_file.unlink()
    assert authorities.find(str(ca_file)) == ca_file


def test_text_around_the_certificate(ca_file: Path) -> None:
    """Comments around a certificate may be in any language and encoding."""
    ca_file.write_bytes("# Behörde\n".encode() + b"\xff\n" + ca_file.read_bytes())
    assert Authorities(ca_file.parent).find("ca.pem") == ca_file


def test_one_is_enough(ca_file: Path) -> None:
    """A certificate that can be read makes up for one that cannot."""
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    ca_file.write_bytes(broken + ca_file.read_bytes())
    assert Authorities(ca_file.parent).find("ca.pem") == ca_file


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
