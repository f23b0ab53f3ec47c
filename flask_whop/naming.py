"""What receivers are called in receipts, in logs, and in the keys that they pass on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from inspect import isroutine
from pathlib import Path
from types import MethodType
from typing import Any, Final

_MAIN: Final = frozenset({"__main__", "__mp_main__"})
"""What a module is called that a process was started with; the second, in multiprocessing's children."""

_DEEPEST = 100


def name_of(receiver: Callable[..., object]) -> str:
    """The name of ``receiver`` in receipts and logs, the same in each process: ``module:qualname``.

    The module is called as an import calls it, however the process was started:
    ``python shop.py``, ``python -m shop``, ``flask --app shop``, gunicorn or Celery.
    """
    target = receiver
    while isinstance(target, partial):
        target = target.func
    named = target if hasattr(target, "__qualname__") else type(target)
    module = named.__module__
    return f"{_imported(module, receiver) if module in _MAIN else module}:{named.__qualname__}"


def layers(receiver: Callable[..., object]) -> Iterator[Callable[..., Any]]:
    """Yield the functions that a call of ``receiver`` runs, from the outermost inwards.

    It looks through ``functools.partial``, bound methods, objects that can be called,
    and decorators that used ``functools.wraps``.
    """
    layer: Any = receiver
    for _ in range(_DEEPEST):  # since __wrapped__ may lead in a circle
        if isinstance(layer, partial):
            layer = layer.func
        elif isinstance(layer, MethodType):
            layer = layer.__func__
        else:
            called = layer if isroutine(layer) else type(layer).__call__
            yield called
            layer = getattr(layer, "__wrapped__", None) or getattr(called, "__wrapped__", None)
            if not callable(layer):
                return


def innermost(receiver: Callable[..., object]) -> Callable[..., Any]:
    """The function that was written down, behind all that was made of it."""
    *_, function = layers(receiver)
    return function


def namespace_of(receiver: Callable[..., object]) -> Mapping[str, Any]:
    """The names of the module in which the innermost function of ``receiver`` is defined."""
    names: Mapping[str, Any] = getattr(innermost(receiver), "__globals__", {})
    return names


def _imported(module: str, receiver: Callable[..., object]) -> str:
    """What an import calls the module that this process was started with."""
    names = namespace_of(receiver)
    if names.get("__name__") != module:
        names = vars(sys.modules[module]) if module in sys.modules else {}
    spec, file = names.get("__spec__"), names.get("__file__")
    if spec is not None and spec.name not in _MAIN:
        return str(spec.name)  # it was started with -m
    return module if file is None else _walked(file)


@lru_cache
def _walked(file: str) -> str:
    """The name that ``file`` is imported by, found as ``flask --app`` does: up, past each folder with __init__.py."""
    path = Path(file).resolve()
    if path.suffix in {".py", ".pyc"}:
        path = path.with_suffix("")
    if path.name == "__init__":
        path = path.parent
    parts = [path.name]
    while (path := path.parent).name and (path / "__init__.py").exists():
        parts.insert(0, path.name)
    return ".".join(parts)
