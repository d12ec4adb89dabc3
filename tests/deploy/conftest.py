"""The image, built and run once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from tests.deploy.image import Builder, Ran, builder, run


@dataclass(frozen=True)
class Built:
    """The image, its metadata, its files, and how it ran."""

    building: Builder
    id: str
    config: Any
    layers: list[str]
    root: Path
    ran: Ran


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Built and run once for all tests."""
    with builder() as building:
        image = building.build(tmp_path_factory.mktemp("build"), f"--build-arg=VERSION={__version__}")
        with building.mounted(image) as root:
            docker = building.inspect(image)
            yield Built(building, image, docker["config"], docker["rootfs"]["diff_ids"], root, run(root, docker))
