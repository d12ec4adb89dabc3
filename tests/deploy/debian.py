"""Root file systems of Debian, made by debootstrap, and how pip and apt here reach their packages."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.servers.process import ServerError, find_program

ROOT = Path(__file__).parent.parent.parent

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gmail-exporter"
"""What takes minutes to make is kept here between runs; remove it to make it again."""

(BASE,) = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
"""The base image of the Dockerfile."""

PYTHON, RELEASE = re.fullmatch(r".*/python:(\d+\.\d+)-slim-(\w+)", BASE).groups()  # type: ignore[union-attr]
"""The version of Python and the Debian release that the base image has by its name."""


def command_as_root(*argv: str | Path) -> list[str]:
    """Return the command that runs this program as root."""
    name, *rest = map(str, argv)
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    path = f"PATH={os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return [*prefix, "env", path, "BUILDAH_ISOLATION=chroot", find_program(name, name), *rest]


def as_root(*argv: str | Path, timeout: float = 500) -> str:
    """Run a program as root and return its standard output.

    Raises:
        ServerError: it failed; with its output.
    """
    done = subprocess.run(
        command_as_root(*argv),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=timeout,
    )
    if done.returncode:
        raise ServerError(
            f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return done.stdout.strip()


def bootstrap(root: Path, packages: Iterable[str], *, timeout: float = 900) -> None:
    """Make a minimal file system of `RELEASE` with these packages, from the mirror that apt uses here."""
    as_root(
        *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", RELEASE, root, *_mirrors()[:1]),
        timeout=timeout,
    )


def _mirrors() -> list[str]:
    """Return the addresses of Debian's archive in the configuration of apt; none where apt has other archives only."""
    form = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    printed = subprocess.run(
        [find_program("apt-get", "apt"), "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return re.findall(r"^Debian Debian (\S+)$", printed, re.MULTILINE)


def pip_configuration(directory: Path) -> dict[Path, Path]:
    """Write pip's configuration to a directory; return what another file system needs to have it, by its path there."""
    printed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    parser = configparser.RawConfigParser()
    paths = set()
    found = re.findall(r"^(\S+)=('.*'|\".*\")$", printed, re.MULTILINE)
    # The environment overrides the files, so it comes last.
    for key, value in sorted(found, key=lambda each: each[0].startswith(":env:")):
        section, _, name = key.rpartition(".")
        section = "global" if section == ":env:" else section
        if not parser.has_section(section):
            parser.add_section(section)
        text = ast.literal_eval(value)
        parser.set(section, name, text.replace("\n", "\n\t"))
        words = text.split()
        paths |= {Path(word) for word in words if word.startswith("/")}
        # An index in files: the files that it links to are beside it.
        paths |= {Path(word.removeprefix("file://")).parent for word in words if word.startswith("file:///")}
    with (directory / "pip.conf").open("w") as file:
        parser.write(file)
    return {Path("/etc/pip.conf"): directory / "pip.conf", **{path: path for path in sorted(paths) if path.exists()}}
