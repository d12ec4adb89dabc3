"""The Dockerfile is built with buildah, and the image's command is run as a container engine would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from exporter import __version__
from exporter.accounts.storage import SYSTEM
from tests.deploy.conftest import Built
from tests.deploy.debian import BASE, PYTHON, RELEASE, ROOT

LABEL = "org.opencontainers.image."

COMPILERS = re.compile(r"(.*-)?(cc|c\+\+|gcc|g\+\+|clang|ld|as|make|cpp|tcc|rustc|go)(-[\d.]+)?")


def files(root: Path) -> Iterator[Path]:
    """Yield the path of every file of the image, without those of the kernel."""
    for directory, _, names in os.walk(root):
        if directory not in {f"{root}/proc", f"{root}/sys", f"{root}/dev"}:
            yield from ((Path(directory) / name).relative_to(root) for name in names)


def test_hadolint_finds_nothing() -> None:
    """Not even with severity info."""
    hadolint = Path(sys.executable).with_name("hadolint")
    checked = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_its_base_is_the_one_that_is_tested(built: Built) -> None:
    """Python and Debian are those of the base image's name, on which `make test-debian13` runs everything."""
    release = (built.root / "etc/os-release").read_text("utf-8")
    assert f"VERSION_CODENAME={RELEASE}\n" in release
    assert [path.name for path in (built.root / "opt/gmail-exporter/lib").glob("python*")] == [f"python{PYTHON}"]


def test_its_command_is_the_daemon_with_the_default_configuration(built: Built) -> None:
    """It serves metrics of Gmail's four endpoints on :9993; SIGTERM ends it cleanly."""
    assert built.ran.started, built.ran.log
    assert set(re.findall(r'^gmail_probe_interval_seconds\{endpoint="(\w+)"', built.ran.metrics, re.MULTILINE)) == {
        "imap",
        "pop3",
        "smtps",
        "submission",
    }
    assert built.ran.exit_code == 0
    assert built.ran.log.splitlines()[-1].endswith("event=stopped")
    assert "Traceback" not in built.ran.log
    assert list(built.config["ExposedPorts"]) == ["9993/tcp"]


def test_it_has_no_privileges_and_a_read_only_root(built: Built) -> None:
    """Its user is a number, without capabilities, and its root file system is read-only."""
    assert built.config["User"] == "65532:65532"
    assert (built.ran.uid, int(built.ran.privileges, 16)) == ("65532", 0)
    assert [line.split(" ", 1)[1] for line in built.ran.writes] == ["Read-only file system"] * 4


def test_its_user_owns_a_volume_for_the_login_budget(built: Built) -> None:
    """An engine copies the owner of a new volume from this directory. Without any flag the login budgets are there."""
    assert list(built.config["Volumes"]) == [str(SYSTEM)]
    assert f"STATE_DIRECTORY={SYSTEM}" in built.config["Env"]
    found = (built.root / "var/lib/gmail-exporter").stat()
    assert (found.st_uid, found.st_gid, oct(found.st_mode & 0o777)) == (65532, 65532, "0o750")


def test_its_health_check(built: Built) -> None:
    """It exits with 0 while the daemon is healthy, with 1 when it does not run."""
    assert built.config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "exporter.healthcheck"]
    assert built.ran.health == [0, ""]
    assert built.ran.health_when_stopped == 1


def test_nothing_in_it_installs_or_compiles(built: Built) -> None:
    """No pip, no ensurepip, no compiler, nothing of the build."""
    found = [path for path in files(built.root) if path.parts[0] != "etc"]  # the build had pip's configuration there
    assert len(found) > 1000
    assert [path for path in found if {"pip", "ensurepip", "flit_core"} & set(path.parts)] == []
    programs = [path for path in found if path.parent.name in {"bin", "sbin"}]
    assert [path for path in programs if COMPILERS.fullmatch(path.name) or re.match(r"pip[\d.]*$", path.name)] == []


def test_it_has_the_packages_of_the_lock(built: Built) -> None:
    """Each package of the lock in its version, and no others."""
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    (packages,) = (built.root / "opt/gmail-exporter/lib").glob("python3*/site-packages")
    installed = [re.fullmatch(r"(.+)-(.+)\.dist-info", path.name) for path in packages.glob("*.dist-info")]
    versions = {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in installed if match}
    assert versions.pop("gmail-exporter") == __version__
    assert versions.items() <= locked.items()
    # The rest is for other systems, or other versions of Python.
    assert set(locked) - set(versions) <= {"tzdata", "exceptiongroup", "typing-extensions"}
    assert list(packages.glob("exporter/daemon/__pycache__/composition.*.pyc"))


def test_its_labels(built: Built) -> None:
    """Those of the Open Container Initiative."""
    labels = built.config["Labels"]
    assert {key.removeprefix(LABEL) for key in labels if key.startswith(LABEL)} == {
        "title",
        "description",
        "licenses",
        "version",
        "revision",
    }
    assert labels[f"{LABEL}version"] == __version__


def test_its_size(built: Built) -> None:
    """At most 200 MB with Python's image, which has about 125; only the size added to it can be measured everywhere."""
    assert built.building.size(built.id) - built.building.size(BASE) <= 75


def test_a_second_build_makes_the_same_layers(built: Built, tmp_path: Path) -> None:
    """Two builds have the same layers, by their hashes; only the name of buildah's container differs."""
    again = built.building.build(tmp_path, f"--build-arg=VERSION={__version__}")
    assert built.building.inspect(again)["rootfs"]["diff_ids"] == built.layers
