"""The daemon under conditions that no flag sets: a given name server, or a store that is filled at the start."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from types import MappingProxyType

from exporter import cli
from exporter.daemon import composition
from exporter.model.certificate import TlsFacts
from exporter.model.outcome import Observed, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Config
from exporter.probing.resolve import Resolver

FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "CN=WR2,O=Google Trust Services,C=US", "ab" * 32, 2e9, 2e9)


def outcome(target: Target, number: int) -> Outcome:
    """Return a successful outcome, slightly different for each number."""
    phases: dict[Phase, float] = {
        phase: (10 + number + len(phase)) / 1234.5
        for phase in Phase
        if phase not in (Phase.STARTTLS, Phase.LOGIN, Phase.FOLDERS)
    }
    now = time.time()
    seen = Observed("127.0.0.1", 4, ip_fallback=False, tcp_rtt=0.01234, tls=FACTS, capabilities=("IMAP4REV1", "IDLE"))
    return Outcome(target, now, now, MappingProxyType(phases), Phase.LOGOUT, Reason.OK, observed=seen)


class Filled(composition.Daemon):
    """A daemon whose targets have all been probed a few times."""

    def __init__(self, config: Config, options: composition.DaemonOptions) -> None:
        super().__init__(config, options)
        for series in self._store:
            for number in range(3):
                series.add(outcome(series.target, number))
            self._exposition.refresh(series)


def main(arguments: Sequence[str]) -> int:
    """Set the conditions, and run the daemon with the flags after `--`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nameserver", metavar="HOST:PORT", help="use this name server")
    parser.add_argument("--filled", action="store_true", help="start with a filled store")
    parser.add_argument("flags", nargs="*")
    options = parser.parse_args(arguments)
    if options.nameserver:
        vars(composition)["Resolver"] = partial(Resolver, [options.nameserver])
    if options.filled:
        vars(composition)["Daemon"] = Filled
    return cli.main(options.flags)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
