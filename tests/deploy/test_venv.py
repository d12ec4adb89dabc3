"""`make run` says which Python it needs, and makes `.venv` again where it cannot work any more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.debian import ROOT

PYTHON = """#!/bin/sh
case "$1 $2" in
"--version ") echo "Python {version}" ;;
"-c import ensurepip, venv") exit {lacks} ;;
"-m venv")
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    touch "$3/bin/pip"
    chmod 755 "$3/bin/pip"
    printf 'version = {version}\\ncommand = %s -m venv %s\\n' "$0" "$PWD/$3" >"$3/pyvenv.cfg"
    ;;
*) exit 3 ;;
esac
"""


class Checkout:
    """The files of a checkout that make needs for `.venv`, and a PATH with some programs and no Python."""

    def __init__(self, directory: Path) -> None:
        self.programs = directory / "programs"
        self.programs.mkdir()
        for name in ("sh", "make", "sed", "head", "dirname", "rm", "mkdir", "cp", "touch", "chmod", "printf"):
            (self.programs / name).symlink_to(str(shutil.which(name)))
        self.root = directory / "a checkout"
        (self.root / "deploy").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "deploy/venv"):
            shutil.copy(ROOT / name, self.root / name)

    def python(self, name: str, version: str, *, lacks: int = 0) -> Path:
        """Put a Python of this version on the PATH, which may lack the modules that make a virtual environment."""
        return self.program(name, PYTHON.format(version=version, lacks=lacks))

    def program(self, name: str, text: str) -> Path:
        """Put a program on the PATH."""
        path = self.programs / name
        path.write_text(text, "utf-8")
        path.chmod(0o755)
        return path

    def make(self, *arguments: str) -> tuple[int, list[str]]:
        """Make `.venv` as every target does; return the exit code, and what make and its recipe said."""
        done = subprocess.run(
            ["make", "--no-print-directory", ".venv/pyvenv.cfg", *arguments],
            cwd=self.root,
            env={"PATH": str(self.programs)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    @property
    def made_with(self) -> str:
        """The version by which `.venv` was made."""
        return (self.root / ".venv/pyvenv.cfg").read_text("utf-8").splitlines()[0].removeprefix("version = ")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout, without a `.venv`."""
    return Checkout(tmp_path)


INSTALL = "Install one, and name it unless it is python3: make run PYTHON=python3.11"


@pytest.mark.parametrize("version", ["3.10.12", "3.6.9", "3.1.5", "2.7.18"])
@pytest.mark.parametrize("named", [(), ("PYTHON=python3",)], ids=["default", "named"])
def test_a_python_that_is_too_old(checkout: Checkout, version: str, named: tuple[str, ...]) -> None:
    """It says which it needs, which it found and where, and how to name another, if possible one that is here."""
    path = checkout.python("python3", version)
    found = f"gmail-exporter needs Python 3.11 or newer, and python3 ({path}) is Python {version}."
    code, said = checkout.make(*named)
    assert code == 2
    assert said[:2] == [found, INSTALL]
    checkout.program("python3.11", "#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n")
    checkout.python("python3.12", "3.12.3")
    assert checkout.make(*named)[1][:2] == [found, "Name another, which is here: make run PYTHON=python3.12"]
    assert not (checkout.root / ".venv").exists()
    assert checkout.make("PYTHON=python3.12") == (0, [])
    assert checkout.made_with == "3.12.3"


def test_no_python(checkout: Checkout) -> None:
    """It says that there is none, and how to go on."""
    code, said = checkout.make()
    assert code == 2
    assert said[:2] == ["gmail-exporter needs Python 3.11 or newer, and there is no python3.", INSTALL]
    assert checkout.make("PYTHON=/nowhere/python3.13")[1][0].endswith("and there is no /nowhere/python3.13.")


