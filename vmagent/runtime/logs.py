"""Log lines in the shape an operator of Istio greps for: time, level, scope, message, each behind a tab.

The scope is the logger's name; ``default`` is left out. Labels stand in the message as ``key=value`` behind a
tab.
"""

import logging
import sys
import time

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error"}


class IstioFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = [f"{stamp}.{int(record.created % 1 * 1e6):06d}Z", _WORDS.get(record.levelno, "error")]
        if record.name not in ("root", "default"):
            fields.append(record.name)
        fields.append(record.getMessage())
        line = "\t".join(fields)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str) -> None:
    """Log to standard output, as pilot-agent does."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(IstioFormatter())
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
