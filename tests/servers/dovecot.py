"""Debian's Dovecot: IMAP, POP3, LMTP and SASL on ephemeral loopback ports, as root or as an ordinary user."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.dovecot_configuration import MAIL_ACCOUNT, files
from tests.servers.process import (
    Process,
    Server,
    ServerError,
    find_program,
    free_ports,
    is_listening,
    loopback_addresses,
)
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.servers.authority import Certificate
    from tests.servers.tokens import TokenServer

PROBE_USER: Final = "probe@example.com"
PROBE_PASSWORD: Final = 'pä"ss \\ wörd'
OPS_USER: Final = "ops@example.com"
OPS_PASSWORD: Final = "ops-password"
PASSWORDS: Final = {PROBE_USER: PROBE_PASSWORD, OPS_USER: OPS_PASSWORD}

QUOTA: Final = 30 << 20
"""Octets that each mailbox may hold."""

LIBRARY = "/usr/lib/dovecot"

MARKS = 1 << 30
"""Above every process id, by which Dovecot knows who asks it for authentication."""


class Dovecot(Server):
    """One Dovecot with a configuration, mailboxes and a log of its own, in a temporary directory.

    Its ports and its mailboxes stay the same from `start` to `stop` to `start`. The files go with `close`.

    With a token server it takes that one's tokens as well as passwords, by XOAUTH2 and OAUTHBEARER, and asks it at
    every login; Postfix does the same through it. While the token server is stopped, a token is refused for the time
    being (2.4 says that only in its challenge), and a password is taken as ever.

    What comes by LMTP goes to Junk where it has `X-Spam: yes`.

    It takes no login without TLS. Dovecot makes one exception, which no setting takes away: a client whose address is
    that of the server counts as secure. A client at 127.0.0.2 is refused, and sees LOGINDISABLED.
    """

    host = "localhost"

    def __init__(self, certificate: Certificate, tokens: TokenServer | None = None) -> None:
        self.program = find_program("/usr/sbin/dovecot", "dovecot-imapd")
        find_program(f"{LIBRARY}/imap-login", "dovecot-imapd")
        find_program(f"{LIBRARY}/pop3-login", "dovecot-pop3d")
        find_program(f"{LIBRARY}/lmtp", "dovecot-lmtpd")
        find_program("/usr/bin/sievec", "dovecot-sieve")
        self.certificate = certificate
        self.tokens = tokens
        self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port, self._lmtp_port = free_ports(5)
        # In the system's temporary directory and not pytest's: a socket's path is at most 107 bytes long.
        self.directory = Path(tempfile.mkdtemp(prefix="dovecot-"))
        # Processes that are not root's have to get through, to the mailboxes and the sockets.
        self.directory.chmod(0o755)
        self.log_file = self.directory / "dovecot.log"
        self.auth_socket = self.directory / "auth-postfix"
        self.passwords = dict(PASSWORDS)
        self._marks = 0
        self._password_file = self.directory / "passwd"
        self._configure()

    @property
    def lmtp_address(self) -> str:
        """Where LMTP listens, as Postfix writes it."""
        return f"inet:[127.0.0.1]:{self._lmtp_port}"

    @property
    def lmtp(self) -> tuple[str, int]:
        """Where mail is delivered, as a host and a port."""
        return "127.0.0.1", self._lmtp_port

    def start(self) -> None:
        """Start, and return once every port accepts connections."""
        if self._process is not None:
            raise ServerError("Dovecot runs already")
        argv = [self.program, "-F", "-c", str(self.directory / "dovecot.conf")]
        process = Process(argv, output=self.directory / "output")
        ports = (self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port, self._lmtp_port)
        process.wait_until(lambda: self.auth_socket.exists() and all(map(is_listening, ports)), log=self.log_text)
        self._process = process

    def stop(self) -> None:
        """As every server does."""
        if self._process is not None:
            # A child that was told to end before it had quite begun makes the master wait for five seconds.
            self._process.stop(grace=0.2)
            self._process = None
            self.auth_socket.unlink(missing_ok=True)

    def set_password(self, user: str, password: str) -> None:
        """Change a password; in force on return, which may take a second."""
        self.passwords[user] = password
        written = self._write_passwords()
        # Dovecot looks at the file's time, in whole seconds, once a second.
        time.sleep(max(0.0, int(written) + 1.05 - time.time()))

    def login_count(self, user: str | None = None, *, accepted: bool | None = None) -> int:
        """How many logins were attempted since the first start, SMTP's included; of one user or one result only.

        A refused token counts once its challenge is answered; `TokenServer.introspections` has those that were not.
        """
        said = "OK|FAIL" if accepted is None else "OK" if accepted else "FAIL"
        # A login ends in one such line; its number and the user follow, unless the client named none.
        whose = r"(?:\t|$)" if user is None else rf"\tuser={re.escape(user)}(?:\t|$)"
        pattern = re.compile(rf"client passdb out: (?:{said})\t\d+{whose}", re.MULTILINE)
        return len(pattern.findall(self._settled_log()))

    def _settled_log(self) -> str:
        # Another process writes the log, in the order of events: a client may have its answer before the line is there.
        if not self.members():
            return self.log_text()
        self._marks += 1
        mark = f"AUTH\t{self._marks}\tPLAIN\tservice=mark-{self._marks}\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.auth_socket))
            client.sendall(f"VERSION\t1\t1\nCPID\t{MARKS + self._marks}\n{mark}".encode())
            deadline = time.monotonic() + PATIENCE
            while mark not in (text := self.log_text()):
                assert time.monotonic() < deadline, text[-2000:]
                time.sleep(0.005)
            client.sendall(f"CANCEL\t{self._marks}\n".encode())
        return text

    def _write_passwords(self) -> float:
        text = "".join(f"{user}:{{PLAIN}}{password}::::::\n" for user, password in self.passwords.items())
        fresh = self._password_file.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o644)
        written = time.time()
        if self._password_file.exists():
            # Two changes within a second would leave the time as it was, and the second one unseen.
            changed = max(int(written), int(self._password_file.stat().st_mtime) + 1)
            os.utime(fresh, (changed, changed))
        fresh.replace(self._password_file)
        return written

    def _configure(self) -> None:
        mail = self.directory / "mail"
        mail.mkdir()
        if os.geteuid() == 0:
            account = pwd.getpwnam(MAIL_ACCOUNT)
            os.chown(mail, account.pw_uid, account.pw_gid)
        self._write_passwords()
        values: dict[str, object] = {
            "quota": QUOTA // 1024,
            "directory": self.directory,
            "listen": ", ".join(loopback_addresses()),
            "certificate": self.certificate.chain_file,
            "key": self.certificate.key_file,
            "passwords": self._password_file,
            "auth_socket": self.auth_socket,
            "imap": self.imap_port,
            "imaps": self.imaps_port,
            "pop3": self.pop3_port,
            "pop3s": self.pop3s_port,
            "lmtp": self._lmtp_port,
        }
        if self.tokens is not None:
            # A copy: where the original is, Dovecot's own account may not get through.
            ca_file = self.directory / "ca.pem"
            shutil.copyfile(self.tokens.ca_file, ca_file)
            ca_file.chmod(0o644)
            values |= {"ca_file": ca_file, "url": self.tokens.tokeninfo_url}
        for name, text in files(self.program, values, with_tokens=self.tokens is not None).items():
            path = self.directory / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
