"""The file of a SQLite database: who may read it, whether it is still the same, and when it is written."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Final, TypeAlias

GONE: Final = (
    "The store's file, {}, has been deleted or replaced, so the last writes may be lost. Put it back, or restart the"
    " app, which makes a new one."
)

Identity: TypeAlias = tuple[int, int]

_LOOK_EVERY: Final = 0.01


class FileWaker:
    """Notices writes to a SQLite file; a look takes a few microseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version = self._look()

    def wait(self, seconds: float) -> bool:
        """Look a hundred times a second."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            version = self._look()
            if version != self._version:
                self._version = version
                return True
            time.sleep(_LOOK_EVERY)
        return False

    def _look(self) -> int | None:
        try:
            if self._connection is None:
                uri = f"{self._path.absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            [(version,)] = self._connection.execute("PRAGMA data_version")
        except sqlite3.Error:
            self.close()
            return None
        return int(version)

    def close(self) -> None:
        """Close its connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def make_private(path: Path) -> None:
    """Make a file that only its owner can use, if it is missing; SQLite gives ``-wal`` and ``-shm`` the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def identity(path: Path) -> Identity | None:
    """Return which file is at a path; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
