"""Builds the Dockerfile with buildah, without a daemon, and runs the image.

It uses the base image of the Dockerfile if a registry can be reached. Otherwise debootstrap makes a replacement of that
name from the packages of its Debian release: Debian's own Python, of the same version, with `python` and `pip` at the
paths of the original. Base images are kept in the user's cache directory between runs; remove `gmail-exporter` there to
build them again.
"""

from __future__ import annotations

import fcntl
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.debian import BASE, CACHE, RELEASE, ROOT, as_root, bootstrap, pip_configuration
from tests.servers.process import ServerError, find_program

CONTAINER = Path(__file__).parent / "container.py"
BOOT = Path(__file__).parent / "boot.py"

WITH_SYSTEMD = f"localhost/gmail-exporter-tests/systemd:{RELEASE}"

STAND_IN = """
set -eu
root=$1
chroot "$root" python3 -m venv --symlinks /usr/local
# Files that Debian's slim image omits, and the copy of pip that Debian keeps outside ensurepip.
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/info "$root"/usr/share/locale \
    "$root"/usr/share/python-wheels "$root"/var/cache/* "$root"/var/lib/apt/lists
"""
"""A root file system in which `python` and `pip` are in /usr/local/bin, as in the images of Python."""


def _limit(name: str, number: int) -> str:
    hard = resource.getrlimit(number)[1]
    kept = 32768 if hard == resource.RLIM_INFINITY else min(hard, 32768)  # what buildah of Debian 12 has itself
    return f"--ulimit={name}={kept}:{kept}"


LIMITS = [_limit("nofile", resource.RLIMIT_NOFILE), _limit("nproc", resource.RLIMIT_NPROC)]
"""At most those of this process: buildah of Debian 13 sets more than some hosts allow even root."""

PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Ran:
    """The results of the image's command; see container.py."""

    started: bool
    log: str
    metrics: str
    health: Sequence[object]
    health_when_stopped: int
    uid: str
    privileges: str
    writes: Sequence[str]
    exit_code: int


class Builder:
    """buildah with a storage of its own."""

    def __init__(self) -> None:
        self._flags = ["--storage-driver=vfs", f"--root={CACHE}/storage", f"--runroot={CACHE}/run"]
        self._taken: list[str] = []

    def buildah(self, *arguments: str | Path, timeout: float = 500) -> str:
        """Run buildah and return its standard output."""
        return as_root("buildah", *self._flags, *arguments, timeout=timeout)

    def prepare(self) -> None:
        """Provide the base image, and remove what a killed run has left."""
        self.buildah("rm", "--all")
        self.buildah("rmi", "--prune", "--force")
        if BASE not in self.buildah("images", "--format={{.Name}}:{{.Tag}}").split():
            try:
                self.buildah("pull", "--quiet", BASE, timeout=300)
            except (ServerError, subprocess.TimeoutExpired):
                self._make_stand_in()

    def _make_stand_in(self) -> None:
        root = CACHE / "base"
        as_root("rm", "-rf", "--one-file-system", root)
        bootstrap(root, ("python3-minimal", "python3-venv", "ca-certificates"))
        as_root("sh", "-c", STAND_IN, "sh", root)
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, root, "/")
        self.buildah("config", f"--env=PATH={PATH}", container)
        self.buildah("commit", "--quiet", "--rm", container, BASE)
        as_root("rm", "-rf", "--one-file-system", root)

    def prepare_systemd(self) -> str:
        """Provide the base image with systemd in it, and return its name."""
        if WITH_SYSTEMD not in self.buildah("images", "--format={{.Name}}:{{.Tag}}").split():
            container = self.buildah("from", "--pull-never", *LIMITS, BASE)
            install = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes"
            packages = "--no-install-recommends systemd procps"
            self.buildah("run", "--network=host", container, "--", "sh", "-c", f"{install} {packages}")
            self.buildah("commit", "--quiet", "--rm", container, WITH_SYSTEMD)
        return WITH_SYSTEMD

    def build(self, directory: Path, *arguments: str) -> str:
        """Build the Dockerfile without a cache, and return the image's id."""
        iid = directory / "iid"
        self.buildah(
            "build",
            "--no-cache",
            "--network=host",
            "--pull-never",
            *LIMITS,
            "--format=docker",
            "--timestamp=0",
            f"--build-arg=BASE={BASE}",
            f"--iidfile={iid}",
            *(f"--volume={here}:{there}:ro" for there, here in pip_configuration(directory).items()),
            *arguments,
            ROOT,
        )
        image = iid.read_text().strip().removeprefix("sha256:")
        self._taken.append(image)
        return image

    def inspect(self, image: str) -> Any:
        """Return the image's metadata in Docker's format."""
        return json.loads(self.buildah("inspect", "--type=image", image))["Docker"]

    def size(self, image: str) -> int:
        """Return the size of all its layers in MB, as `docker images` counts it."""
        bytes_of = {"kB": 1e-3, "MB": 1.0, "GB": 1e3}
        number, unit = self.buildah("images", "--format={{.Size}}", image).split()
        return round(float(number) * bytes_of[unit])

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """Mount the image's root file system."""
        container = self.buildah("from", "--pull-never", image)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)

    def clean(self) -> None:
        """Remove the images that were built, but not the base image."""
        if self._taken:
            self.buildah("rmi", "--force", *dict.fromkeys(self._taken))


@contextmanager
def builder() -> Iterator[Builder]:
    """A builder with the base image. One at a time on this machine."""
    for program in ("buildah", "debootstrap"):
        find_program(program, program)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        building = Builder()
        building.prepare()
        try:
            yield building
        finally:
            building.clean()


def run(root: Path, image: Mapping[str, Any], *arguments: str) -> Ran:
    """Run the image's command as its user in namespaces of its own, with a read-only root."""
    config = image["config"]
    request = json.dumps(
        {
            "root": str(root),
            "user": config["User"],
            "environ": dict(line.split("=", 1) for line in config["Env"]),
            "command": [*config["Entrypoint"], *(config.get("Cmd") or []), *arguments],
            "health": config["Healthcheck"]["Test"][1:],
        }
    )
    argv: list[str | Path] = [
        "unshare",
        "--mount",
        "--net",
        "--kill-child",
        "--fork",
        sys.executable,
        CONTAINER,
        request,
    ]
    return Ran(**json.loads(as_root(*argv)))


def boot(root: Path) -> Any:
    """Boot systemd in a root directory, with the exporter as a service; boot.py returns the results."""
    argv: list[str | Path] = ["unshare", "--mount", "--net", "--kill-child", "--fork", sys.executable, BOOT, root]
    return json.loads(as_root(*argv))
