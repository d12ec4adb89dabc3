"""Log lines."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from exporter.commands.flags import LOG_FORMATS
from exporter.daemon import logs
from exporter.probing.redact import REDACTED
from exporter.probing.search import Secrets

pytestmark = pytest.mark.usefixtures("restored_logging")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was logged."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_logfmt(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, logger and event first; a value with spaces is quoted."""
    logs.configure("info", "logfmt")
    structlog.get_logger("check").warning("failing", endpoint="imap", detail="said no", up=True)
    (line,) = lines(capsys)
    assert line.startswith("ts=2")
    assert line.endswith('level=warning logger=check event=failing endpoint=imap detail="said no" up=true')


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line."""
    logs.configure("info", "json")
    structlog.get_logger("check").error("down", detail='with "quotes"\nand lines')
    (line,) = lines(capsys)
    entry = json.loads(line)
    assert (entry["level"], entry["event"], entry["detail"]) == ("error", "down", 'with "quotes"\nand lines')


@pytest.mark.parametrize("style", LOG_FORMATS)
def test_an_event_is_one_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The text of a server cannot forge another line."""
    logs.configure("info", style)
    structlog.get_logger("check").error("down", detail="first\nts=now level=info event=forged", said=["a\nb", "c"])
    assert len(lines(capsys)) == 1


@pytest.mark.parametrize("style", LOG_FORMATS)
def test_a_traceback_is_part_of_its_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An internal error is one line, too."""
    logs.configure("info", style)
    try:
        raise ValueError("a bug")
    except ValueError:
        structlog.get_logger("check").exception("fault")
    (line,) = lines(capsys)
    assert "ValueError: a bug" in line
    assert "test_logs.py" in line


def test_libraries_write_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Uvicorn and APScheduler log with the standard library; their routine lines are left out."""
    logs.configure("info", "logfmt")
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("uvicorn.error").warning("a client's fault")
    logging.getLogger("apscheduler.scheduler").warning("a job that is still running")
    logging.getLogger("uvicorn.error").error("trouble %d", 1)
    (line,) = lines(capsys)
    assert 'level=error logger=uvicorn.error event="trouble 1"' in line


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Debug lines only with that level."""
    logs.configure("warn", "logfmt")
    structlog.get_logger("check").info("up")
    assert lines(capsys) == []
    logs.configure("debug", "logfmt")
    structlog.get_logger("check").debug("probed", dialogue=["S: hello", "C: bye"])
    (line,) = lines(capsys)
    assert 'dialogue="S: hello | C: bye"' in line


SECRET = "s3ntinel-hunter2"


def fail_with(text: str) -> None:
    """Raise what a library raises: the cause says something, too."""
    try:
        raise LookupError(f"cause {text.upper()}")
    except LookupError as cause:
        raise ExceptionGroup(f"group {text}", [ValueError(f"part\n{text}")]) from cause


@pytest.mark.parametrize("style", LOG_FORMATS)
def test_a_traceback_has_no_secret(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What an exception says, its causes and its parts, may be of a server: no secret in use is shown."""
    logs.configure("info", style)
    secrets = Secrets([SECRET, "configure"])
    try:
        fail_with(SECRET)
    except ExceptionGroup:
        structlog.get_logger("check").exception("fault")
    (line,) = lines(capsys)
    assert SECRET not in line.lower()
    assert line.count(REDACTED) == 3
    for text in ("LookupError: cause", "ExceptionGroup: group", "ValueError: part", "direct cause", "in fail_with"):
        assert text in line
    assert "raise ExceptionGroup" in line  # our own code
    assert secrets


def test_a_traceback_during_another(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that came while another was handled is there as well."""
    logs.configure("info", "logfmt")
    secrets = Secrets([SECRET])
    try:
        try:
            raise LookupError(SECRET)
        except LookupError:
            raise ValueError("a bug")  # noqa: B904 (on purpose)
    except ValueError:
        structlog.get_logger("check").exception("fault")
    (line,) = lines(capsys)
    assert SECRET not in line
    assert "During handling" in line
    assert "ValueError: a bug" in line
    assert secrets


def test_what_libraries_log_has_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """The event loop, for one, writes exceptions into its texts."""
    logs.configure("info", "logfmt")
    secrets = Secrets([SECRET])
    logging.getLogger("asyncio").error("Task exception: %r", ValueError(SECRET))
    (line,) = lines(capsys)
    assert f"ValueError('{REDACTED}')" in line
    assert secrets
