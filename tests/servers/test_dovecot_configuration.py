"""The configuration is written in the language of the Dovecot that is to read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.dovecot_configuration import files, version

VALUES = {
    **dict.fromkeys(("certificate", "key", "passwords", "auth_socket", "listen", "ca_file", "url"), "anything"),
    "directory": "/there",
    "quota": 1,
    "imap": 1143,
    "imaps": 1993,
    "pop3": 1110,
    "pop3s": 1995,
    "lmtp": 1024,
}


@pytest.mark.parametrize(
    ("printed", "numbers", "names"),
    [
        ("2.3.19.1 (9b53102964)", (2, 3), {"dovecot.conf", "junk.sieve", "oauth2.conf"}),
        ("2.3.21 (47349e2482)", (2, 3), {"dovecot.conf", "junk.sieve", "oauth2.conf"}),
        ("2.4.1-4 (7d8c0e5759)", (2, 4), {"dovecot.conf", "junk.sieve"}),
        ("2.10.0 (0123456789)", (2, 10), {"dovecot.conf", "junk.sieve"}),
    ],
)
def test_language(tmp_path: Path, printed: str, numbers: tuple[int, int], names: set[str]) -> None:
    """2.4 refuses a file that does not begin with a version, and 2.3 one that does; what both have is written once."""
    program = tmp_path / "dovecot"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n", "utf-8")
    program.chmod(0o755)
    assert version(str(program)) == numbers
    written = files(str(program), VALUES, with_tokens=True)
    assert written.keys() == names
    main = written["dovecot.conf"]
    assert main.lstrip().startswith("dovecot_config_version = ") is (numbers >= (2, 4))
    assert "port = 1993\n" in main
    assert "oauthbearer" in main
    assert "oauthbearer" not in files(str(program), VALUES, with_tokens=False)["dovecot.conf"]
