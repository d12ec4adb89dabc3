"""The floor: the cost of OpenSSL and the kernel in a probe that is written in C."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

from bench.result import Lab

SOURCE = Path(__file__).with_name("floor.c")


def build(directory: Path) -> Path:
    """Compile the C program once, with the OpenSSL of this machine."""
    program = directory / "floor"
    if not program.exists():
        compiler = shutil.which("cc")
        if compiler is None:
            raise RuntimeError("cc is missing: install the Debian packages gcc and libssl-dev")
        command = [compiler, "-O2", "-o", str(program), str(SOURCE), "-lssl", "-lcrypto"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise RuntimeError(f"the floor cannot be compiled (is libssl-dev installed?):\n{built.stderr}")
    return program


async def measure(lab: Lab, port: int) -> tuple[float, float]:
    """Return the seconds of CPU of connection and handshake alone, and of the whole dialogue."""
    command = [str(build(lab.directory)), str(port), str(lab.authority.ca_file), "100" if lab.quick else "400"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the floor's program failed")
    handshake, whole = map(float, out.split())
    return handshake, whole
