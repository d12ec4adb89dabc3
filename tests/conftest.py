"""The servers that tests ask for by name. A missing program fails the test that needs it; nothing is skipped."""

from __future__ import annotations

import logging
import signal
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from exporter.accounts import storage
from exporter.probing import search
from tests.servers import process
from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.dovecot import PASSWORDS, Dovecot
from tests.servers.network import Network
from tests.servers.postfix import Postfix
from tests.servers.postgrey import Postgrey
from tests.servers.prometheus import Prometheus
from tests.servers.rspamd import DOMAIN, Rspamd
from tests.servers.scripted import Behaviour, ScriptedServer, Security
from tests.servers.tokens import TokenServer

# Its assertions are those of three test files. Here, for the fuzzers' tests import it before tests/probing/conftest.py.
pytest.register_assert_rewrite("tests.probing.transcript")

# No test asserts a time: machines are noisy. And each run tries the same: new inputs are for `make fuzz` to find.
settings.register_profile("here", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from xdist.remote import Producer


Server = TypeVar("Server")

FIRST = [
    "tests/deploy/test_image.py",
    "tests/daemon/test_outages.py",
    "tests/browser/test_pages.py",
    "tests/deploy/test_end_to_end.py",
    "tests/deploy/test_outage_end_to_end.py",
    "tests/daemon/test_composition.py",
    "tests/probing/test_probe.py",
    "tests/accounts/test_simulated_week.py",
]
"""The files that take longest: they start first, so that none of them runs alone at the end."""

TOGETHER = {
    "tests/deploy/test_systemd.py": "tests/deploy/test_image.py",  # installs that image
    "tests/browser/test_origins.py": "tests/browser/test_pages.py",  # in that browser
}
"""Files whose tests share something with those of another file."""


def pytest_configure() -> None:
    """Let what the tests start end by SIGINT, also where a shell runs them in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _group(nodeid: str) -> str:
    """Return the file whose tests run in one process with this test."""
    file = nodeid.partition("::")[0]
    return TOGETHER.get(file, file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    items.sort(key=lambda item: FIRST.index(group) if (group := _group(item.nodeid)) in FIRST else len(FIRST))


class _Groups(LoadScopeScheduling):  # type: ignore[misc] # it ships no types
    """Gives each process of pytest-xdist one group after another: the tests of a group share servers."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Groups:
    """Distribute the groups in the order of the tests, not the largest ones first."""
    config.option.loadscopereorder = False
    return _Groups(config, log)


@pytest.fixture(autouse=True)
def no_storage_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that a test runs uses no budget of this machine."""
    monkeypatch.setattr(storage, "SYSTEM", Path("/nowhere"))


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are searched for the secrets of this test alone: one of a single letter would be found in any text."""
    monkeypatch.setattr(search, "_in_use", WeakSet())


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """After a test that sets up the daemon's logging, it is as the other tests expect it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class StartScripted(Protocol):
    """Starts a scripted server, which ends with the test."""

    async def __call__(
        self,
        behave: Behaviour,
        *,
        security: Security = "none",
        context: ssl.SSLContext | None = None,
        ipv6: bool = False,
    ) -> ScriptedServer:
        """As `ScriptedServer`; without a context, one with a good certificate of `authority`."""


class StartPrometheus(Protocol):
    """Starts a Prometheus, which ends with the test."""

    def __call__(self, scrape_configs: Sequence[Mapping[str, Any]], *, rule_files: Sequence[Path] = ()) -> Prometheus:
        """As `Prometheus`."""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody but the tests trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def directory(tmp_path: Path, authority: Authority) -> Path:
    """A directory with `cert.pem`, `key.pem`, `ca.pem`, and the key of another certificate."""
    good, other = authority.issue(), authority.issue("other.example.net")
    (tmp_path / "cert.pem").write_bytes(good.chain_file.read_bytes())
    (tmp_path / "key.pem").write_bytes(good.key_file.read_bytes())
    (tmp_path / "other.pem").write_bytes(other.key_file.read_bytes())
    (tmp_path / "ca.pem").write_bytes(authority.ca_file.read_bytes())
    (tmp_path / "empty.pem").write_bytes(b"")
    return tmp_path


@pytest.fixture(scope="session")
def token_server(authority: Authority) -> Iterator[TokenServer]:
    """The session's token server, for fixtures of a wider scope than a test."""
    with TokenServer(authority) as server:
        yield server


@pytest.fixture(scope="session")
def dovecot_server(authority: Authority, token_server: TokenServer) -> Iterator[Dovecot]:
    """The session's Dovecot, for fixtures of a wider scope than a test."""
    with ExitStack() as stack:
        yield _start(lambda: stack.enter_context(Dovecot(authority.issue(), token_server)))


@pytest.fixture(scope="session")
def postfix_server(authority: Authority, dovecot_server: Dovecot) -> Iterator[Postfix]:
    """The session's Postfix, for fixtures of a wider scope than a test."""
    with ExitStack() as stack:
        yield _start(lambda: stack.enter_context(Postfix(authority.issue(), dovecot_server)))


@pytest.fixture(scope="session")
def rspamd_server(postfix_server: Postfix) -> Iterator[Rspamd]:
    """The session's rspamd, as the filter of its Postfix."""
    with ExitStack() as stack:
        bind = _start(lambda: stack.enter_context(Bind({DOMAIN: ""})))
        yield _start(lambda: stack.enter_context(Rspamd(postfix_server.filter_port, bind)))


@pytest.fixture
def rspamd(rspamd_server: Rspamd) -> Iterator[Rspamd]:
    """A filter that signs with the right key; a test may give it another one, the next one finds it as it was."""
    yield rspamd_server
    rspamd_server.sign(with_right_key=True)


@pytest.fixture
def postgrey(postfix: Postfix) -> Iterator[Postgrey]:
    """The policy service of Postfix, which knows nobody yet."""
    with ExitStack() as stack:
        yield _start(lambda: stack.enter_context(Postgrey(postfix.policy_port)))


@pytest.fixture
def tokens(token_server: TokenServer) -> Iterator[TokenServer]:
    """A running token server, Dovecot's too; a test may stop it or script it, the next one finds it as it was."""
    token_server.reset()
    yield token_server
    token_server.reset()
    if not token_server.running:
        token_server.start()


@pytest.fixture
def dovecot(dovecot_server: Dovecot) -> Iterator[Dovecot]:
    """A running Dovecot; a test may stop it or change its passwords, the next one finds it as it was."""
    yield dovecot_server
    if not dovecot_server.members():
        dovecot_server.start()
    for user, password in PASSWORDS.items():
        if dovecot_server.passwords[user] != password:
            dovecot_server.set_password(user, password)


@pytest.fixture
def postfix(postfix_server: Postfix, dovecot: Dovecot) -> Iterator[Postfix]:
    """A running Postfix with Dovecot behind it; a test may stop it, the next one finds it as it was."""
    yield postfix_server
    if not postfix_server.members():
        postfix_server.start()


@pytest.fixture
def prometheus() -> Iterator[StartPrometheus]:
    """Call it with scrape configurations to start a Prometheus."""
    with ExitStack() as stack:

        def start(scrape_configs: Sequence[Mapping[str, Any]], *, rule_files: Sequence[Path] = ()) -> Prometheus:
            return _start(lambda: stack.enter_context(Prometheus(scrape_configs, rule_files=rule_files)))

        yield start


@pytest.fixture
async def scripted(authority: Authority) -> AsyncIterator[StartScripted]:
    """Call it with a behaviour to start a scripted server."""
    async with AsyncExitStack() as stack:

        async def start(
            behave: Behaviour,
            *,
            security: Security = "none",
            context: ssl.SSLContext | None = None,
            ipv6: bool = False,
        ) -> ScriptedServer:
            context = context or authority.issue().context
            server = ScriptedServer(behave, context=context, security=security, ipv6=ipv6)
            return await stack.enter_async_context(server)

        yield start


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of its own, which is made in a tenth of a second."""
    with ExitStack() as stack:
        yield _start(lambda: stack.enter_context(Network()))


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on."""
    return process.free_port()


def _start(start: Callable[[], Server]) -> Server:
    try:
        return start()
    except process.ServerError as error:
        pytest.fail(str(error), pytrace=False)
