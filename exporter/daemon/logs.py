"""Log lines: logfmt or JSON, one event a line, on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

if "structlog" not in sys.modules:
    # structlog imports rich, for coloured tracebacks that no log line has: it would take a tenth of the start.
    sys.modules["rich"] = None  # type: ignore[assignment]  # makes `import rich` fail
    import structlog

    del sys.modules["rich"]
import structlog


def configure(level: str, style: str) -> None:
    """Write all log lines, with those of libraries, to standard error, from `level` on."""
    common: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer(ensure_ascii=False)]
        if style == "json"
        else [
            _flatten,
            structlog.processors.LogfmtRenderer(key_order=("ts", "level", "logger", "event"), bool_as_flag=False),
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These libraries log a line for each job, request and token.
    for library in ("apscheduler", "asyncio", "google"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # uvicorn warns of every bad request, so that any client could fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
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


def _flatten(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Join lists into one text: logfmt has no lists."""
    return {key: " | ".join(map(str, value)) if isinstance(value, list) else value for key, value in event.items()}
