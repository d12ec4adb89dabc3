"""How true the reported time of a phase is, while many other endpoints are probed: run `python bench/timing.py`.

A server in a process of its own waits 50 ms before its greeting, and then says how long it really waited. The daemon's
own schedule and checks probe it again and again in one event loop with 100 other endpoints, whose server is a third
process. Printed is the error of the `greeting` that is reported, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import structlog
import uvloop

from exporter.accounts.ledger import Ledger
from exporter.check import Checker
from exporter.config import Endpoint, IpFamily, Protocol, Security, Tls
from exporter.metrics import ExporterMetrics
from exporter.outcome import Outcome, Phase, Target
from exporter.probing.resolve import Resolver
from exporter.schedule import Schedule
from exporter.store import Store
from tests.servers import acts
from tests.servers.authority import Authority, Certificate
from tests.servers.dialogues import Imap
from tests.servers.scripted import ScriptedServer, Session

DELAY = 0.05
"""Seconds that the server waits before its greeting."""

OTHERS = 100
"""Other endpoints that are probed at the same time."""


WAITED = "WAITED="
"""The capability by which the server says for how many microseconds it really waited."""


async def wait_and_tell(session: Session) -> None:
    """Serve one connection, late: what the server's process took to wake is not the exporter's error."""
    await session.start_tls()
    secured = time.perf_counter()
    await asyncio.sleep(DELAY)
    waited = WAITED.encode() + b"%d" % round((time.perf_counter() - secured) * 1e6)
    # From here on the dialogue is an ordinary one, whose handshake is already done.
    await Imap(capabilities=Imap.capabilities + b" " + waited, at={"tls": acts.in_order()})(session)


wait_and_tell.does_handshake = True  # type: ignore[attr-defined]


def serve(chain: Path, key: Path, *, slow: bool) -> None:
    """Be a server: print the port, and serve until the standard input ends."""

    async def run() -> None:
        behave = wait_and_tell if slow else Imap()
        async with ScriptedServer(behave, context=Certificate(chain, key).context, security="tls") as server:
            print(server.port, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(run())


def start(stack: ExitStack, certificate: Certificate, *, slow: bool) -> int:
    """Start a server in a process of its own, and return its port; it ends with the stack."""
    command = [sys.executable, __file__, "--serve", str(certificate.chain_file), str(certificate.key_file)]
    process = subprocess.Popen(
        [*command, *(["--slow"] if slow else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stack.enter_context(process)  # leaving it closes the pipes, which ends the server
    assert process.stdout is not None
    return int(process.stdout.readline())


async def measure(slow: int, fast: int, authority: Authority, arguments: argparse.Namespace) -> list[Outcome]:
    """Run the schedule for a while, and return what was seen of the slow server."""

    def target(name: str, port: int, interval: float) -> Target:
        endpoint = Endpoint(
            name=name,
            protocol=Protocol.IMAP,
            host="localhost",
            port=port,
            security=Security.TLS,
            tls=Tls(ca_file=authority.ca_file),
            ip_family=IpFamily.IPV4,
            interval=interval,
            timeout=interval * 0.9,
        )
        return Target(endpoint, endpoint.ip_family)

    targets = [target("slow", slow, arguments.slow_interval)]
    targets += [target(f"other-{number}", fast, arguments.interval) for number in range(OTHERS)]
    store, resolver = Store(), Resolver()
    store.configure(targets)
    checker = Checker(store, resolver, Ledger())
    outcomes: list[Outcome] = []

    async def check(of: Target) -> None:
        outcome = await checker.check(of)
        if of.endpoint.name == "slow":
            outcomes.append(outcome)

    schedule = Schedule(check, ExporterMetrics())
    schedule.start()
    schedule.configure(targets)
    await asyncio.sleep(arguments.seconds)
    await schedule.stop()
    await resolver.close()
    others = [series for series in store if series.target.endpoint.name != "slow"]
    probed = sum(series.successes for series in others)
    failed = sum(sum(series.failures.values()) for series in store)
    print(f"{probed} probes of {OTHERS} other endpoints in {arguments.seconds:g} s, {failed} failed")
    return outcomes


def waited(outcome: Outcome) -> float:
    """The seconds that the server says it has waited."""
    [said] = [name for name in outcome.observed.capabilities if name.startswith(WAITED)]
    return int(said.removeprefix(WAITED)) / 1e6


def summary(errors: Sequence[float]) -> str:
    """Median, 99th percentile and maximum of the sizes, in milliseconds."""
    sizes = sorted(abs(error) * 1000 for error in errors)
    middle, high = sizes[len(sizes) // 2], sizes[min(len(sizes) - 1, len(sizes) * 99 // 100)]
    return f"median {middle:.3f} ms   p99 {high:.3f} ms   max {sizes[-1]:.3f} ms"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long to measure")
    parser.add_argument("--interval", type=float, default=2, help="seconds between two probes of each other endpoint")
    parser.add_argument("--slow-interval", type=float, default=0.2, help="seconds between two probes of the slow one")
    parser.add_argument("--serve", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slow", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve, slow=arguments.slow)
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        authority = Authority(Path(directory))
        slow = start(stack, authority.issue(), slow=True)
        fast = start(stack, authority.issue(), slow=False)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            outcomes = runner.run(measure(slow, fast, authority, arguments))
    seen = [(outcome.phases[Phase.GREETING], waited(outcome)) for outcome in outcomes if outcome.ok]
    print(f"Python {platform.python_version()}, uvloop {version('uvloop')}; {len(seen)} greetings after 50 ms")
    print(f"greeting as reported, against 50 ms:           {summary([greeting - DELAY for greeting, _ in seen])}")
    print(f"greeting as reported, against what was waited: {summary([greeting - slept for greeting, slept in seen])}")
    print(f"what was waited, against 50 ms:                {summary([slept - DELAY for _, slept in seen])}")


if __name__ == "__main__":
    main()
