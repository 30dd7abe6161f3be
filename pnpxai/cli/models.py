"""Models and other objects that ``module:attribute`` or a Python file names."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pnpxai.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from pnpxai.auto.named_models import NamedModel

__all__ = ["is_code", "load_model", "built", "named_object"]

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
_STATES = ("state_dict", "model_state_dict", "model")
"""Names under which checkpoints hold a state dict."""


def load_model(
    spec: str, weights: str | None = None, device: str | None = None, named: NamedModel | None = None
) -> Any:
    """Return the model that ``module:attribute``, a Python file or a library names.

    A class or a function without arguments is called. A file needs no attribute if it defines ``model``, or one model.

    Args:
        spec: which model.
        weights: a file with its state dict.
        device: where it is to run.
        named: the model, if it was found by a name that a library knows.

    Raises:
        ArgumentError: there is none, or the weights are another model's; the message says what there is.
    """
    from torch import nn

    if Path(spec).suffix in (*_PICKLES, ".safetensors"):
        raise ArgumentError(
            f"model: {spec} holds weights, or a pickle whose loading would run code; name the model's class, and the "
            f"weights beside it: net.py:Net --weights {spec}"
        )
    if named is not None:
        if weights is None:
            named.require_weights("give a file with --weights")
        return _placed(named.model, spec, weights, device)
    module, attribute = _module(spec, "model")
    if attribute:
        candidate = _attribute(module, attribute, "model")
    else:
        models = {name: value for name, value in vars(module).items() if isinstance(value, nn.Module)}
        if "model" not in vars(module) and len(models) != 1:
            several = f"several: {', '.join(models)}" if models else "none"
            raise ArgumentError(f"model: {spec} has no 'model', and of other models {several}; say {spec}:NAME")
        candidate = vars(module)["model"] if "model" in vars(module) else next(iter(models.values()))
    model: Any = built(candidate, "model")
    if not callable(model):
        raise ArgumentError(f"model: {spec} is no model but {type(model).__name__}")
    return _placed(model, spec, weights, device)


def _placed(model: Any, spec: str, weights: str | None, device: str | None) -> Any:
    """Return a model with its weights, on its device."""
    from torch import nn

    if (weights or device) and not isinstance(model, nn.Module):
        raise ArgumentError(f"model: {spec} is no torch.nn.Module, so it has no weights or device")
    if weights is not None:
        _fill(model, Path(weights))
    if device is not None:
        _move(model, device)
    return model


def named_object(spec: str, what: str, default: str = "") -> Any:
    """Return what ``module:attribute`` or ``file.py:attribute`` names.

    Args:
        spec: which object.
        what: the first word of error messages.
        default: the attribute where a file is named alone.

    Raises:
        ArgumentError: there is none.
    """
    module, attribute = _module(spec, what)
    if not attribute and not default:
        raise ArgumentError(f"{what}: expected {spec}:NAME")
    return _attribute(module, attribute or default, what)


def built(value: Any, what: str) -> Any:
    """Return the result of calling a class or a function without arguments; any other value unchanged.

    Raises:
        ArgumentError: it is a class that needs arguments.
    """
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return value
    required = [
        p.name for p in inspect.signature(value).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]  # fmt: skip
    if required and inspect.isclass(value):
        raise ArgumentError(f"{what}: {value.__name__} needs {', '.join(required)}; name an object, not its class")
    return value if required else value()


def is_code(spec: str) -> bool:
    """Tell ``module:attribute`` and Python files from names of files and classes."""
    return ":" in spec or Path(spec).suffix == ".py"


def _move(model: Any, device: str) -> None:
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as problem:  # torch asserts that it was built for a device
        raise ArgumentError(f"device: {device!r} cannot be used ({str(problem).splitlines()[0]})") from problem


def _fill(model: Any, path: Path) -> None:
    """Load a state dict; nothing that it holds is executed."""
    import pickle

    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ArgumentError(f"weights: no file {path}") from None
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as problem:
        raise ArgumentError(
            f"weights: {path} holds more than tensors, or none, and reading all else would run code in it; write it "
            "with torch.save(model.state_dict(), ...)"
        ) from problem
    except Exception as problem:  # safetensors has errors of its own
        raise ArgumentError(f"weights: {path} is no file of tensors ({problem})") from problem
    state = next(
        (state[name] for name in _STATES if isinstance(state, dict) and isinstance(state.get(name), dict)), state
    )
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as problem:
        words = "; ".join(" ".join(line.split()) for line in str(problem).splitlines()[1:3]) or str(problem)
        raise ArgumentError(f"weights: {path} does not fit {type(model).__name__}: {words[:300]}") from problem


def _module(spec: str, what: str) -> tuple[Any, str]:
    name, _, attribute = spec.partition(":")
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise ArgumentError(f"{what}: no file {name}")
        folder, name = str(path.resolve().parent), path.stem
    elif not attribute:
        raise ArgumentError(f"{what}: expected module:attribute or a Python file, got {spec!r}")
    else:
        folder = str(Path.cwd())
    if folder not in sys.path:  # so that other processes find it too
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(name)
    except Exception as problem:
        raise ArgumentError(f"{what}: {spec} cannot be imported ({type(problem).__name__}: {problem})") from problem
    if path.suffix == ".py" and Path(module.__file__ or "").resolve() != path.resolve():
        raise ArgumentError(f"{what}: {path} has the name of another module, {module.__file__}; rename it")
    return module, attribute


def _attribute(module: Any, path: str, what: str) -> Any:
    value = module
    for part in path.split("."):
        if not hasattr(value, part):
            names = [name for name in vars(module) if not name.startswith("_")]
            raise ArgumentError(f"{what}: {module.__name__} has no {path!r}{did_you_mean(path, names)}")
        value = getattr(value, part)
    return value
