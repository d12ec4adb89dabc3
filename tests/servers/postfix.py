"""Debian's Postfix: SMTP, SMTPS and submission on ephemeral loopback ports, with Dovecot behind it.

Three more ports for submission pass on what they take to an exchange, as a provider does to another one: there a filter
of spam looks at it, or it is greylisted.

Postfix starts as root only: its master gives each service the right account. An ordinary user starts it under
Debian's fakeroot, which pretends those changes of account; nothing that a client sees depends on them.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.process import (
    Process,
    Server,
    ServerError,
    find_program,
    free_ports,
    is_listening,
    loopback_addresses,
)
from tests.servers.rspamd import SPAM

if TYPE_CHECKING:
    from tests.servers.authority import Certificate
    from tests.servers.dovecot import Dovecot

PROGRAMS: Final = "/usr/lib/postfix/sbin"
MAIL_OWNER: Final = "postfix"
CLIENT_NAME: Final = "probe.example.com"
SERVICES: Final = (
    *("smtps", "submission", "strict"),
    *("signed", "advertising", "greylisted", "exchange", "greylisting"),
)
"""What has a port of loopback, beside SMTP itself."""

_CHANGED: Final = "# Changed while it runs:\n"
QUEUES: Final = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("maildrop", "private", "public", "saved", "trace"),
)


class Postfix(Server):
    """One Postfix with a configuration, queues and a log of its own, in a temporary directory.

    At its strict port it takes no other client than `CLIENT_NAME`, and says so in answer to EHLO. What is submitted at
    the signed port, and at that which adds a line of an advertisement, goes through the filter at `filter_port` both
    when it is sent and when it is received; that of the greylisted port through the policy service at `policy_port`.
    These have to run only when those ports are used.

    It authenticates through Dovecot's SASL and delivers example.com to Dovecot by LMTP: Dovecot has to run for that,
    but not for Postfix to start. Its ports stay the same from `start` to `stop` to `start`. Files go with `close`.
    """

    host = "localhost"

    def __init__(
        self,
        certificate: Certificate,
        dovecot: Dovecot,
        *,
        exchange: tuple[str, int] | None = None,
        settings: str = "",
    ) -> None:
        """With `exchange`, its SMTP is at that address and port of loopback alone; `settings` are lines of main.cf."""
        find_program("/usr/sbin/postfix", "postfix")
        self.program = find_program(f"{PROGRAMS}/master", "postfix")
        self.fakeroot = None if os.geteuid() == 0 else find_program("fakeroot", "fakeroot")
        self.certificate = certificate
        self.dovecot = dovecot
        free, self.filter_port, self.policy_port, *self._ports = free_ports(3 + len(SERVICES))
        ports = dict(zip(SERVICES, self._ports, strict=True))
        self.smtps_port, self.submission_port, self.strict_port = (ports[name] for name in SERVICES[:3])
        self.signed_port, self.advertising_port = ports["signed"], ports["advertising"]
        self.greylisted_port = ports["greylisted"]
        self._settings = settings
        self._smtp_address, self.smtp_port = exchange or ("", free)
        # In the system's temporary directory and not pytest's: Postfix's own account has to get through.
        self.directory = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.directory.chmod(0o755)
        self.log_file = self.directory / "postfix.log"
        self._configure()

    def start(self) -> None:
        """Start, and return once every port accepts connections."""
        if self._process is not None:
            raise ServerError("Postfix runs already")
        argv = [self.program, "-c", str(self.directory / "etc"), "-d"]
        if self.fakeroot is not None:
            own = f"chown -R {MAIL_OWNER}: {self.directory}/data {self.directory}/queue/[!p]*"
            own += f" {self.directory}/queue/p[ru]*"
            argv = [self.fakeroot, "--", "/bin/sh", "-c", f'{own} && exec "$@"', "sh", *argv]
        process = Process(argv, output=self.directory / "output")
        process.wait_until(
            lambda: (
                all(map(is_listening, self._ports)) and is_listening(self.smtp_port, self._smtp_address or "127.0.0.1")
            ),
            log=self.log_text,
        )
        self._process = process

    def hold(self) -> None:
        """Keep mail in the queue from now on."""
        self._change("defer_transports = lmtp\n")

    @property
    def deferred(self) -> set[str]:
        """The messages that were put off once, by their queue identifiers."""
        return set(re.findall(r": (\w+): to=.* status=deferred ", self.log_text()))

    def release(self) -> None:
        """Deliver mail again, and now what is in the queue."""
        self._change("")
        self.flush()

    def flush(self) -> None:
        """Try all mail of the queue now."""
        subprocess.run([str(self._flush), "-c", str(self.directory / "etc"), "-f"], check=True)

    def _change(self, more: str) -> None:
        """Let the queue manager read its configuration again, with another last line."""
        main = self.directory / "etc/main.cf"
        main.write_text(main.read_text().partition(_CHANGED)[0] + _CHANGED + more)
        reloads = self.log_text().count(": reload -- ")
        master = int((self.directory / "queue/pid/master.pid").read_text())
        os.kill(master, signal.SIGHUP)
        while self.log_text().count(": reload -- ") == reloads:
            time.sleep(0.02)
        # One that has mail to deliver goes on by what it has read; the next one is started where there is mail.
        for child in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            with suppress(OSError):  # it may have ended by itself
                if Path(f"/proc/{child}/comm").read_text().strip() == "qmgr":
                    os.kill(int(child), signal.SIGTERM)

    def stop(self) -> None:
        """As every server does."""
        if self._process is not None:
            # fakeroot tidies up after itself only when its child ends first.
            pid_file = self.directory / "queue/pid/master.pid"
            self._process.stop(grace=0.5, server=None if self.fakeroot is None else int(pid_file.read_text()))
            self._process = None

    def _configure(self) -> None:
        etc, queue, data = (self.directory / name for name in ("etc", "queue", "data"))
        for directory in (etc, queue, data, queue / "pid"):
            directory.mkdir()
        for name in QUEUES:
            (queue / name).mkdir(mode=0o755 if name == "public" else 0o700)
        if self.fakeroot is None:
            owner = pwd.getpwnam(MAIL_OWNER)
            for directory in (data, *(queue / name for name in QUEUES)):
                os.chown(directory, owner.pw_uid, owner.pw_gid)
        addresses = [f"[{address}]" if ":" in address else address for address in loopback_addresses()]
        (etc / "main.cf").write_text(
            _MAIN.format(
                directory=self.directory,
                programs=PROGRAMS,
                owner=MAIL_OWNER,
                addresses=", ".join(addresses),
                protocols="all" if len(addresses) > 1 else "ipv4",
                certificate=self.certificate.chain_file,
                key=self.certificate.key_file,
                auth_socket=self.dovecot.auth_socket,
                lmtp=self.dovecot.lmtp_address,
            )
            + self._settings
        )
        # Postfix's own program runs with another group, and then takes no configuration but the system's.
        self._flush = Path(shutil.copyfile("/usr/sbin/postqueue", self.directory / "postqueue"))
        self._flush.chmod(0o755)
        (etc / "master.cf").write_text(
            _MASTER.format(
                smtp=f"{self._smtp_address}:{self.smtp_port}" if self._smtp_address else self.smtp_port,
                **dict(zip(SERVICES, self._ports, strict=True)),
                client_name=CLIENT_NAME,
                filter=self.filter_port,
                policy=self.policy_port,
                advertisement=etc / "advertisement",
            )
        )
        # The first line of a text: the one that is looked at is the one before which it is put.
        (etc / "advertisement").write_text(f"/^This is a test message/ PREPEND {SPAM}\n")


_MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
daemon_directory = {programs}
command_directory = /usr/sbin
mail_owner = {owner}
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
# What fakeroot needs in every child, beside Postfix's own.
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C
    POSTLOG_SERVICE POSTLOG_HOSTNAME LD_PRELOAD LD_LIBRARY_PATH FAKEROOTKEY FAKED_MODE

myhostname = mail.example.com
inet_interfaces = {addresses}
inet_protocols = {protocols}
mynetworks =
mydestination =
alias_maps =
alias_database =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = inline:{{ probe@example.com=1, ops@example.com=1 }}
virtual_transport = lmtp:{lmtp}

# Nothing leaves this machine, not even a question to a name server.
default_transport = error:only example.com is delivered here
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
biff = no

smtpd_tls_chain_files = {key}, {certificate}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_sasl_type = dovecot
smtpd_sasl_path = unix:{auth_socket}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination

# Many short connections from one address are what tests make.
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0

# Who was sent away comes again a second later.
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
transport_retry_time = 1s
# A queue manager that is ended before it has done anything counts as broken, and would be started again after a minute.
service_throttle_time = 1s
milter_default_action = tempfail
"""

