"""Every regular expression of the program, found by looking at the program: a new one is found without anybody's doing.

Those that a module makes when it is imported are recorded while all modules are; those that stand in a call of `re`'s
functions are read in the source. How each is used is read there, too; where that cannot be told, it is used in the way
that takes most steps.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import exporter
from tests.expressions.matcher import Method

ROOT = Path(exporter.__file__).parent
METHODS: Mapping[str, Method] = {
    "match": "match",
    "fullmatch": "fullmatch",
    "search": "search",
    "findall": "findall",
    "finditer": "findall",
    "sub": "findall",
    "subn": "findall",
    "split": "findall",
}

_EVERY: frozenset[Method] = frozenset({"findall"})

_RECORD = """
import importlib, json, pkgutil, re, sys
import exporter
original, found = re._compile, []
def record(pattern, flags):
    compiled = original(pattern, flags)
    frame = sys._getframe(1)
    while frame and ("/exporter/" not in frame.f_code.co_filename or frame.f_code.co_filename.startswith("<")):
        if "importlib" in frame.f_code.co_filename:
            return compiled
        frame = frame.f_back
    if frame and not isinstance(pattern, re.Pattern):
        text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
        found.append([frame.f_code.co_filename, frame.f_lineno, text, isinstance(pattern, bytes), int(flags)])
    return compiled
re._compile = record
for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(found))
"""


class Expression(NamedTuple):
    """A regular expression: where it stands, what it is, and how it is used."""

    where: str
    pattern: str | bytes
    flags: int
    methods: frozenset[Method]

    def __str__(self) -> str:
        return self.where


@cache
def expressions() -> tuple[Expression, ...]:
    """Return all of them."""
    return (*_recorded(), *_written())


def unseen() -> list[str]:
    """Return the calls of `re`'s functions whose expression is seen in neither way."""
    recorded = {(where.rpartition(":")[0], int(where.rpartition(":")[2])) for where, *_ in _recorded()}
    missing = []
    for path, call in _calls():
        lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
        if not _is_constant(call.args[0]) and not any((_name(path), line) in recorded for line in lines):
            missing.append(f"{_name(path)}:{call.lineno}")
    return missing


@cache
def _recorded() -> tuple[Expression, ...]:
    ran = subprocess.run([sys.executable, "-c", _RECORD], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    found = []
    for file, line, text, is_octets, flags in json.loads(ran.stdout):
        pattern = text.encode("latin-1") if is_octets else text
        found.append(Expression(f"{_name(Path(file))}:{line}", pattern, flags, _methods(Path(file), line)))
    return tuple(found)


def _written() -> Iterator[Expression]:
    """Those of calls within functions, which an import does not make."""
    for path, call in _calls():
        function = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if function in METHODS and _is_constant(call.args[0]):
            pattern = ast.literal_eval(call.args[0])
            flags = next((word.value for word in call.keywords if word.arg == "flags"), None)
            flags = call.args[-1] if flags is None and _is_flag(call.args[-1]) else flags
            yield Expression(
                f"{_name(path)}:{call.lineno}",
                pattern,
                0 if flags is None else int(eval(ast.unparse(flags), {"re": re})),
                frozenset({METHODS[function]}),
            )


def _methods(path: Path, line: int) -> frozenset[Method]:
    """How the expression that is made in this line is used.

    By its name, where it has one of its own; else as the module uses those of its tables.
    """
    tree = _tree(path)
    names: dict[str, range] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    name = next((name for name, lines in names.items() if line in lines), None)
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in METHODS]
    own = {METHODS[use.attr] for use in uses if isinstance(use.value, ast.Name) and use.value.id == name}
    mentions = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    if own and len(mentions) == 1 + sum(isinstance(use.value, ast.Name) and use.value.id == name for use in uses):
        return frozenset(own)
    others = {METHODS[use.attr] for use in uses if not _is_module_name(use.value, names)}
    return frozenset(others) if others and not own else _EVERY


def _is_module_name(node: ast.expr, names: dict[str, range]) -> bool:
    return isinstance(node, ast.Name) and (node.id in names or node.id == "re")


def _calls() -> Iterator[tuple[Path, ast.Call]]:
    """Every call of a function of `re` that takes an expression."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(_tree(path)):
            function = node.func if isinstance(node, ast.Call) else None
            if isinstance(function, ast.Attribute) and function.attr in {*METHODS, "compile"}:
                assert isinstance(node, ast.Call)
                if isinstance(function.value, ast.Name) and function.value.id == "re":
                    yield path, node


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT.parent))


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _is_flag(node: Any) -> bool:
    return "re." in ast.unparse(node)
