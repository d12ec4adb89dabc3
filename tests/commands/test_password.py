"""Whether a password may go to a host that only the DNS names."""

from __future__ import annotations

import pytest

from exporter.commands import password
from exporter.commands.mail_servers import Origin, Servers


def test_confirmation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where only the DNS names the hosts, a person on a terminal decides; without one the password stays here."""
    servers = Servers((), Origin.RECORDS, "those that example.com names in the DNS, which nobody signs")
    sure = Servers((), Origin.PROVIDER, "those of Google")

    class Answers:
        def __init__(self, answer: str, *, is_terminal: bool = True) -> None:
            self.answer = answer
            self.is_terminal = is_terminal

        def isatty(self) -> bool:
            return self.is_terminal

        def readline(self) -> str:
            return self.answer

    for answers, expected in [
        (Answers("y\n"), True),
        (Answers("Yes\n"), True),
        (Answers("\n"), False),
        (Answers(""), False),
        (Answers("y\n", is_terminal=False), False),
    ]:
        monkeypatch.setattr("sys.stdin", answers)
        assert password.may_send(servers, ["mail.example.net"]) is expected
        assert password.may_send(sure, ["imap.gmail.com"])
    asked = capsys.readouterr().err
    assert "Send the password there? [y/N]" in asked
    assert "mail.example.net" in asked


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is no password."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert password.ask_for_password("me@gmail.com") == ""


def test_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person types, without showing it; nothing where the input ends."""
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) == 2:
            raise EOFError
        return "secret"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", typed)
    assert [password.ask_for_password("me@gmail.com") for _ in range(2)] == ["secret", ""]
    assert "me@gmail.com" in asked[0]
