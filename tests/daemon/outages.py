"""The daemon in an internet of its own, in which outages are made."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from exporter.web.server.listening import listen
from tests.servers.descriptors import used_up_while
from tests.servers.exporter import LENIENT, Exporter
from tests.servers.internet import NEUTRAL, OTHER_PROVIDER, SECOND_RESOLVER, Internet

ENDPOINTS: Mapping[str, Any] = {
    "imap": {"protocol": "imap", "host": "imap.gmail.com"},
    "pop3": {"protocol": "pop3", "host": "pop.gmail.com"},
    "submission": {"protocol": "smtp", "host": "smtp.gmail.com", "security": "starttls"},
}

TRACE = {"max_hops": 6, "max_per_hour": 60}

WITH_CONTROLS: Mapping[str, Any] = {
    "controls": {
        "web": {"kind": "provider_web", "host": "www.google.com", "port": 443},
        "neutral": {"kind": "neutral", "host": NEUTRAL, "port": 443},
        "other": {"kind": "same_port", "host": OTHER_PROVIDER, "port": 993},
    },
    "resolvers": [SECOND_RESOLVER],
    "trace": TRACE,
}
"""Evidence of each kind."""

BY_DEFAULT: Mapping[str, Any] = {"trace": TRACE}
"""No control but Google's web."""

_FASTER = (
    LENIENT
    + """
import certifi
from exporter.monitor import gathering
from exporter.probing import path
from exporter.verdict import controls, sources, status, this_host
certifi.contents = lambda: open({public!r}).read()
gathering.FRESH = sources.FRESH = 0.5
controls.PATIENCE = this_host.PATIENCE = 1.0
path._PATIENCE = 0.3
status.StatusFeed.refresh = lambda feed: feed.read(0.5)
"""
)
"""The public trusts the tests' authority; and evidence is younger, for an outage lasts some seconds only."""


class Watcher(Exporter):
    """A daemon at the client, which probes each second; this host trusts `trusted.pem` of the directory."""

    def __init__(
        self,
        internet: Internet,
        directory: Path,
        name: str,
        verdict: Mapping[str, Any],
        endpoints: Mapping[str, Any] = ENDPOINTS,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        config = directory / f"{name}.yml"
        # With libfaketime each look at a clock takes long.
        endpoints = {"imap": ENDPOINTS["imap"]} if environ else endpoints
        defaults = {"interval": "2s", "timeout": "3s"} if environ else {"interval": "1s", "timeout": "2s"}
        config.write_text(json.dumps({"defaults": defaults, "endpoints": endpoints, "verdict": verdict}), "utf-8")
        [self._listening] = listen(["127.0.0.1:0"])
        super().__init__(
            directory / f"{name}.log",
            config,
            environ={"SSL_CERT_FILE": str(directory / "trusted.pem"), **environ},
            before=_FASTER.format(public=str(internet.authority.ca_file)) + used_up_while(directory / "used-up"),
            under=internet.network.argv("client"),
            passed=self._listening,
        )
        self.open_files_allowed = 256

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._listening.close()

    def sentence(self) -> str:
        """What the front page says first, without the time."""
        [found] = re.findall(r"<h1[^>]*>(.*?)</h1>", self.get("/").text, re.DOTALL)
        words = " ".join(html.unescape(re.sub(r"<svg.*?</svg>|<[^>]+>", "", found, flags=re.DOTALL)).split())
        return re.sub(r" since \d\d:\d\d UTC", "", words)

    def verdict(self, endpoint: str = "imap") -> Mapping[str, Any] | None:
        """The verdict on an endpoint, with its sentence and facts; None while it is up."""
        [found] = self.get(f"/api/v1/endpoints/{endpoint}").json()["endpoints"]
        return found["failing"][0]["verdict"] if found["failing"] else None

    def wait_for_verdict(self, name: str) -> None:
        """Wait until that is the verdict on `imap`."""
        try:
            self.wait_for(lambda: (self.verdict() or {}).get("name") == name)
        except AssertionError as error:
            raise AssertionError(f"{name} is not the verdict: {self.verdict()}") from error

    def last(self, endpoint: str) -> Mapping[str, Any]:
        """The last probe of an endpoint, as JSON."""
        last: Mapping[str, Any] = self.get(f"/api/v1/endpoints/{endpoint}").json()["endpoints"][0]["last"]
        return last

    def failing_for(self, endpoint: str = "imap") -> float:
        """For how many seconds an endpoint has failed."""
        run, success = (self.values(f"gmail_probe_last_{which}_timestamp_seconds") for which in ("run", "success"))
        return run[endpoint] - success.get(endpoint, 0.0)

    def is_well(self) -> bool:
        """Whether each endpoint is up, nothing is intercepted, and no address of an earlier outage is passed over."""
        up, public, fell_back = (
            [*self.values(name).values()] for name in ("gmail_up", "gmail_tls_public_root", "gmail_probe_ip_fallback")
        )
        if any(self.values("gmail_addresses_passed_over").values()):
            return False
        return [up, public, fell_back] == [[each] * len(ENDPOINTS) for each in (1, 1, 0)]
