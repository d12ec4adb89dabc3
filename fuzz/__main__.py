"""Run the fuzzers, print a line for each, and keep what they find.

python -m fuzz                                       all of them, ten minutes in all
python -m fuzz --cases 5000000 --only dialogues      so many cases of each that is named
python -m fuzz --only dialogues --case FILE          one case again, with its traceback
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from fuzz.fuzzer import failure, kind_of, limit_process
from fuzz.run import FINDINGS, FUZZERS, Options, Run, made, scratch

MINUTES = 10.0


def _again(name: str, case: Path) -> int:
    """Run one case, and print the traceback of what it raises."""
    with scratch() as directory:
        limit_process()
        error = failure(made(FUZZERS[name], directory), case.read_bytes())
    if error is None:
        print(f"{name}: nothing is wrong with this case")
        return 0
    traceback.print_exception(error)
    print(f"{name}: {kind_of(error)}")
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzers; return 1 where one has found something."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(FUZZERS), help="one fuzzer (repeatable)")
    parser.add_argument("--cases", type=int, help="cases of each fuzzer, however long that takes")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help=f"minutes for all of them (default: {MINUTES:g})"
    )
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() // 10**9, help="the same cases again (default: the time)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument("--case", type=Path, help="run the case in this file, and nothing else")
    parser.add_argument("--findings", type=Path, default=FINDINGS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.only or list(FUZZERS)
    if options.case:
        return _again(names[0], options.case)
    seconds = 60 * options.minutes / len(names)
    how = Options(options.cases, seconds, options.seed, options.jobs, options.findings)
    runs = []
    for name in names:
        with scratch() as directory:
            run = Run(name, how, directory)
            run()
        print(run, flush=True)
        runs.append(run)
    return 1 if any(run.found for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