def test_what_is_no_python(checkout: Checkout) -> None:
    """It shows what the program says, such as a shim's excuse."""
    path = checkout.program("python3.13", "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    code, said = checkout.make("PYTHON=python3.13")
    assert code == 2
    assert said[0] == (
        f"gmail-exporter needs Python 3.11 or newer, and python3.13 ({path}) does not say which it is, "
        "but: pyenv: python3.13: command not found"
    )


@pytest.mark.parametrize(("name", "version"), [("python3", "3.11.2"), ("python3.13", "3.13.5")])
def test_a_python_without_its_module_venv(checkout: Checkout, name: str, version: str) -> None:
    """As Debian's python3 without python3-venv is: it names the package."""
    path = checkout.python(name, version, lacks=1)
    code, said = checkout.make(f"PYTHON={name}")
    assert code == 2
    needs = "gmail-exporter needs Python 3.11 or newer with its modules venv and ensurepip"
    assert said[:2] == [
        f"{needs}, and {name} ({path}) lacks them.",
        f"On Debian and Ubuntu: apt-get install python{version[:4]}-venv",
    ]


def test_a_venv_that_works_is_left_alone(checkout: Checkout) -> None:
    """Once made, it does not matter what python3 is; a Python that is named does."""
    checkout.python("python3.12", "3.12.3")
    assert checkout.make("PYTHON=python3.12") == (0, [])
    kept = checkout.root / ".venv/kept"
    kept.touch()
    assert checkout.make() == (0, [])  # without any python3
    checkout.python("python3", "3.10.12")
    assert checkout.make() == (0, [])
    assert checkout.make("PYTHON=python3.12") == (0, [])
    checkout.python("python3.12", "3.12.9")  # an update of the same version
    assert checkout.make("PYTHON=python3.12") == (0, [])
    assert checkout.make("PYTHON=python3")[0] == 2
    assert kept.exists()
    checkout.python("python3.13", "3.13.5")
    assert checkout.make("PYTHON=python3.13") == (
        0,
        ["Making .venv again: it was made with Python 3.12, and not with python3.13."],
    )
    assert checkout.made_with == "3.13.5"
    assert not kept.exists()


def test_a_venv_whose_python_has_changed(checkout: Checkout) -> None:
    """As by an upgrade of Debian 12 to 13, where /usr/bin/python3 is another; or where it was removed."""
    checkout.python("python3", "3.11.2")
    assert checkout.make() == (0, [])
    path = checkout.python("python3", "3.13.5")
    own = checkout.root / ".venv/bin/python"
    own.unlink()
    own.symlink_to(path)
    assert checkout.make() == (0, ["Making .venv again: it was made with Python 3.11, which is 3.13 now."])
    assert (checkout.made_with, checkout.make()) == ("3.13.5", (0, []))
    own.unlink()
    own.symlink_to("/nowhere/python3")
    assert checkout.make() == (0, ["Making .venv again: its Python is gone."])
    assert checkout.make() == (0, [])


def test_a_venv_that_is_not_complete(checkout: Checkout) -> None:
    """As Debian's python3 leaves one where it lacks ensurepip: without pip."""
    checkout.python("python3", "3.11.2")
    assert checkout.make() == (0, [])
    (checkout.root / ".venv/bin/pip").unlink()
    assert checkout.make() == (0, [])
    assert (checkout.root / ".venv/bin/pip").exists()


def test_a_checkout_that_has_moved(checkout: Checkout) -> None:
    """With the real Python: its scripts have the old place in their first lines, so it is made again."""
    real = f"PYTHON={os.path.realpath(sys.executable)}"
    assert checkout.make(real) == (0, [])
    assert checkout.make(real) == (0, [])
    before = checkout.root
    checkout.root = before.rename(before.with_name("moved"))
    assert checkout.make(real) == (0, [f"Making .venv again: it was made at {before}/.venv."])
    pip = (checkout.root / ".venv/bin/pip").read_text("utf-8")
    assert str(checkout.root) in pip
    assert checkout.make() == (0, [])
