"""Every file in bad/ against all of its mistakes, word for word.

A line `# expect: LINE:COLUMN: PATH: TEXT` at the head of a file is one mistake, in the order they are reported; at the
head, because nothing after an unclosed quote is a comment.
"""

import re
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.config.mistake import ConfigError
from tests.config.conftest import SENTINEL

BAD = sorted(Path(__file__).with_name("bad").glob("*.yml"))
PREFIX = "# expect: "
POSITION = re.compile(r"[0-9]+:[0-9]+: ")


def test_there_are_enough_bad_files() -> None:
    """Without files, the other tests would pass."""
    assert len(BAD) >= 40


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_bad_file(file: Path) -> None:
    """All mistakes of a file are reported in one go, sorted, with exactly these texts."""
    expected = [line.removeprefix(PREFIX) for line in file.read_text("utf-8").splitlines() if line.startswith(PREFIX)]
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    reported = [line.removeprefix(str(file)) for line in str(caught.value).splitlines()]
    assert reported == [f":{line}" if POSITION.match(line) else f": {line}" for line in expected]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_bad_file_keeps_secrets(file: Path) -> None:
    """No mistake shows a secret, in its text, its repr or its chain of causes."""
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    cause: BaseException | None = caught.value
    while cause is not None:
        assert SENTINEL not in f"{cause} {cause!r} {vars(cause)}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    for leak in ("pydantic", "yaml.org", 'in "<', "010203"):
        assert leak not in str(caught.value)
