"""What receivers are called in receipts, in logs, and in the keys that they pass on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


def name_of(receiver: Callable[..., object]) -> str:
    """The name of ``receiver`` in receipts and logs, the same in each process: ``module:qualname``."""
    while isinstance(receiver, partial):
        receiver = receiver.func
    named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    return f"{named.__module__}:{named.__qualname__}"
