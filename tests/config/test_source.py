"""Files that cannot be read as text, each with its one line; and files of certificates."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from exporter.config.source import MAX_BYTES, ConfigFiles, Unreadable, decode, fingerprint, read_file
from exporter.model.message import Unacceptable
from tests.servers import der


def refusal(path: Path) -> str:
    with pytest.raises(Unreadable) as caught:
        read_file(path)
    return str(caught.value)


def test_missing(tmp_path: Path) -> None:
    """A missing file has a text of its own."""
    assert refusal(tmp_path / "none.yml") == "does not exist"


def test_directory(tmp_path: Path) -> None:
    """A directory has a text of its own."""
    assert refusal(tmp_path) == "is a directory"


@pytest.mark.timeout(60)
def test_fifo(tmp_path: Path) -> None:
    """A FIFO without a writer is refused at once."""
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == "is not a regular file"


def test_device() -> None:
    """An endless device is refused without reading it."""
    assert refusal(Path("/dev/zero")) == "is not a regular file"


def test_link_loop(tmp_path: Path) -> None:
    """Any other error has the system's text."""
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "loop") == "cannot be read: Too many levels of symbolic links"


def test_not_a_path() -> None:
    """A name that no file can have is refused."""
    assert refusal(Path("a\0b")) == "is not a path"


def test_no_permission(tmp_path: Path) -> None:
    """A file that the system keeps from this user is refused."""
    file = tmp_path / "config.yml"
    file.write_text("x")
    file.chmod(0)
    root = os.geteuid() == 0
    try:
        # Root may read everything: be nobody for this one read.
        if root:
            os.seteuid(65534)
        assert refusal(file) == "may not be read by the user that this program runs as"
    finally:
        if root:
            os.seteuid(0)


def test_limit(tmp_path: Path) -> None:
    """A file of exactly the limit is read, one byte more is refused, and so are 10 MB."""
    file = tmp_path / "big.yml"
    file.write_bytes(b"#" * MAX_BYTES)
    assert len(read_file(file)) == MAX_BYTES
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    assert refusal(file) == "is larger than 4194304 bytes"
    file.write_bytes(b"#" * 10_000_000)
    assert refusal(file) == "is larger than 4194304 bytes"


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """It does not depend on how the file was written; a file that cannot be read has one, too, of the reason."""
    file = tmp_path / "a.yml"
    assert fingerprint(file) == fingerprint(tmp_path / "b.yml") != fingerprint(tmp_path)
    file.write_bytes(b"a: 1\n")
    was = fingerprint(file)
    (tmp_path / "link").symlink_to(file)
    assert fingerprint(tmp_path / "link") == was != fingerprint(file / "below")
    file.write_bytes(b"a: 2\n")
    assert fingerprint(file) != was


def test_byte_order_mark() -> None:
    """A byte order mark is not part of the text."""
    assert decode(b"\xef\xbb\xbfa: b\n") == "a: b\n"


def test_plain_text_stays() -> None:
    """Tabs, line ends of every system and all scripts are left as they are."""
    assert decode("a:\tü 😀\r\nb\rc\n".encode()) == "a:\tü 😀\r\nb\rc\n"


@pytest.mark.parametrize(
    ("content", "text", "position"),
    [
        (b"a: \xff", "is not UTF-8: the byte at offset 3 cannot stand there", (1, 4)),
        ("a: b\r\nü: ä".encode("latin-1"), "is not UTF-8: the byte at offset 6 cannot stand there", (2, 1)),
        (b"\xef\xbb\xbfa\n\xc3\xbc\xc3", "is not UTF-8: the byte at offset 7 cannot stand there", (2, 2)),
        ("a: b".encode("utf-16"), "is not UTF-8: the byte at offset 0 cannot stand there", (1, 1)),
        (b"a\nb\0c", "character U+0000 is not allowed here", (2, 2)),
        (b"a\rb\r\n\x1b[31m", "character U+001B is not allowed here", (3, 1)),
        ("a\u2028b".encode(), "character U+2028 is not allowed here", (1, 2)),
        ("a\x85b".encode(), "character U+0085 is not allowed here", (1, 2)),
        ("a\ufeffb".encode(), "character U+FEFF is not allowed here", (1, 2)),
    ],
)
def test_not_text(content: bytes, text: str, position: tuple[int, int]) -> None:
    """Bytes that are not text are refused, with the position of the first."""
    with pytest.raises(Unreadable) as caught:
        decode(content)
    assert str(caught.value) == text
    assert caught.value.position == position


def test_authorities(ca_file: Path) -> None:
    """A file with a certificate is accepted, by its absolute path, and read once."""
    files = ConfigFiles(ca_file.parent)
    assert files.authorities(ca_file.name) == ca_file
    ca_file.unlink()
    assert files.authorities(str(ca_file)) == ca_file


def test_text_around_a_certificate(ca_file: Path) -> None:
    """Comments around a certificate may be in any language and encoding."""
    ca_file.write_bytes("# Behörde\n".encode() + b"\xff\n" + ca_file.read_bytes())
    assert ConfigFiles(ca_file.parent).authorities("ca.pem") == ca_file


BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NONE = "the file holds no certificate in PEM that can be read"
UNREAD = "the file holds a certificate that OpenSSL cannot read"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", NONE), (b"nothing", NONE), (b"\0\xff", NONE), (BROKEN, UNREAD), (BROKEN[:40], UNREAD)],
)
def test_no_certificate(tmp_path: Path, content: bytes, text: str) -> None:
    """A file from which OpenSSL takes no certificate is refused."""
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(Unacceptable, match=f"^{text}$"):
        ConfigFiles(tmp_path).authorities("ca.pem")


@pytest.mark.parametrize("before", [True, False])
def test_one_of_several_cannot_be_read(ca_file: Path, before: bool) -> None:
    """Of such a file OpenSSL takes none: every probe would fail."""
    good = ca_file.read_bytes()
    ca_file.write_bytes(BROKEN + good if before else good + BROKEN)
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=ca_file)
    with pytest.raises(Unacceptable, match=f"^{UNREAD}$"):
        ConfigFiles(ca_file.parent).authorities("ca.pem")


def test_only_a_revocation_list(tmp_path: Path) -> None:
    """OpenSSL loads a file that holds nothing else, and it is no authority."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    builder = x509.CertificateRevocationListBuilder(name, now, now + timedelta(days=1))
    (tmp_path / "ca.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    with pytest.raises(Unacceptable, match=f"^{NONE}$"):
        ConfigFiles(tmp_path).authorities("ca.pem")


@pytest.mark.parametrize("odd", der.ODD)
def test_odd_authorities(tmp_path: Path, odd: str) -> None:
    """Whatever OpenSSL accepts is accepted, as one authority or among several."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = der.issue(tmp_path, key, der.certificate(key, **der.ODD[odd])).chain_file
    assert ConfigFiles(tmp_path).authorities(certificate.name) == certificate
    certificate.write_text(certificate.read_text() * 2)
    assert ConfigFiles(tmp_path).authorities(certificate.name) == certificate


def test_authorities_unreadable(tmp_path: Path) -> None:
    """A file that cannot be read is refused, and does not block."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Unacceptable, match=r"^the file is not a regular file$"):
        ConfigFiles(tmp_path).authorities("fifo")
