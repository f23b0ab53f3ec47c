"""Deliveries that ``flask whop deliveries record`` has recorded."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flask_whop.errors import CheckFailed

if TYPE_CHECKING:
    import os

    from pydantic import JsonValue

FOLDER: Final = Path("tests", "deliveries")
"""Where recordings are, in the project's folder."""


def recorded(name: str | os.PathLike[str]) -> dict[str, JsonValue]:
    """Return the body of a recorded delivery, as a new object on each call.

    ``whop.deliver(recorded("refund.json"))`` plays it: as a new event, now, signed afresh.
    The times in its ``data`` stay as they were recorded.

    ``name`` is a file in ``tests/deliveries`` of the project, that is, of the working
    directory or the nearest folder above it that has one; or a path, which is taken from
    the working directory.

    Raises :class:`~flask_whop.errors.CheckFailed` if there is no such file, or no JSON
    object in it.
    """
    __tracebackhide__ = True
    path = _find(Path(name))
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckFailed(f"{path} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise CheckFailed(f"{path} isn't JSON: {error}.") from None
    if not isinstance(body, dict):
        raise CheckFailed(f"{path} must hold a JSON object, as every body from Whop does.")
    return body


def _find(name: Path) -> Path:
    __tracebackhide__ = True
    here = Path.cwd()
    folder = next((each / FOLDER for each in (here, *here.parents) if (each / FOLDER).is_dir()), here / FOLDER)
    for path in (folder / name, here / name):
        if path.is_file():
            return path
    near = get_close_matches(name.name, [path.name for path in folder.glob("*.json")], 1)
    advice = f"the nearest is {near[0]!r}" if near else "`flask whop deliveries record ID` makes one"
    raise CheckFailed(f"No recording {str(name)!r} in {folder}; {advice}.")
