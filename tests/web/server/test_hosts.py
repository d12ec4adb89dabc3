"""The names by which a server may be addressed."""

from __future__ import annotations

import socket

import pytest

from exporter.model.address import HostPattern
from exporter.model.site import Site
from exporter.web.server.hosts import KnownHosts, own_names

FLAGS = Site("https://pages.example.com/gmail/", (HostPattern("named.example"), HostPattern("*.wild.example")))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9993",
        "192.0.2.7",
        "[::1]",
        "[2001:db8::1]:9993",
        "[fe80::1%eth0]:9993",
        "localhost",
        "LOCALHOST:9993",
        "localhost.",
        "gmail.localhost",
        "a.b.localhost:80",
        "mx1",
        "MX1:9993",
        "mx1.example.net",
        "pages.example.com",
        "pages.example.com:443",
        "named.example",
        "Named.Example.:9993",
        "a.wild.example",
        "a.b.wild.example",
    ],
)
def test_a_known_name(host: str) -> None:
    """An address, localhost, this host, and what the flags name; with any port."""
    assert KnownHosts(FLAGS, {"mx1", "mx1.example.net"}).knows(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9993",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "127.1",
        "0x7f.1",
        "2130706433",
        "mx1.evil.example",
        "mx",
        "example.com",
        "wild.example",
        "xwild.example",
        "pages.example.com.evil.example",
        "localhost:x",
        "localhost:-1",
        "localhost:²",
        "[::1",
        "[::1]x",
        "",
        ":9993",
        ".",
        ".localhost@evil.example",
        "user@evil.example",
        "localhost, evil.example",
        "evil.example/localhost",
        "\x80",
    ],
)
def test_an_unknown_name(host: str) -> None:
    """Whatever looks like a known one."""
    assert not KnownHosts(FLAGS, {"mx1", "mx1.example.net"}).knows(host)


def test_the_names_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once what the kernel knows; the resolver's may take a while."""
    monkeypatch.setattr(socket, "gethostname", lambda: "MX1.example.org")
    assert own_names() == {"mx1.example.org", "mx1"}
    monkeypatch.setattr(socket, "getfqdn", lambda: "Mail.Example.Net")
    hosts = KnownHosts()
    assert not hosts.knows("mail.example.net")
    hosts.look_up()
    assert hosts.knows("mail.example.net:9993")


def test_any_name() -> None:
    """Where somebody wants it so."""
    assert KnownHosts(Site(allowed_hosts=(HostPattern("*"),)), set()).knows("evil.example")
