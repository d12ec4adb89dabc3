"""`make test-debian13` and `make bench-debian13`: `make test` and `make bench` as a new user of Debian 13 has them.

They run as root in a tree that debootstrap makes. The release is that of the image's base. The tree is kept between
runs, the checkout in it is copied again and has no .venv: README's commands are run on it. A program that `--blackbox=`
names is there, too. All mounts are in a namespace of their own, and end with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.deploy.debian import CACHE, RELEASE, ROOT, as_root, bootstrap, command_as_root, pip_configuration
from tests.servers.process import ServerError

TREE = CACHE / RELEASE
CHECKOUT = Path("/opt/gmail-exporter")

# What README asks for on Debian, and git, by which a user comes by a checkout.
PACKAGES = ("python3-venv", "make", "git", "ca-certificates")

PREPARE = f"""
set -eu
tree=$1
shift
mount --bind "$tree" "$tree"
for kernel in dev sys; do mount --rbind "/$kernel" "$tree/$kernel"; done
mount -t proc proc "$tree/proc"
cp /etc/resolv.conf /etc/hosts "$tree/etc/"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$tree$2"; else mkdir -p "$tree$(dirname "$2")" && touch "$tree$2"; fi
    mount --bind "$1" "$tree$2"
    shift 2
done
shift
rm -rf "$tree{CHECKOUT}"
mkdir -p "$tree{CHECKOUT}"
tar --extract --directory "$tree{CHECKOUT}"
# The tree becomes the root, as of a machine: in a mere chroot, buildah cannot mount.
cd "$tree"
mkdir -p mnt
pivot_root . mnt
umount --lazy /mnt
exec "$@"
"""
"""Arguments: the tree; pairs of a path here and its path there; `--`; a command. Standard input: an archive of ROOT."""

COMMANDS = f"""
set -eux
cd {CHECKOUT}
git init --quiet
make run ARGS=--version
if [ "$1" = bench ]; then
    make dev
    tests/servers/install
    apt-get install --quiet --quiet --yes --no-install-recommends gcc libc6-dev libssl-dev
fi
make "$1" ARGS="${{2-}}"
"""
"""Arguments: `test` or `bench`; the flags of its ARGS."""


def main() -> int:
    """Return the exit code of the commands."""
    if not (TREE / "root").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        making = TREE.with_suffix(".new")
        as_root("rm", "-rf", "--one-file-system", making)
        bootstrap(making, PACKAGES)
        as_root("mv", making, TREE)
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile() as archive:
        _pack(archive)
        archive.seek(0)
        pairs = [str(path) for there, here in pip_configuration(Path(directory)).items() for path in (here, there)]
        for program in re.findall(r"--blackbox=(\S+)", " ".join(sys.argv[2:])):
            pairs += [program, program]
        inside = ["env", "-i", *_environment(os.environ), "sh", "-c", COMMANDS, "sh", *sys.argv[1:]]
        namespaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
        prepared = [*namespaces, "sh", "-c", PREPARE, "sh", str(TREE), *pairs, "--", *inside]
        return subprocess.run(command_as_root(*prepared), stdin=archive, check=False).returncode


def _pack(archive: IO[bytes]) -> None:
    """Write an archive of the checkout: what is committed, and what is not yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in listed.split("\0")[:-1]:
            if os.path.lexists(ROOT / name):  # one that was removed is listed, too
                tar.add(ROOT / name, name, recursive=False)


def _environment(environ: Mapping[str, str]) -> list[str]:
    """Return what a login shell there has, and by which proxy this machine reaches others, if by one."""
    proxies = {name: value for name, value in environ.items() if name.lower().endswith("_proxy")}
    own = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    return [f"{name}={value}" for name, value in (proxies | own).items()]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ServerError as missing:
        sys.exit(str(missing))
