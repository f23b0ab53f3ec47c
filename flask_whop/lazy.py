"""Names of a package that are imported on first use, so a process pays for what it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules
from typing import Any


def lazy(
    package: str, names: Mapping[str, str], submodules: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of ``package``.

    ``names`` has those of each module, with spaces between; ``submodules`` are those of
    the package that are imported as well.

    Hide both from type checkers (``if not TYPE_CHECKING``): to them a module with a
    ``__getattr__`` has every name, misspelled ones included.
    """
    homes = {name: module for module, several in names.items() for name in several.split()}
    within = submodules.split()

    def get(name: str) -> Any:
        if name in within:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(modules[package]), *homes, *within})

    return get, listed
