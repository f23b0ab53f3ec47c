"""The logger ``flask_whop``: whatever came from outside is one line of it, and shows no secret.

All modules log by ``log``, or by the logger of that name, which is the same one.
"""

from __future__ import annotations

import logging
from typing import Final

from flask_whop.names import shown, shown_error


class _AsShown(logging.Filter):
    """Escapes the values and the exceptions of each record, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place, and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(value if isinstance(value, (int, float)) else shown(value) for value in record.args)
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters write this text, if it is there; the exception itself stays for error trackers.
            record.exc_text = shown_error(record.exc_info[1])
        return True


log: Final = logging.getLogger("flask_whop")
log.addFilter(_AsShown())
