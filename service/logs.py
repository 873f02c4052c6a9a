"""One line per event on standard error: text for people, JSON for collectors."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from service.requests import current_request


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if facts := current_request.get():
            entry["request_id"] = facts.id
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def configure_logs(log_format: str) -> None:
    """Send all logs to standard error; `auto` is text on a terminal and JSON elsewhere."""
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("%(levelname)s %(message)s") if as_text else JsonFormatter()
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
