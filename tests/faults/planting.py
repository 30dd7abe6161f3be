"""Changes the source of one function while a block runs."""

from __future__ import annotations
import __future__

import contextlib
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Fault", "planted"]


@dataclass(frozen=True)
class Fault:
    """A small patch of a function.

    Attributes:
        what: what is wrong then.
        where: the function, as ``module:qualified.name``.
        old: the piece of its source that is changed, once.
        new: what stands there instead.
        caught_by: the tests, as pytest names them, each of which must fail.
    """

    what: str
    where: str
    old: str
    new: str
    caught_by: tuple[str, ...]

    @property
    def floor(self) -> str:
        """The sub-package or module of the package."""
        return self.where.partition(":")[0].split(".")[1]


@contextlib.contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Let the package be wrong: every module that holds the function holds the changed one.

    Raises:
        LookupError: the source has no such piece any more; the fault has to be planted anew.
    """
    module_name, _, path = fault.where.partition(":")
    module: Any = importlib.import_module(module_name)
    *owners, name = path.split(".")
    owner = module
    for one in owners:
        owner = getattr(owner, one)
    original = vars(owner)[name]
    changed = _changed(fault, original, module)
    _put(owner, name, original, changed)
    try:
        yield
    finally:
        _put(owner, name, changed, original)


def _put(owner: Any, name: str, before: Any, after: Any) -> None:
    """Put one function in the place of another, in every module that holds it; some were imported meanwhile."""
    setattr(owner, name, after)
    for module in _ours() if inspect.ismodule(owner) else ():
        for key in [key for key, value in list(vars(module).items()) if value is before]:
            setattr(module, key, after)


def _changed(fault: Fault, original: Any, module: Any) -> Any:
    function = original.__func__ if isinstance(original, (classmethod, staticmethod)) else original
    function = function.fget if isinstance(function, property) else inspect.unwrap(function)
    source = textwrap.dedent(inspect.getsource(function))
    if fault.old not in source:
        raise LookupError(f"{fault.what}: {fault.where} has no {fault.old!r} any more")
    code = compile(
        source.replace(fault.old, fault.new, 1), f"<fault: {fault.what}>", "exec", __future__.annotations.compiler_flag
    )
    made: dict[str, Any] = {}
    exec(code, vars(module), made)  # noqa: S102
    return made[function.__name__]


def _ours() -> list[Any]:
    return [m for name, m in list(sys.modules.items()) if name.partition(".")[0] in ("pnpxai", "tests") and m]
