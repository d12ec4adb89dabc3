"""Lints and renders the chart with the real Helm, and validates every object by the schema of its kind.

`python -m tests.deploy.chart` does so with every set of values in values/ and says what is wrong.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml

from tests.deploy.debian import ROOT

CHART = ROOT / "deploy/helm/gmail-exporter"
CRDS = Path(__file__).parent / "crds"
VALUES = {path.stem: path for path in sorted((Path(__file__).parent / "values").glob("*.yaml"))}

VERSIONS = ("1.25", "1.37")
"""Versions of Kubernetes: the oldest that the chart allows, and the newest with a schema."""

Manifest = Mapping[str, Any]


def values_of(name: str) -> dict[str, Any]:
    """One set of values."""
    values: dict[str, Any] = yaml.safe_load(VALUES[name].read_text("utf-8"))
    return values


@cache
def _copy() -> tempfile.TemporaryDirectory[str]:
    """A copy of the chart with files in place of links, of which Helm would warn. It is deleted with this process."""
    directory = tempfile.TemporaryDirectory(prefix="chart-")
    shutil.copytree(CHART, f"{directory.name}/{CHART.name}", ignore=shutil.ignore_patterns("__pycache__"))
    return directory


@cache
def _chart() -> helm.Chart:
    return helm.Chart.load(f"{_copy().name}/{CHART.name}")


def lint(values: Mapping[str, Any]) -> list[str]:
    """Return the errors and warnings of Helm."""
    report = helm.lint(f"{_copy().name}/{CHART.name}", dict(values), strict=True)
    found = [message["error"] for message in report["messages"] if message["severity"] > 1]
    return [*found, *report["errors"]]


def render(values: Mapping[str, Any], *, name: str = "release") -> dict[str, Manifest]:
    """Return every object of a release of this name, by its kind.

    Raises:
        helm_python.HelmError: the values are refused, or a template fails.
    """
    rendered = _chart().render(dict(values), name=name, namespace="monitoring")
    found: dict[str, Manifest] = {}
    for path, text in rendered.items():
        if path.endswith(".yaml"):
            for manifest in yaml.safe_load_all(text):
                if manifest:
                    kind = "Dashboard" if path.endswith("/dashboard.yaml") else manifest["kind"]
                    assert kind not in found, f"two of {kind}"
                    found[kind] = manifest
    return found


def mistakes(manifest: Manifest, version: str) -> list[str]:
    """Return the errors of an object by the schema of its kind."""
    where = f"{manifest['kind']}/{manifest['metadata']['name']}"
    try:
        if manifest["apiVersion"] == "monitoring.coreos.com/v1":
            jsonschema.Draft202012Validator(_crd(manifest["kind"])).validate(manifest)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)
    except jsonschema.ValidationError as error:
        return [f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"]
    return []


@cache
def _crd(kind: str) -> Any:
    return json.loads((CRDS / f"{kind.lower()}.json").read_text("utf-8"))


def main() -> int:
    """Print the errors, one on each line."""
    found = []
    for name in VALUES:
        values = values_of(name)
        found += [f"{name}: {problem}" for problem in lint(values)]
        for manifest in render(values).values():
            found += [f"{name}: {problem}" for version in VERSIONS for problem in mistakes(manifest, version)]
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
