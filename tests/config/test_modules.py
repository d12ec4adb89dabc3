"""Modules: endpoints without a host."""

import pytest
from pydantic import ValidationError

from exporter.config.dump import dump
from exporter.model.address import Address, HostPattern
from exporter.model.settings import Account, IpFamily, Module, Protocol, SecretRef, Security
from tests.config.conftest import Loader

WRITTEN = """
defaults: {timeout: 5s, login_interval: 1h, ip_family: both}
accounts: {ops: {username: probe@gmail.com, app_password: {env: X}}}
modules:
  imaps: {protocol: imap}
  submission: {protocol: smtp, security: starttls, ip_family: ipv6, timeout: 1s, allow_hosts: ["*.gmail.com:*", "*"]}
  login:
    protocol: imap
    account: ops
    folders: [inbox]
    tls: {min_version: "1.3"}
    allow_hosts: [IMAP.gmail.com., "[::1]:143"]
probe: {allow: [imap.gmail.com], max_concurrent: 7}
"""


def test_modules(loaded: Loader) -> None:
    """They take the defaults of endpoints, but for `both`, and need no endpoint beside them."""
    config = loaded(WRITTEN)
    assert config.endpoints == {}
    assert config.modules["imaps"] == Module(
        name="imaps", protocol=Protocol.IMAP, port=993, timeout=5, login_interval=3600
    )
    submission = config.modules["submission"]
    assert (submission.port, submission.security, submission.timeout) == (587, Security.STARTTLS, 1)
    assert submission.ip_family is IpFamily.IPV6
    assert submission.allow_hosts == (HostPattern("*.gmail.com", "*"), HostPattern("*"))
    assert submission.endpoints == ()
    assert config.probe.allow == (HostPattern("imap.gmail.com"),)
    assert config.probe.max_concurrent == 7


def test_the_endpoints_of_an_account(loaded: Loader) -> None:
    """There are as many as its allow_hosts, under names that no endpoint of a file can have."""
    login = loaded(WRITTEN).modules["login"]
    assert [(one.name, one.host, one.port) for one in login.endpoints] == [
        ("probe/login/imap.gmail.com:993", "imap.gmail.com", 993),
        ("probe/login/[::1]:143", "::1", 143),
    ]
    assert login.endpoint(Address("imap.gmail.com", None)) == login.endpoints[0]
    assert {one.account for one in login.endpoints} == {login.account}
    both = loaded(
        WRITTEN + "endpoints: {imap: {protocol: imap, host: h, account: ops}, pop3: {protocol: pop3, host: h}}"
    )
    names = [one.name for one in both.login_endpoints]
    assert names == ["imap", "probe/login/imap.gmail.com:993", "probe/login/[::1]:143"]
    assert {one.tls.min_version for one in login.endpoints} == {"1.3"}


@pytest.mark.parametrize(
    "hosts", [None, (), (HostPattern("*"),), (HostPattern("a", "*"),), (HostPattern("a"), HostPattern("*.a"))]
)
def test_no_module_has_an_account_for_hosts_that_nobody_named(hosts: tuple[HostPattern, ...] | None) -> None:
    """Whoever builds it, and however."""
    account = Account(name="ops", username="u", app_password=SecretRef(env="X"))
    with pytest.raises(ValidationError, match="one host and one port"):
        Module(name="m", protocol=Protocol.IMAP, port=993, account=account, allow_hosts=hosts)


def test_they_are_in_effect(loaded: Loader) -> None:
    """They are printed, load again, and count for the digest."""
    config = loaded(WRITTEN)
    again = loaded(dump(config))
    assert (again.modules, again.probe, again.digest) == (config.modules, config.probe, config.digest)
    assert "allow_hosts:\n    - imap.gmail.com\n    - '[::1]:143'\n" in dump(config).replace('"', "'")
    for changed in ("max_concurrent: 8", "max_concurrent: 7, allow: []"):
        assert loaded(WRITTEN.replace("allow: [imap.gmail.com], max_concurrent: 7", changed)).digest != config.digest
    assert loaded(WRITTEN.replace("timeout: 1s", "timeout: 2s")).digest != config.digest


def test_nothing_allowed_is_not_everything(loaded: Loader) -> None:
    """An empty list allows nothing; none at all allows what is public."""
    assert loaded("modules: {a: {protocol: imap}}\nprobe: {allow: []}").probe.allow == ()
    assert loaded("modules: {a: {protocol: imap}}\nprobe: {}").probe.allow is None
    assert loaded("modules: {a: {protocol: imap, allow_hosts: []}}").modules["a"].allow_hosts == ()
