"""The logger ``flask_whop``, which writes any text from outside as one line without secrets."""

from __future__ import annotations

import logging
from typing import Final

from flask_whop.names import shown, shown_error

_LONGEST: Final = 255


class _AsShown(logging.Filter):
    """Escapes the values and exceptions of each record before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place, and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(value if isinstance(value, (int, float)) else shown(value) for value in record.args)
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters prefer this text; the exception itself stays for error trackers.
            record.exc_text = shown_error(record.exc_info[1])
        return True


def facts(**values: object) -> dict[str, object]:
    """Return the ``extra`` of a line: what it is about, for programs, under ``whop_`` and its name.

    ``delivery``, ``type``, ``account``, ``outcome``, ``receiver``, ``reason`` and ``ms``; those
    that aren't known are left out.
    """
    return {
        f"whop_{name}": value if isinstance(value, (int, float)) else shown(value, _LONGEST)
        for name, value in values.items()
        if value is not None
    }


log: Final = logging.getLogger("flask_whop")
log.addFilter(_AsShown())
