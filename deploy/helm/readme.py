"""Writes the chart's README.md from the comments of its values.yaml; with --check, fails if it is not current."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "gmail-exporter"

README = """# The chart of gmail-exporter

<!-- Written by `make docs` from values.yaml: change it there. -->

```sh
helm install gmail deploy/helm/gmail-exporter --namespace monitoring --values my-values.yaml
```

It runs one pod that probes Gmail's endpoints, or those of `config`, and serves `/metrics` on port 9993. It can also
install scraping, rules and alerts for the Prometheus Operator, and the dashboard for Grafana's sidecar. The pod
satisfies the Pod Security Standard `restricted`. [docs/deployment.md](../../../docs/deployment.md) shows how to build
the image.

```yaml
# my-values.yaml
image:
  repository: registry.example.com/gmail-exporter
config:
  accounts:
    ops:
      username: probe@gmail.com
      app_password: {file: /run/secrets/gmail-ops/password}
  endpoints:
    imap: {protocol: imap, host: imap.gmail.com, account: ops}
secrets: [gmail-ops]              # kubectl create secret generic gmail-ops --from-file=password
storage: {type: persistentVolumeClaim}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
dashboard: {enabled: true}
```

## Values

`values.schema.json` refuses misspelt values and values of the wrong type before anything is installed.

| value | default | meaning |
|---|---|---|
"""


class MissingCommentError(Exception):
    """A value has no comment."""


def explained(text: str) -> Iterator[tuple[str, Any, str]]:
    """Yield each value that has a comment: its path, its default with everything below it, and the comment.

    Raises:
        MissingCommentError: neither a value nor a value below it has a comment.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101 (of the file beside this one)
    yield from _of(root, "", text.splitlines())


def _of(node: yaml.MappingNode, path: str, lines: list[str]) -> Iterator[tuple[str, Any, str]]:
    for key, value in node.value:
        name = f"{path}{key.value}"
        comment = _comment_above(lines, key.start_mark.line)
        if comment:
            yield name, yaml.SafeLoader("").construct_object(value, deep=True), comment
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _of(value, f"{name}.", lines)
        else:
            raise MissingCommentError(f"values.yaml:{key.start_mark.line + 1}: {name}: a comment is missing")


def _comment_above(lines: list[str], number: int) -> str:
    """Return the lines of comment directly above a line, as one line."""
    first = number
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[first:number])


def readme() -> str:
    """Return the text of README.md."""
    rows = [
        f"| `{name}` | `{json.dumps(default)}` | {comment.replace('|', chr(92) + '|')} |"
        for name, default, comment in explained((CHART / "values.yaml").read_text("utf-8"))
    ]
    return README + "\n".join(rows) + "\n"


def main() -> int:
    """Write the file; with --check, only report whether it is current."""
    path, text = CHART / "README.md", readme()
    if path.is_file() and path.read_text("utf-8") == text:
        return 0
    if "--check" in sys.argv:
        sys.stderr.write(f"not current: {path}; run `make docs`\n")
        return 1
    path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
