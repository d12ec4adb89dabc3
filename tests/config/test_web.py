"""The web configuration file: what is read from it, and every mistake with its position and its text."""

from __future__ import annotations

import base64
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config.mistake import ConfigError
from exporter.config.schema import WEB
from exporter.config.server_tls import CIPHERS
from exporter.config.web import WebConfig, read_web
from exporter.model.trust import VERIFY_FLAGS
from tests.commands.terminal import Terminal
from tests.examples import SENTINEL
from tests.servers import der

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


def reported(directory: Path, text: str | bytes) -> list[str]:
    """The mistakes of a file with this text, without its name."""
    path = directory / "web.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    reading = read_web(path)
    assert (reading.config is None) is bool(reading.mistakes)
    assert SENTINEL not in repr(reading)
    return [str(mistake).removeprefix(str(path)).removeprefix(":").strip() for mistake in reading.mistakes]


def tls(*lines: str) -> str:
    """A `tls_server_config` with a good certificate, and these lines from line 4 on."""
    rest = "".join(f"  {line}\n" for line in lines)
    return f"tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{rest}"


def test_no_file() -> None:
    """Without a file there is no TLS, no password, and the usual headers."""
    assert read_web(None).config == WebConfig()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}\n", "basic_auth_users: {}\n", "basic_auth_users:\n"])
def test_an_empty_file(directory: Path, text: str) -> None:
    """As for exporter-toolkit, an empty file is allowed."""
    assert reported(directory, text) == []
    assert read_web(directory / "web.yml").config == WebConfig()


def test_everything_is_read(directory: Path) -> None:
    """Every key is read; relative paths are relative to the file."""
    text = tls(
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: ca.pem",
        "client_allowed_sans: [prometheus.example.net, '2001:DB8::1']",
        "min_version: TLS12",
        "max_version: TLS13",
        f"cipher_suites: [{', '.join(CIPHERS)}, TLS_AES_128_GCM_SHA256]",
        "prefer_server_cipher_suites: false",
    )
    text += "http_server_config:\n  http2: false\n  headers: {X-Frame-Options: sameorigin, X-XSS-Protection: ''}\n"
    text += f"basic_auth_users:\n  alice: {HASH}\n  'bob smith': '{HASH}'\n"
    assert reported(directory, text) == []
    reading = read_web(directory / "web.yml")
    assert reading.config is not None
    assert reading.config.tls is not None
    assert reading.config.tls.context.verify_flags == VERIFY_FLAGS
    assert reading.config.tls.allowed_names == {"prometheus.example.net", "2001:db8::1"}
    assert reading.config.headers == {"X-Frame-Options": "sameorigin", "X-XSS-Protection": ""}
    assert reading.config.users == {"alice": HASH.encode(), "bob smith": HASH.encode()}
    assert HASH not in repr(reading)
    assert set(reading.files) == {directory / name for name in ("web.yml", "cert.pem", "key.pem", "ca.pem")}


