"""Models and data as the command line names them."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["Pictures", "load_data", "load_model"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def load_model(spec: str) -> Any:
    """Return the model that ``module:attribute`` or a Python file (``file.py``, ``file.py:attribute``) names.

    A class or a function without arguments is called. A file needs no attribute if it defines ``model``, or one model.

    Raises:
        ArgumentError: there is none; the message says what there is.
    """
    from torch import nn

    module, attribute = _module(spec, "model")
    if attribute:
        found = _attribute(module, attribute, "model")
    else:
        models = {name: value for name, value in vars(module).items() if isinstance(value, nn.Module)}
        if "model" not in vars(module) and len(models) != 1:
            several = f"several: {', '.join(models)}" if models else "none"
            raise ArgumentError(f"model: {spec} has no 'model', and of other models {several}; say {spec}:NAME")
        found = vars(module)["model"] if "model" in vars(module) else next(iter(models.values()))
    found = _made(found, "model")
    if not callable(found):
        raise ArgumentError(f"model: {spec} is no model but {type(found).__name__}")
    return found


def load_data(spec: str, *, label: str | None = None, size: int | None = None) -> Any:
    """Return data: a folder of pictures, a .npy, .npz, .csv or .parquet file, or ``module:attribute``.

    Args:
        spec: what it is.
        label: the column or array that holds true classes; of a .npz by default "y", "labels" or "label".
        size: scale pictures to this height and width.

    Raises:
        ArgumentError: there is nothing so, or nothing in it.
    """
    path = Path(spec)
    if path.is_dir():
        return Pictures.found(path, size)
    if path.suffix in (".npy", ".npz", ".csv", ".parquet"):
        if not path.is_file():
            raise ArgumentError(f"data: no file {spec}")
        return _frame(path, label) if path.suffix in (".csv", ".parquet") else _arrays(path, label)
    if ":" not in spec and path.suffix != ".py":
        what = "a file of another kind" if path.exists() else "nothing"
        raise ArgumentError(
            f"data: {spec} is {what}; expected a folder of pictures, .npy, .npz, .csv, .parquet, or module:attribute"
        )
    module, attribute = _module(spec, "data")
    return _made(_attribute(module, attribute or "data", "data"), "data")


class Pictures(Dataset[Any]):
    """Pictures in a folder, read when they are needed; those in folders below it have these as their classes.

    Args:
        paths: the files.
        labels: the class of each, if there are classes.
        size: scale to this height and width.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int] | None, size: int | None) -> None:
        self.paths, self.labels, self.size = tuple(paths), labels, size
        self._shape: tuple[int, ...] | None = None

    @classmethod
    def found(cls, folder: Path, size: int | None) -> Pictures:
        """Return the pictures in a folder.

        Raises:
            ArgumentError: there are none.
        """
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)
        if not paths:
            raise ArgumentError(f"data: no pictures ({', '.join(PICTURES[:3])} ...) in the folder {folder}")
        classes = sorted({p.parent for p in paths})
        nested = len(classes) > 1 or classes[0] != folder
        return cls(paths, [classes.index(p.parent) for p in paths] if nested else None, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor | tuple[Tensor, int]:
        """Return a picture (channels, height, width) from 0 to 1, with its class if there are classes."""
        import numpy as np
        import torch
        from PIL import Image, UnidentifiedImageError

        path = self.paths[number]
        try:
            with Image.open(path) as opened:
                picture = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
        except (UnidentifiedImageError, OSError) as problem:
            raise ArgumentError(f"data: {path} is no picture that can be read ({problem})") from problem
        if self.size is not None:
            picture = picture.resize((self.size, self.size))
        values = torch.as_tensor(np.asarray(picture).copy(), dtype=torch.float32) / 255
        values = values[None] if values.ndim == 2 else values.movedim(-1, 0).contiguous()
        self._shape = self._shape or tuple(values.shape)
        if tuple(values.shape) != self._shape:
            raise ArgumentError(
                f"data: {path} has shape {tuple(values.shape)}, others have {self._shape}; scale them with --size"
            )
        return values if self.labels is None else (values, self.labels[number])


def _arrays(path: Path, label: str | None) -> Any:
    import numpy as np

    try:
        held = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as problem:
        raise ArgumentError(f"data: {path} holds no plain arrays ({problem})") from problem
    if isinstance(held, np.ndarray):
        return held
    with held:
        arrays = {name: held[name] for name in held}
    names = list(arrays)
    if label is not None and label not in names:
        raise ArgumentError(f"label: {path} holds no {label!r}{did_you_mean(label, names)}")
    found = label or next((name for name in ("y", "labels", "label") if name in names), None)
    inputs = [name for name in names if name != found]
    if len(inputs) != 1:
        raise ArgumentError(
            f"data: {path} holds the arrays {', '.join(names)}; expected one of inputs, and one of labels"
        )
    return arrays[inputs[0]] if found is None else (arrays[inputs[0]], arrays[found])


def _frame(path: Path, label: str | None) -> Any:
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as problem:
        raise ArgumentError(f"data: {path} cannot be read ({problem})") from problem
    if label is None:
        return frame
    if label not in frame.columns:
        raise ArgumentError(f"label: {path} has no column {label!r}{did_you_mean(label, map(str, frame.columns))}")
    return frame.drop(columns=label), frame[label]


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
    found = module
    for part in path.split("."):
        if not hasattr(found, part):
            names = [name for name in vars(module) if not name.startswith("_")]
            raise ArgumentError(f"{what}: {module.__name__} has no {path!r}{did_you_mean(path, names)}")
        found = getattr(found, part)
    return found


def _made(found: Any, what: str) -> Any:
    """Return what a class or a function makes, everything else as it is."""
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return found
    required = [
        p.name for p in inspect.signature(found).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]  # fmt: skip
    if required and inspect.isclass(found):
        raise ArgumentError(f"{what}: {found.__name__} needs {', '.join(required)}; name an object, not its class")
    return found if required else found()
