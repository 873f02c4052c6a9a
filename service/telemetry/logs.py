"""One line per event on standard error: text for people, JSON for collectors.

What is logged while a request is answered names its id, its run and its step, where it has them.
"""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from service.telemetry.requests import request_facts


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the request, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **request_facts(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


class TextFormatter(logging.Formatter):
    """Level, message and the request on one line, whatever a client wrote into them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the library's name)
        """The record as a line of text."""
        facts = "".join(f" {name}={value}" for name, value in request_facts().items())
        line = f"{record.levelname} {record.message}{facts}"
        return line if line.isprintable() else line.encode("unicode_escape").decode()


def configure_logs(log_format: str) -> None:
    """Send all logs to standard error; `auto` is text on a terminal and JSON elsewhere."""
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
