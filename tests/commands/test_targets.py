"""What the command line may name."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

import pytest

from exporter.commands import targets
from exporter.commands.targets import UsageError, answering, select
from exporter.model.settings import Config, Endpoint, Protocol, Security
from tests.examples import SENTINEL

IMAP, POP3, SMTP = Protocol.IMAP, Protocol.POP3, Protocol.SMTP
TLS, STARTTLS = Security.TLS, Security.STARTTLS


def of(name: str) -> list[tuple[str, Protocol, str, int, Security]]:
    """The endpoints of a name, without a configuration."""
    (group,) = select(Config(), [name])
    return [(one.name, one.protocol, one.host, one.port, one.security) for one in group]


@pytest.mark.parametrize(
    ("url", "name", "protocol", "host", "port", "security"),
    [
        ("imaps://imap.gmail.com", "imap.gmail.com:993", IMAP, "imap.gmail.com", 993, TLS),
        ("IMAPS://imap.gmail.com:993/", "imap.gmail.com:993", IMAP, "imap.gmail.com", 993, TLS),
        ("imaps://imap.example.com:1993", "imap.example.com:1993", IMAP, "imap.example.com", 1993, TLS),
        ("imap://imap.example.com", "imap.example.com:143", IMAP, "imap.example.com", 143, STARTTLS),
        ("imap://[::1]:1143", "[::1]:1143", IMAP, "::1", 1143, STARTTLS),
        ("pop3s://[2001:db8::1]", "[2001:db8::1]:995", POP3, "2001:db8::1", 995, TLS),
        ("pops://127.0.0.1", "127.0.0.1:995", POP3, "127.0.0.1", 995, TLS),
        ("pop3://a.example", "a.example:110", POP3, "a.example", 110, STARTTLS),
        ("pop://a.example", "a.example:110", POP3, "a.example", 110, STARTTLS),
        ("smtps://smtp.gmail.com", "smtp.gmail.com:465", SMTP, "smtp.gmail.com", 465, TLS),
        ("submissions://a.example", "a.example:465", SMTP, "a.example", 465, TLS),
        ("submission://a.example", "a.example:587", SMTP, "a.example", 587, STARTTLS),
        ("smtp://smtp.gmail.com:587", "smtp.gmail.com:587", SMTP, "smtp.gmail.com", 587, STARTTLS),
        ("smtp://mx.example", "mx.example:25", SMTP, "mx.example", 25, STARTTLS),
        ("smtp://mx.example:2525", "mx.example:2525", SMTP, "mx.example", 2525, STARTTLS),
    ],
)
def test_an_address_with_its_protocol(
    url: str, name: str, protocol: Protocol, host: str, port: int, security: Security
) -> None:
    """The scheme says what is spoken and how it is secured; any port may be named."""
    assert of(url) == [(name, protocol, host, port, security)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("http://a.example", '"http://a.example": HTTP is no protocol of mail; name HOST:PORT, or an address such as'),
        ("HTTPS://a.example/x", "HTTPS is no protocol of mail"),
        ("ldap://a.example", 'there is no protocol "ldap"; name HOST:PORT, or an address such as imaps://HOST'),
        ("imap+ssl://a.example", 'there is no protocol "imap+ssl"; did you mean "imaps://a.example"?'),
        ("IMAP4-TLS://a.example:993", 'did you mean "imaps://a.example:993"?'),
        ("imap4://a.example", 'did you mean "imap://a.example"?'),
        ("pops3://a.example", 'did you mean "pop3s://a.example"?'),
        ("smtp+starttls://a.example:587", 'did you mean "smtp://a.example:587"?'),
        ("submission.ssl://a.example", 'did you mean "submissions://a.example"?'),
        ("ldaps://a.example", 'there is no protocol "ldaps"; name HOST:PORT, or an address such as imaps://HOST'),
        ("imaps://a.example/INBOX", 'must be without a path: "imaps://a.example"'),
        ("imaps://a.example?x", 'must be without a path: "imaps://a.example"'),
        ("imaps://a.example#x", 'must be without a path: "imaps://a.example"'),
        ("imaps://a.example:1993/?x", 'must be without a path: "imaps://a.example:1993"'),
        ("imaps://a.example:99999", "must have a port from 1 to 65535 behind the colon"),
        ("imaps://a.example:", "must have a port from 1 to 65535 behind the colon"),
        ("imaps://", "the host must be"),
        ("imaps://a b", "the host must be a host name without spaces"),
        ("imaps://::1", 'an IPv6 address needs brackets: "imaps://[::1]"'),
        ("imaps://a.example:143", 'port 143 is for imap: "imap://a.example:143"'),
        ("imap://a.example:993", 'port 993 is for imaps: "imaps://a.example:993"'),
        ("imaps://a.example:995", 'port 995 is for pop3s: "pop3s://a.example:995"'),
        ("smtp://a.example:465", 'port 465 is for smtps: "smtps://a.example:465"'),
        ("imaps://[::1]:143", 'port 143 is for imap: "imap://[::1]:143"'),
        ("a.example:imaps", 'a port is a number; name a protocol as in "imaps://a.example"'),
        ("a.example:SMTP", 'a port is a number; name a protocol as in "smtp://a.example"'),
        ("imaps:a.example", 'an address has two slashes behind the colon: "imaps://a.example"'),
        ("imaps:/a.example:1993/", 'an address has two slashes behind the colon: "imaps://a.example:1993"'),
        ("imaps//a.example", 'an address has two slashes behind the colon: "imaps://a.example"'),
        ("a.example:", "must have a port from 1 to 65535 behind the colon"),
        ("a.example:0", "must have a port from 1 to 65535 behind the colon"),
        ("a.example:https", "must have a port from 1 to 65535 behind the colon"),
        ("a.example:993/INBOX", "must have a port from 1 to 65535 behind the colon"),
        ("a.example:\uff19\uff19\uff13", "must have a port from 1 to 65535 behind the colon"),
        ("a.example:8443", "no protocol is known for this port, only for 993, 143,"),
        ("a.example:993:tls", "this is not an IPv6 address"),
        ("127.0.0.1:993:993", "this is not an IPv6 address"),
    ],
)
def test_what_is_no_address_of_mail(name: str, message: str) -> None:
    """One line, with what was probably meant."""
    with pytest.raises(UsageError) as caught:
        of(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"imaps://ops:{SENTINEL}@a.example",
        f"smtp://a@b:{SENTINEL}@x",
        f"x://{SENTINEL}@",
        f"ops:{SENTINEL}@a.example:993",
        f"{SENTINEL}@a.example",
        f"imaps:ops:{SENTINEL}@a.example",
        f"mailto:{SENTINEL}@a.example",
    ],
)
def test_a_password_in_an_address_is_not_shown(url: str) -> None:
    """Whatever else is wrong with it."""
    with pytest.raises(UsageError, match="must be without a user") as caught:
        of(url)
    assert SENTINEL not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "host", "shown"),
    [
        ("imap.gmail.com", "imap.gmail.com", "imap.gmail.com"),
        ("localhost", "localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "[::1]"),
        ("[2001:db8::1]", "2001:db8::1", "[2001:db8::1]"),
    ],
)
def test_a_host_alone_has_its_usual_ports(name: str, host: str, shown: str) -> None:
    """Each once, as it is secured there."""
    assert of(name) == [
        (f"{shown}:{port}", protocol, host, port, security)
        for port, protocol, security in (
            (993, IMAP, TLS),
            (143, IMAP, STARTTLS),
            (995, POP3, TLS),
            (110, POP3, STARTTLS),
            (465, SMTP, TLS),
            (587, SMTP, STARTTLS),
            (25, SMTP, STARTTLS),
        )
    ]


@pytest.mark.parametrize("name", ["imap", "gmail", "x", "."])
def test_a_single_word_is_an_endpoint(name: str) -> None:
    """One that does not exist: a host has a dot in its name."""
    with pytest.raises(UsageError, match="there is no endpoint"):
        of(name)


def test_a_name_of_the_configuration_is_itself() -> None:
    """Also one that looks like a host."""
    endpoint = Endpoint(name="imap.gmail.com", protocol=IMAP, host="localhost", port=1)
    config = Config(endpoints={"imap.gmail.com": endpoint})
    assert select(config, ["imap.gmail.com", "imap.gmail.com"]) == [[endpoint]]
    assert select(config, []) == [[endpoint]]


async def test_ports_that_answer() -> None:
    """Those alone; where none does, the ports of today's clients."""
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        open_ports = [one.getsockname()[1] for one in listening]
        with closing(socket.create_server(("127.0.0.1", 0))) as gone:
            closed_port = gone.getsockname()[1]
        ports = [open_ports[0], closed_port, open_ports[1]]
        group = [Endpoint(name=str(port), protocol=IMAP, host="127.0.0.1", port=port) for port in ports]
        assert [endpoint.port for endpoint in await answering(group)] == open_ports
    (group,) = select(Config(), ["127.83.1.9"])
    assert [endpoint.port for endpoint in await answering(group)] == [993, 995, 465, 587]
    (group,) = select(Config(), ["no-such-host.invalid"])
    assert [endpoint.port for endpoint in await answering(group)] == [993, 995, 465, 587]


async def test_a_port_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue drops the request to connect, as a firewall does."""
    monkeypatch.setattr(targets, "ANSWER_SECONDS", 0.3)
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        here = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ports = [full.getsockname()[1], here.getsockname()[1]]
        group = [Endpoint(name=str(port), protocol=IMAP, host="127.0.0.1", port=port) for port in ports]
        assert [endpoint.port for endpoint in await answering(group)] == ports[1:]
