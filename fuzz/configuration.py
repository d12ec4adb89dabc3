"""Both configuration files: texts that are nearly YAML, and trees of right and wrong values at every key.

A case is a line with the file that it is, and how it was made, and then the text of the file. In a tree the secret
stands wherever somebody could write one by mistake, and only there; in a text it stands nowhere.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from exporter.config.dump import dump
from exporter.config.load import load
from exporter.config.mistake import ConfigError, Mistake
from exporter.config.schema import CONFIGURATION, WEB
from exporter.config.table import Kind, ListOf, Names, Table, Value
from exporter.config.web import read_web
from exporter.model.settings import Config
from fuzz.fuzzer import Wrong
from fuzz.mutation import SEEDS, Mutator, dictionary
from tests.servers import der
from tests.servers.authority import Certificate

BAD = Path(__file__).parents[1] / "tests" / "config" / "bad"
SENTINEL = "s3ntinel-hunter2"
DUMPED = 16
"""Of so many configurations that are right one is written and loaded again."""


NUMBERS = (0, 1, -1, 25, 587, 993, 65536, 10**25, 1.5, 1e300)
VALUES: tuple[Any, ...] = (None, True, False, *NUMBERS, [], {}, [None], {"a": None}, [[[[]]]], {"": ""})


TEXTS = ("", "x" * 64, "x" * 300, *(SEEDS / "configuration.values").read_text("ascii").split("\n"))


class Configuration:
    """Seeds are the tests' wrong files, and examples with every key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        key = ec.generate_private_key(ec.SECP256R1())
        issued: Certificate = der.issue(directory, key, der.certificate(key))
        issued.chain_file.rename(directory / "cert.pem")
        issued.key_file.rename(directory / "key.pem")
        (directory / "ca.pem").write_bytes((directory / "cert.pem").read_bytes())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        files = [*sorted(BAD.glob("*.yml")), *sorted((SEEDS / "configuration").glob("*.yml"))]
        words, lines = dictionary("configuration.words"), dictionary("configuration.lines")
        seeds = [path.read_bytes().replace(SENTINEL.encode(), b"secret") for path in files]
        self._main = Mutator(seeds, words, lines)
        self._web = Mutator([path.read_bytes() for path in sorted((SEEDS / "web").glob("*.yml"))], words, lines)

    def make(self, random: Random) -> bytes:
        """Return a case: a seed with a few changes, or a tree of values at the keys of the schema."""
        if random.random() < 0.5:
            which, mutator = random.choice(((b"main", self._main), (b"main", self._main), (b"web", self._web)))
            return which + b" text\n" + mutator(random)
        which, table = random.choice(((b"main", CONFIGURATION), (b"main", CONFIGURATION), (b"web", WEB)))
        return which + b" tree\n" + json.dumps(_tree(random, table), ensure_ascii=random.random() < 0.5).encode()

    def run(self, case: bytes) -> None:
        """Load the file.

        Raises:
            Wrong: Something that must be true of every file is not.
        """
        head, _, text = case.partition(b"\n")
        file = self._directory / "config.yml"
        file.write_bytes(text)
        has_secret = head.endswith(b"tree")
        if head.startswith(b"web"):
            reading = read_web(file)
            _check(reading.mistakes, has_secret=has_secret)
            return
        try:
            config = load(file, {})
        except ConfigError as error:
            if not error.mistakes:
                raise Wrong("a configuration is refused without a mistake") from None
            _check(error.mistakes, has_secret=has_secret)
        else:
            self._check_usable(config)
            if len(text) % DUMPED == 0:
                self._check_dump(config, has_secret=has_secret)

    def _check_usable(self, config: Config) -> None:
        """Check that no probe can fail for a name that was accepted."""
        for endpoint in config.endpoints.values():
            name = endpoint.tls.server_name or (endpoint.domain or endpoint.host).rstrip(".")
            self._context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)

    def _check_dump(self, config: Config, *, has_secret: bool) -> None:
        dumped = dump(config)
        if has_secret and SENTINEL in dumped:
            raise Wrong(f"the effective configuration has a secret: {dumped}")
        again = self._directory / "again.yml"
        again.write_text(dumped, encoding="utf-8")
        if load(again, {}).digest != config.digest:
            raise Wrong(f"the effective configuration means something else: {dumped}")


