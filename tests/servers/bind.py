"""Debian's BIND as the name server of a few zones, and Unbound as the resolver that verifies the signed ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.update

from tests.servers.process import Process, Server, ServerError, find_program, free_port, free_ports
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TTL = 0
"""Seconds for which the records of a zone may be kept: a change is seen at once."""

_APEX = """
$TTL 0
@ SOA ns hostmaster 1 3600 600 86400 0
@ NS ns
ns A 127.0.0.1
"""


class Bind(Server):
    """Serves zones on 127.0.0.1; those in `signed` with DNSSEC, by a dnssec-policy. Records change with `put`."""

    def __init__(self, zones: Mapping[str, str], signed: Iterable[str] = ()) -> None:
        self.program = find_program("named", "bind9")
        # Not pytest's directory: its path would be too long for named's socket, and AppArmor lets it use /tmp.
        self.directory = Path(tempfile.mkdtemp(prefix="bind-"))
        self.log_file = self.directory / "log"
        self.port, self._control = free_ports(2)
        self.signed = tuple(signed)
        self._zones = tuple(zones)
        for zone, records in zones.items():
            (self.directory / f"{zone}.zone").write_text(f"{_APEX}{records}\n", "utf-8")
        (self.directory / "named.conf").write_text(self._configuration(), "utf-8")

    @property
    def address(self) -> str:
        """Where it answers, as c-ares takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """As every server does; a signed zone is signed then."""
        if self._process is not None:
            raise ServerError("BIND runs already")
        process = Process(
            [self.program, "-f", "-c", str(self.directory / "named.conf")], output=self.directory / "output"
        )
        process.wait_until(self._is_ready, log=self.log_text)
        self._process = process

    def put(self, name: str, kind: str, *values: str) -> None:
        """Make these the records of a name that are of one kind; none: there are no such records."""
        zone = max((one for one in self._zones if f".{name}".endswith(f".{one}")), key=len)
        update = dns.update.UpdateMessage(f"{zone}.")
        update.delete(f"{name}.", kind)
        for value in values:
            update.add(f"{name}.", TTL, kind, value)
        answer = dns.query.tcp(update, "127.0.0.1", timeout=PATIENCE, port=self.port)
        assert answer.rcode() == 0, answer

    def anchor(self, zone: str) -> str:
        """The key of a signed zone, as a resolver's trust anchor."""
        answer = self._ask(zone, "DNSKEY")
        keys = [one for rrset in answer.answer if rrset.rdtype == dns.rdatatype.DNSKEY for one in rrset]
        return "\n".join(f'trust-anchor: "{zone}. DNSKEY {key}"' for key in keys if key.flags == 257)

    def _ask(self, name: str, kind: str) -> dns.message.Message:
        question = dns.message.make_query(f"{name}.", kind, want_dnssec=True)
        return dns.query.tcp(question, "127.0.0.1", timeout=PATIENCE, port=self.port)

    def _is_ready(self) -> bool:
        try:
            for zone in self._zones:
                kinds = {rrset.rdtype for rrset in self._ask(zone, "SOA").answer}
                if dns.rdatatype.SOA not in kinds or (zone in self.signed and dns.rdatatype.RRSIG not in kinds):
                    return False
        except (OSError, dns.exception.Timeout):
            return False
        return True

    def _configuration(self) -> str:
        # inline-signing no: else BIND 9.20 signs a copy of the zone, and answers an update before that has it.
        zones = "".join(
            f'zone "{zone}" {{ type primary; file "{zone}.zone"; allow-update {{ 127.0.0.1; }};'
            " check-integrity no; check-mx ignore; check-mx-cname ignore;"
            f"{' dnssec-policy default; inline-signing no;' if zone in self.signed else ''} }};\n"
            for zone in self._zones
        )
        return f"""
            options {{
                directory "{self.directory}"; pid-file none; session-keyfile none;
                listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
                recursion no; empty-zones-enable no; notify no; dnssec-validation no;
                managed-keys-directory "{self.directory}"; key-directory "{self.directory}";
            }};
            controls {{ }};
            logging {{ channel all {{ file "{self.log_file}"; }}; category default {{ all; }}; }};
            {zones}
        """


class Unbound(Server):
    """Resolves the zones of a `Bind`, and verifies those that are signed. `port` is a UDP and a TCP port of `host`."""

    def __init__(self, bind: Bind, *, host: str = "127.0.0.1", port: int | None = None, verifies: bool = True) -> None:
        self.program = find_program("unbound", "unbound")
        self.directory = Path(tempfile.mkdtemp(prefix="unbound-"))
        self.log_file = self.directory / "log"
        self.host, self.port = host, port or free_port()
        self._bind, self._verifies = bind, verifies

    @property
    def address(self) -> str:
        """Where it answers, as c-ares takes it."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """As every server does."""
        if self._process is not None:
            raise ServerError("Unbound runs already")
        (self.directory / "unbound.conf").write_text(self._configuration(), "utf-8")
        argv = [self.program, "-d", "-p", "-c", str(self.directory / "unbound.conf")]
        process = Process(argv, output=self.directory / "output")
        process.wait_until(self._is_ready, log=self.log_text)
        self._process = process

    def _is_ready(self) -> bool:
        try:
            dns.query.udp(dns.message.make_query("localhost.", "A"), self.host, timeout=0.2, port=self.port)
        except (OSError, dns.exception.Timeout):
            return False
        return True

    def _configuration(self) -> str:
        zones = self._bind._zones
        anchors = [self._bind.anchor(zone) for zone in self._bind.signed] if self._verifies else []
        stubs = "".join(
            f'stub-zone:\n name: "{zone}."\n stub-addr: 127.0.0.1@{self._bind.port}\n stub-prime: no\n'
            for zone in zones
        )
        local = "".join(f'local-zone: "{zone}." nodefault\n' for zone in zones)
        return f"""
server:
    interface: {self.host}@{self.port}
    do-ip6: no
    username: ""
    chroot: ""
    directory: "{self.directory}"
    pidfile: ""
    logfile: "{self.log_file}"
    use-syslog: no
    do-not-query-localhost: no
    module-config: "{"validator " if self._verifies else ""}iterator"
    cache-max-ttl: 0
    cache-max-negative-ttl: 0
    infra-host-ttl: 0
    aggressive-nsec: no
    num-threads: 1
{local}
{chr(10).join(anchors)}
{stubs}
remote-control:
    control-enable: no
"""
