"""The imports of model/: the standard library alone, and nothing of it that does IO."""

import pkgutil
import subprocess
import sys

from exporter import model

PROGRAM = """
import sys
before = set(sys.modules)
import {}
print(*sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""


def test_the_standard_library_alone() -> None:
    """A process that imports model/ imports only the standard library with it, and no module that does IO."""
    names = ", ".join(f"exporter.model.{module.name}" for module in pkgutil.iter_modules(model.__path__))
    run = subprocess.run([sys.executable, "-c", PROGRAM.format(names)], capture_output=True, text=True, check=True)
    imported = set(run.stdout.split())
    assert imported - sys.stdlib_module_names == {"exporter"}
    assert imported.isdisjoint({"ssl", "socket", "asyncio", "http"})
