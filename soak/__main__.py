"""Try the daemon on a bad day, print each figure with its bound, and write them for docs/reliability.md.

python -m soak                  ten minutes
python -m soak --minutes 2 --share 0.1      only to see that it works: nothing is written
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.result import Figure, markdown
from exporter import __version__
from soak.figures import figures
from soak.lab import laboratory
from soak.trial import run

MINUTES = 10.0
RESULTS = Path(__file__).parent / "results.json"


def table(found: Sequence[Figure]) -> str:
    """Return the figures as a table."""
    return markdown(["figure", "must be", "is", ""], [figure.row() for figure in found])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 1 where a bound is not met."""
    parser = argparse.ArgumentParser(
        prog="python -m soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long (default: {MINUTES:g})")
    parser.add_argument("--share", type=float, default=1.0, help="share of the endpoints and clients (default: all)")
    parser.add_argument("--keep-log", type=Path, help="where to keep the daemon's log")
    options = parser.parse_args(arguments)
    with laboratory(options.share) as (lab, servers):
        seen = asyncio.run(run(lab, servers, options.minutes * 60))
    found = figures(seen)
    print(table(found))
    if seen.down:
        print(f"\ndown: {', '.join(sorted(seen.down)[:20])}")
    if options.keep_log:
        options.keep_log.write_text(seen.log)
    if options.minutes >= MINUTES and options.share == 1:
        where = f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
        when = f"{datetime.now(UTC):%Y-%m-%d}"
        document = {
            "when": when, "where": where, "version": __version__, "minutes": options.minutes,
            "figures": [figure._asdict() for figure in found],
        }  # fmt: skip
        RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