def _check(mistakes: Iterable[Mistake], *, has_secret: bool) -> None:
    for mistake in mistakes:
        text = str(mistake)
        if not text.isprintable():
            raise Wrong(f"a mistake is not one line: {text!r}")
        if has_secret and SENTINEL in text:
            raise Wrong(f"a mistake has a secret: {text}")


def _tree(random: Random, table: Table) -> dict[str, Any]:
    """Return a tree of any values; now and then a right one, with one branch of any values."""
    tree = _table(random, table)
    if table is CONFIGURATION and random.random() < 0.2:
        right: dict[str, Any] = {"endpoints": {"imap": {"protocol": "imap", "host": "a.example"}}}
        for name in random.sample(list(tree), k=min(len(tree), random.choice((0, 1, 1)))):
            right[name] = tree[name]
        return right
    return tree


def _table(random: Random, table: Table) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    share = random.choice((0.2, 0.5, 0.9))
    for name, key in table.keys.items():
        if random.random() < share:
            tree[name] = _of(random, key.kind, name)
        elif random.random() < 0.03:
            tree[random.choice((name[:-1], f"{name}x", name[1:]))] = random.choice(_SECRETS)
    if "domain" in table.keys and random.random() < 0.9:  # what has a host has no domain, nor the other way round
        for name in random.choice((("host",), _OF_DOMAIN, _OF_DOMAIN)):
            tree.pop(name, None)
    return tree


def _of(random: Random, kind: Kind, name: str) -> Any:
    if random.random() < 0.05:
        return random.choice(VALUES)
    if isinstance(kind, Table):
        return _table(random, kind)
    if isinstance(kind, Names):
        names = random.choices(("ops", "a", "imap", "b-c", "x" * 63, *TEXTS), k=random.choice((0, 1, 1, 2, 4)))
        return {each: _of(random, kind.of, name) for each in names}
    if isinstance(kind, ListOf):
        return [_of(random, kind.of, name) for _ in range(random.choice((0, 1, 1, 2, 5)))]
    return _value(random, kind, name)


_OF_DOMAIN = ("domain", "expect", "expect_mta_sts", "trusted_resolvers")

_USUAL: Mapping[str, Any] = {
    "account": ("ops",),
    "ca_file": ("ca.pem",),
    "cert_file": ("cert.pem",),
    "client_ca_file": ("ca.pem",),
    "domain": ("example.com",),
    "expect": ("mx.example.com",),
    "expect_mta_sts": (True, False),
    "greeting_timeout": ("2s",),
    "host": ("a.example", "::1"),
    "interval": ("30s", "5m"),
    "key_file": ("key.pem",),
    "min_version": ("1.2", "TLS12"),
    "port": (993,),
    "protocol": ("imap", "pop3", "smtp"),
    "security": ("tls", "starttls"),
    "timeout": ("5s",),
    "trusted_resolvers": ("192.0.2.53",),
    "username": ("a@example.com",),
}
"""Values with which a whole configuration is right now and then."""


def _value(random: Random, kind: Value, name: str) -> Any:
    if kind.is_secret:
        return random.choice(_SECRETS) if random.random() < 0.3 else {"env": "A_VARIABLE"}
    if name in _USUAL and random.random() < 0.8:
        return random.choice(_USUAL[name])
    if kind.doc_type in ("https address", "host name or IP address") and random.random() < 0.2:
        return f"https://user:{SENTINEL}@a.example/"
    return random.choice((random.choice(TEXTS), random.choice(TEXTS), random.choice(VALUES)))


_SECRETS: tuple[Any, ...] = (
    SENTINEL,
    f"$2b$10${SENTINEL}",
    [SENTINEL],
    {SENTINEL: 1},
    {"value": SENTINEL},
    {"env": SENTINEL},
    {"file": [SENTINEL]},
    {"file": {"a": SENTINEL}},
    {"file": SENTINEL, "env": SENTINEL},
    {"file": None, SENTINEL: None},
)
"""A secret as somebody may write it where only a reference belongs."""
