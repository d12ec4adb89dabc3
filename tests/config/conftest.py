"""What the tests of the configuration share."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from exporter.config.load import load
from exporter.config.mistake import ConfigError
from exporter.model.settings import Config

SENTINEL = "s3ntinel-hunter2"
"""A secret, at places where operators put theirs by mistake; it must never be shown."""

Loader = Callable[[str], Config]


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    """Load a configuration from its text."""

    def load_text(text: str) -> Config:
        file = tmp_path / "config.yml"
        file.write_text(text, encoding="utf-8")
        return load(file, {})

    return load_text


@pytest.fixture
def reported(tmp_path: Path) -> Callable[[str | bytes], str]:
    """Load a configuration that is wrong, and return its mistakes, without the name of the file."""

    def load_bad(content: str | bytes) -> str:
        file = tmp_path / "config.yml"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ConfigError) as caught:
            load(file, {})
        return str(caught.value).replace(f"{file}:", "").replace("\n ", "\n").strip()

    return load_bad


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Write the certificate of a throw-away authority to a file."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file
