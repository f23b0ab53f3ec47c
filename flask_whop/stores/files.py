"""The file of a SQLite database: who may read it, whether it is still the same, and whether somebody has written."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Final, TypeAlias

GONE: Final = (
    "The file of the store, {}, has been deleted or replaced, so that what was written last may be kept nowhere. Put"
    " it back, or restart the app, which makes a new one."
)

Identity: TypeAlias = tuple[int, int]

_LOOK_EVERY: Final = 0.01


class FileWaker:
    """Looks whether somebody has written to a SQLite file, which takes a few microseconds."""

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
    """Make a file for its owner alone, if it is not there; SQLite gives ``-wal`` and ``-shm`` the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def identity(path: Path) -> Identity | None:
    """Which file stands at a path; None if none does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
