"""Log lines: logfmt or JSON, one event a line, on standard error.

The daemon's are written by a thread, so that a reader that stops cannot stop the probes. What Python and its libraries
would print, such as the traceback that ends a program, goes the same way.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from traceback import TracebackException
from typing import Any

from exporter.daemon.log_writer import LogWriter, StandardError
from exporter.host.process import attempt
from exporter.probing.redact import redact_everything

if "structlog" not in sys.modules:
    # structlog imports rich, for coloured tracebacks that no log line has: it would take a tenth of the start.
    sys.modules["rich"] = None  # type: ignore[assignment]  # makes `import rich` fail
    import structlog

    del sys.modules["rich"]
import structlog
from structlog.typing import ExcInfo

log = structlog.get_logger("log")

_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts")
_writers: list[LogWriter] = []


def configure(level: str, style: str) -> None:
    """Write all log lines, with those of libraries, to standard error, from `level` on."""
    common: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _stamp,
        structlog.processors.ExceptionRenderer(_traceback),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, _redact],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(style)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These libraries log a line for each request and token.
    for library in ("asyncio", "google"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # uvicorn warns of every bad request, so that any client could fill the log; APScheduler of every job that is still
    # running when it is due again, as it may be where the clock was set.
    for library in ("apscheduler", "uvicorn"):
        logging.getLogger(library).setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def dropped() -> int:
    """Return how many lines were not written since the start."""
    return sum(writer.dropped for writer in _writers)


@contextmanager
def in_thread(style: str) -> Iterator[None]:
    """Write log lines in a thread while the block runs; at its end, those that wait are written for a moment.

    A fault that ends the block is logged, and ends the program with exit code 1.
    """
    try:
        descriptor = sys.stderr.fileno()
    except OSError:  # it is no file, and never waits
        yield
        return
    root = logging.getLogger()
    direct = root.handlers[0]
    writer = attempt("write log lines in a thread", partial(LogWriter, descriptor, partial(_notice, style)))
    if writer is None:
        yield
        return
    _writers.append(writer)
    queued = _Queued(writer)
    queued.setFormatter(direct.formatter)
    root.handlers[:] = [queued]
    logging.captureWarnings(capture=True)
    before = sys.stderr, threading.excepthook, sys.unraisablehook
    sys.stderr = StandardError(writer)
    threading.excepthook = partial(_log_fault, "fault in a thread")
    sys.unraisablehook = partial(_log_fault, "fault that nothing could handle")
    try:
        yield
    except Exception:
        log.critical("fault that ends the program", exc_info=True)
        raise SystemExit(1) from None
    finally:
        if writer.close():
            sys.stderr, threading.excepthook, sys.unraisablehook = before
            root.handlers[:] = [direct]
            logging.captureWarnings(capture=False)
        # Otherwise nobody reads: whatever wrote one more line directly would wait for ever.


class _Queued(logging.Handler):
    """Formats a record here, so that nothing in it is kept, and lets it be written."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record, and let it be written."""
        try:
            self._writer.put(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 (the standard library's rule: a fault of logging is told, and goes no further)
            self.handleError(record)


def _log_fault(event: str, fault: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
    log.error(event, exc_info=(fault.exc_type, fault.exc_value, fault.exc_traceback))


def _notice(style: str, dropped: int) -> bytes:
    """Return the line that says how many lines were dropped."""
    text = "log lines were dropped: they were not read in time, or could not be written"
    event: Any = _stamp(None, "", {"level": "warning", "logger": "log", "event": text, "lines": dropped})
    for render in _renderers(style):
        event = render(None, "", event)
    return f"{event}\n".encode()


def _renderers(style: str) -> list[structlog.typing.Processor]:
    if style == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    order = ("ts", "level", "logger", "event")
    return [_flatten, structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)]


def _traceback(exc_info: ExcInfo) -> str:
    """Return a traceback as Python prints it. What an exception says may be from outside, and hold a secret."""
    return "".join(_lines(TracebackException(*exc_info)))


def _lines(error: TracebackException) -> Iterator[str]:
    if error.__cause__ is not None:
        yield from _lines(error.__cause__)
        yield "\nThe above exception was the direct cause of the following exception:\n\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _lines(error.__context__)
        yield "\nDuring handling of the above exception, another exception occurred:\n\n"
    if error.stack:
        yield "Traceback (most recent call last):\n"
        yield from error.stack.format()
    yield redact_everything("".join(error.format_exception_only()))
    for part in error.exceptions or ():
        yield from _lines(part)


def _redact(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of what a library logs: asyncio, for one, logs exceptions in the middle of a text."""
    return {**event, "event": redact_everything(str(event["event"]))}


def _flatten(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Join lists into one text: logfmt has no lists."""
    return {key: " | ".join(map(str, value)) if isinstance(value, list) else value for key, value in event.items()}