_MASTER = """
{smtp} inet n - n - - smtpd
{submission} inet n - n - - smtpd
    -o syslog_name=postfix/submission
    -o smtpd_tls_security_level=encrypt
    -o smtpd_sasl_auth_enable=yes
{smtps} inet n - n - - smtpd
    -o syslog_name=postfix/smtps
    -o smtpd_tls_wrappermode=yes
    -o smtpd_sasl_auth_enable=yes
{strict} inet n - n - - smtpd
    -o syslog_name=postfix/strict
    -o smtpd_delay_reject=no
    -o {{ smtpd_helo_restrictions =
        check_helo_access inline:{{ {client_name}=OK }}, reject_non_fqdn_helo_hostname, reject }}
{signed} inet n - n - - smtpd
    -o syslog_name=postfix/signed
    -o smtpd_tls_security_level=encrypt
    -o smtpd_sasl_auth_enable=yes
    -o smtpd_milters=inet:127.0.0.1:{filter}
    -o content_filter=smtp:[127.0.0.1]:{exchange}
{advertising} inet n - n - - smtpd
    -o syslog_name=postfix/advertising
    -o smtpd_tls_security_level=encrypt
    -o smtpd_sasl_auth_enable=yes
    -o smtpd_milters=inet:127.0.0.1:{filter}
    -o content_filter=smtp:[127.0.0.1]:{exchange}
    -o cleanup_service_name=advertise
{greylisted} inet n - n - - smtpd
    -o syslog_name=postfix/greylisted
    -o smtpd_tls_security_level=encrypt
    -o smtpd_sasl_auth_enable=yes
    -o content_filter=smtp:[127.0.0.1]:{greylisting}
{exchange} inet n - n - - smtpd
    -o syslog_name=postfix/exchange
    -o myhostname=mx.example.com
    -o smtpd_milters=inet:127.0.0.1:{filter}
{greylisting} inet n - n - - smtpd
    -o syslog_name=postfix/greylisting
    -o myhostname=mx.example.com
    -o {{ smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy} }}
advertise unix n - n - 0 cleanup
    -o body_checks=regexp:{advertisement}
smtp unix - - n - - smtp
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
