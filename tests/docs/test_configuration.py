"""docs/configuration.md against the program."""

import re
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.config.mistake import ConfigError
from exporter.config.schema import ACCOUNT, CONFIGURATION, CONTROL, DEFAULTS, DELIVERY, ENDPOINT, MODULE, PROBE, VERDICT
from exporter.config.table import Table

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
BLOCKS = [
    text
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```", DOCS.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    if language in ("", "yaml")
]


def test_sample_of_mistakes(tmp_path: Path) -> None:
    """The sample of mistakes is what the program reports for the sample file."""
    (tmp_path / "gmail.yml").write_text(BLOCKS[-2])
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "gmail.yml", {})
    assert str(caught.value).replace(f"{tmp_path}/", "") + "\n" == BLOCKS[-1]


@pytest.mark.parametrize("text", BLOCKS[:-2])
def test_samples(tmp_path: Path, text: str) -> None:
    """All other samples can be loaded."""
    (tmp_path / "gmail.yml").write_text(text)
    config = load(tmp_path / "gmail.yml", {})
    assert config.endpoints or config.modules


@pytest.mark.parametrize(
    "table", [CONFIGURATION, DEFAULTS, ACCOUNT, ENDPOINT, MODULE, PROBE, VERDICT, CONTROL, DELIVERY]
)
def test_every_key_is_there(table: Table) -> None:
    """No key is missing from the reference."""
    text = DOCS.read_text("utf-8")
    assert [key for key in table.keys if f"`{key}`" not in text] == []