BAD = [
    (
        "- a\n",
        ["1:1: must be a mapping with the keys tls_server_config, http_server_config, basic_auth_users, rate_limit"],
    ),
    ("tls_server_config: {cert_file: 'x\n", ["1:32: the quote that opens here is never closed"]),
    (
        "tls_server_confg: {}\n",
        ['1:1: tls_server_confg: unknown key; did you mean "tls_server_config"?'],
    ),
    (
        "tls_server_config: {}\n",
        ["1:1: tls_server_config.cert_file: is missing", "1:1: tls_server_config.key_file: is missing"],
    ),
    (
        "tls_server_config: {cert_file: none.pem, key_file: '.'}\n",
        [
            "1:32: tls_server_config.cert_file: the file does not exist",
            "1:52: tls_server_config.key_file: the file is a directory",
        ],
    ),
    (
        "tls_server_config: {cert_file: empty.pem, key_file: empty.pem}\n",
        [
            "1:32: tls_server_config.cert_file: the file holds no certificate in PEM that can be read",
            "1:53: tls_server_config.key_file: the file holds no private key in PEM that can be read",
        ],
    ),
    (
        "tls_server_config: {cert_file: key.pem, key_file: cert.pem}\n",
        [
            "1:32: tls_server_config.cert_file: the file holds no certificate in PEM that can be read",
            "1:51: tls_server_config.key_file: the file holds no private key in PEM that can be read",
        ],
    ),
    (
        "tls_server_config: {cert_file: cert.pem, key_file: other.pem}\n",
        ["1:52: tls_server_config.key_file: is not the key of the certificate in cert_file"],
    ),
    (
        f"tls_server_config:\n  cert_file: cert.pem\n  key: {SENTINEL}\n",
        [
            "1:1: tls_server_config.key_file: is missing",
            "3:3: tls_server_config.key: is not taken here: name a file with key_file",
        ],
    ),
    (
        tls("client_auth_type: RequireAnyClientCert", "client_ca_file: ca.pem"),
        [
            "4:21: tls_server_config.client_auth_type: RequireAnyClientCert would take any certificate unverified, "
            "which Python's ssl module cannot do: use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        ],
    ),
    (
        tls("client_auth_type: Verify"),
        [
            "4:21: tls_server_config.client_auth_type: must be NoClientCert, VerifyClientCertIfGiven or "
            'RequireAndVerifyClientCert, not "Verify"'
        ],
    ),
    (
        tls("client_auth_type: RequireAndVerifyClientCert"),
        ["4:21: tls_server_config.client_auth_type: needs client_ca_file: whose certificates are to be taken?"],
    ),
    (
        tls("client_ca_file: ca.pem"),
        ["4:19: tls_server_config.client_ca_file: needs client_auth_type: without it no certificate is asked for"],
    ),
    (
        tls("client_ca_file: key.pem", "client_auth_type: NoClientCert"),
        [
            "4:19: tls_server_config.client_ca_file: means nothing with client_auth_type: NoClientCert",
            "4:19: tls_server_config.client_ca_file: the file holds no certificate in PEM that can be read",
        ],
    ),
    (
        tls("client_ca_file: ca.pem", "client_auth_type: VerifyClientCertIfGiven", "client_allowed_sans: [a]"),
        ["6:3: tls_server_config.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert"],
    ),
    (
        tls("min_version: TLS11", "max_version: TLS14"),
        [
            "4:16: tls_server_config.min_version: must be TLS12 or TLS13: RFC 8996 has put an end to the older ones",
            '5:16: tls_server_config.max_version: must be TLS12 or TLS13, not "TLS14"',
        ],
    ),
    (
        tls("min_version: TLS13", "max_version: TLS12"),
        ["5:16: tls_server_config.max_version: must not be older than min_version"],
    ),
    (
        tls("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA, 7]", "curve_preferences: [X25519]"),
        [
            "4:19: tls_server_config.cipher_suites[0]: must be a cipher suite that Go calls secure, not "
            '"TLS_RSA_WITH_RC4_128_SHA"',
            "4:45: tls_server_config.cipher_suites[1]: must be text: put it in quotes",
            "5:3: tls_server_config.curve_preferences: cannot be chosen: Python's ssl module takes no list of curves",
        ],
    ),
    (
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256]", "prefer_server_cipher_suites: maybe"),
        [
            "4:3: tls_server_config.cipher_suites: holds none of TLS 1.2: add one, or say min_version: TLS13",
            '5:32: tls_server_config.prefer_server_cipher_suites: must be true or false, not "maybe"',
        ],
    ),
    (tls("cipher_suites: TLS"), ['4:18: tls_server_config.cipher_suites: must be a list, not "TLS"']),
    (
        "http_server_config: {http2: true, headers: {X-Frame-Options: allow, Server: x, X-XSS-Protection: ä}}\n",
        [
            "1:29: http_server_config.http2: must be false: only HTTP/1.1 is spoken here",
            '1:62: http_server_config.headers.X-Frame-Options: must be deny or sameorigin, not "allow"',
            "1:69: http_server_config.headers.Server: unknown key; known here: Content-Security-Policy, "
            "X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, Strict-Transport-Security",
            "1:98: http_server_config.headers.X-XSS-Protection: must be ASCII",
        ],
    ),
    (
        'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nSet-Cookie: a"}}\n',
        ["1:50: http_server_config.headers.X-XSS-Protection: must not hold control characters"],
    ),
    (
        f"basic_auth_users:\n  alice: {SENTINEL}\n  bob:\n  'c:d': {HASH}\n  '': {HASH}\n  eve: [{SENTINEL}]\n"
        f"  no: {HASH}\n",
        [
            "2:10: basic_auth_users.alice: must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never "
            "written here",
            "3:3: basic_auth_users.bob: must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never "
            "written here",
            '4:3: basic_auth_users."c:d": must not hold a colon: a client could not send it',
            '5:3: basic_auth_users."": must not be empty',
            "6:8: basic_auth_users.eve: must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never "
            "written here",
            '7:3: basic_auth_users.no: "no" is read as false by some YAML parsers; put it in quotes',
        ],
    ),
    (
        f"basic_auth_users: {{a: '{HASH}\u200b', 'b\u00a0': '{HASH}'}}\n",
        [
            "1:23: basic_auth_users.a: must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never "
            "written here; it has an invisible character, U+200B (zero width space) at character 61",
            '1:88: basic_auth_users."b\\u00a0": must not hold an invisible character: U+00A0 (no-break space) at '
            "character 2",
        ],
    ),
    (
        f"basic_auth_users: {{a: '{HASH.replace('10', '18')}', b: '{HASH.replace('10', '03')}', c: '{HASH[:-1]}'}}\n",
        [
            "1:23: basic_auth_users.a: must have a cost from 4 to 15, not 18: 10 to 12 is usual",
            "1:90: basic_auth_users.b: must have a cost from 4 to 15, not 3: 10 to 12 is usual",
            "1:157: basic_auth_users.c: must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never "
            "written here",
        ],
    ),
    ("rate_limit: {burst: 3}\n", ["1:1: rate_limit: is not supported: requests are bounded in other ways"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_mistakes_are_reported_in_one_go(directory: Path, text: str, expected: list[str]) -> None:
    """Each has its line and column, and shows nothing that may be a secret."""
    assert reported(directory, text) == expected


def test_a_key_with_a_passphrase_is_refused(directory: Path) -> None:
    """OpenSSL would ask for the passphrase on a terminal."""
    key = load_pem_private_key((directory / "key.pem").read_bytes(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SENTINEL.encode()))
    (directory / "key.pem").write_bytes(sealed)
    assert reported(directory, tls()) == [
        "3:13: tls_server_config.key_file: the file's key is encrypted, and nobody is there to type its passphrase"
    ]


def test_what_only_openssl_finds_is_reported(directory: Path) -> None:
    """One of several certificates is broken."""
    with (directory / "ca.pem").open("a", encoding="ascii") as file:
        file.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (mistake,) = reported(directory, tls("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"))
    assert mistake == "5:19: tls_server_config.client_ca_file: the file holds a certificate that OpenSSL cannot read"


def test_openssl_asks_nobody_for_a_passphrase(directory: Path) -> None:
    """A certificate may be encrypted, too; on a terminal OpenSSL would wait for its passphrase for ever."""
    begin, certificate = (directory / "cert.pem").read_text().split("\n", 1)
    encrypted = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{'0' * 32}\n"
    (directory / "cert.pem").write_text(f"{begin}\n{encrypted}\n{certificate}")
    (directory / "web.yml").write_text(tls())
    argv = [sys.executable, "-m", "exporter", "--web.config.file", str(directory / "web.yml"), "config"]
    terminal = Terminal(argv, 200)
    assert "tls_server_config.cert_file: the file's certificate or its key is refused" in "".join(terminal.wait())
    assert terminal.code == 2


UNREAD = {"version_4", "latin1_in_printable_text", "time_of_a_zone", "leap_second"}
"""Certificates of which cryptography reads no key."""


@pytest.mark.parametrize("odd", der.ODD)
def test_an_odd_certificate_of_the_server(directory: Path, odd: str) -> None:
    """It can be served, or is a mistake in one line."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = der.issue(directory, key, der.certificate(key, **der.ODD[odd]))
    issued.chain_file.rename(directory / "cert.pem")
    issued.key_file.rename(directory / "key.pem")
    mistakes = reported(directory, tls())
    is_unread = odd in (
        "version_4",
        "latin1_in_printable_text",
        "time_of_a_zone",
        "leap_second",
    )
    unread = "2:14: tls_server_config.cert_file: the file holds no certificate in PEM that can be read"
    assert mistakes == ([unread] if is_unread else [])


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
@given(st.integers(0, 1 << 30), st.binary(max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_certificate_and_key(directory: Path, name: str, place: int, octets: bytes) -> None:
    """Octets that are changed anywhere in their DER lead to a configuration or to mistakes, never to an error."""
    text = (directory / name).read_text()
    begin, body, end = re.split("(?<=-)\n|\n(?=-)", text)[:3]
    encoded = bytearray(base64.b64decode(body))
    encoded[place % len(encoded) : place % len(encoded) + len(octets)] = octets
    try:
        (directory / name).write_text(f"{begin}\n{base64.encodebytes(encoded).decode()}{end}\n")
        reported(directory, tls())
    finally:
        (directory / name).write_text(text)


def test_no_cipher_suite_that_openssl_has(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The OpenSSL of a host may lack what Go has."""
    name = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"
    monkeypatch.setattr("exporter.config.server_tls.CIPHERS", {name: "ECDHE-NONE"})
    assert reported(directory, tls(f"cipher_suites: [{name}]")) == [
        "4:18: tls_server_config.cipher_suites: OpenSSL has none of them here"
    ]


def test_a_key_that_openssl_finds_too_weak_is_reported(directory: Path) -> None:
    """The mistake has OpenSSL's own reason, which shows what to do."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    (directory / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (mistake,) = reported(directory, tls())
    assert re.fullmatch(
        r"2:14: tls_server_config.cert_file: the file's certificate or its key is refused by OpenSSL: [a-z0-9 ]+",
        mistake,
    )


def test_a_file_that_is_none_is_one_line(directory: Path) -> None:
    """A missing file, a FIFO without a writer, and a file that is not UTF-8."""
    assert [mistake.text for mistake in read_web(directory / "none.yml").mistakes] == ["does not exist"]
    os.mkfifo(directory / "fifo")
    assert [mistake.text for mistake in read_web(directory / "fifo").mistakes] == ["is not a regular file"]
    assert reported(directory, b"\xff") == ["1:1: is not UTF-8: the byte at offset 0 cannot stand there"]


def test_every_file_that_was_read_has_its_fingerprint(directory: Path) -> None:
    """A missing file has one, too. It changes with the content, and not when the same content is written again."""
    assert reported(directory, tls().replace("key.pem", "later.pem")) != []
    before = read_web(directory / "web.yml").files
    assert read_web(directory / "web.yml").files == before
    (directory / "later.pem").write_bytes((directory / "key.pem").read_bytes())
    reading = read_web(directory / "web.yml")
    assert [path.name for path in before if reading.files[path] != before[path]] == ["later.pem"]
    assert reading.config is not None
    (directory / "cert.pem").write_bytes((directory / "cert.pem").read_bytes())
    assert read_web(directory / "web.yml").files == reading.files


def test_mistakes_are_no_configuration(directory: Path) -> None:
    """`usable` raises all of them."""
    assert reported(directory, "basic_auth_users: {alice: secret}\n") != []
    reading = read_web(directory / "web.yml")
    with pytest.raises(ConfigError) as caught:
        reading.usable()
    assert caught.value.mistakes == reading.mistakes


WORDS = st.sampled_from(
    [*WEB.keys, "cert_file", "headers", "X-Frame-Options", "min_version", "cipher_suites", "alice", "<<"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | WORDS | st.just(HASH)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4))


@given(st.dictionaries(WORDS, TREES, max_size=4))
@settings(max_examples=60)
def test_any_structure(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    """Whatever the values of the keys, the result is a configuration or a list of mistakes."""
    import yaml  # noqa: PLC0415 (only here)

    path = tmp_path_factory.getbasetemp() / "any-web.yml"
    path.write_bytes(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
    reading = read_web(path)
    assert (reading.config is None) is bool(reading.mistakes)
    assert all(str(mistake).startswith(f"{path}:") for mistake in reading.mistakes)
    assert str(ConfigError(list(reading.mistakes))).count("\n") == max(0, len(reading.mistakes) - 1)
