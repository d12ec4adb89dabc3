"""The trees of Debian are made from the mirror that apt uses here; no mirror is named in this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.deploy import debian13
from tests.deploy.debian import PYTHON, RELEASE, bootstrap, pip_configuration
from tests.servers.process import ServerError


def program(directory: Path, name: str, script: str) -> None:
    """Make a program of this name."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs, first on the PATH; its debootstrap writes what it is called with to `arguments`."""
    program(tmp_path, "debootstrap", f'echo "$@" >{tmp_path}/arguments')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


@pytest.mark.parametrize(
    ("archives", "mirror"),
    [
        (
            "Debian Debian-Security http://security.example/debian\n"
            "Debian Debian http://mirror.example/debian/\n"
            "Debian Debian http://mirror.example/debian/\n"
            "Another Another http://other.example/",
            " http://mirror.example/debian/",
        ),
        ("Ubuntu Ubuntu http://mirror.example/ubuntu/", ""),
        ("", ""),
    ],
)
def test_the_mirror_is_that_of_apt(called: Path, archives: str, mirror: str) -> None:
    """Where apt has none of Debian's, debootstrap takes its own."""
    program(called, "apt-get", f"cat <<'END'\n{archives}\nEND")
    bootstrap(called / "root", ("make", "git"))
    wanted = f"--variant=minbase --include=make,git {RELEASE} {called}/root{mirror}\n"
    assert (called / "arguments").read_text("utf-8") == wanted


def test_a_failure_has_its_words(called: Path) -> None:
    """What the program said is in the error."""
    program(called, "apt-get", "")
    program(called, "debootstrap", "echo E: no such release >&2; exit 1")
    with pytest.raises(ServerError, match="debootstrap .* ended with 1:\nE: no such release"):
        bootstrap(called / "root", ())


def test_the_configuration_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of here, the environment's included; the files and local indices that it names exist there, too."""
    packages, index, certificates = tmp_path / "packages", tmp_path / "index" / "simple", tmp_path / "ca.pem"
    packages.mkdir()
    index.mkdir(parents=True)
    certificates.write_text("", "utf-8")
    configuration = tmp_path / "user.conf"
    configuration.write_text(
        f"[global]\nfind-links = {packages}\nextra-index-url =\n  file://{index}\n  https://index.example/simple\n",
        "utf-8",
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_CERT", str(certificates))
    written = tmp_path / "written"
    written.mkdir()
    needed = pip_configuration(written)
    assert needed[Path("/etc/pip.conf")] == written / "pip.conf"
    assert {packages, index.parent, certificates} <= needed.keys()
    assert all(path.exists() for path in needed.values())
    text = (written / "pip.conf").read_text("utf-8")
    assert f"cert = {certificates}\n" in text
    assert "https://index.example/simple" in text


def test_the_release_is_that_of_the_base() -> None:
    """Its name has the version of Python, and the release; the tree is of that release."""
    assert PYTHON.startswith("3.")
    assert RELEASE.isalpha()
    assert debian13.TREE.name == RELEASE
