"""Data as the command line names it: a folder, a file of arrays, rows or texts, or an object of a module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pnpxai.auto.class_codes import class_codes
from pnpxai.auto.conversion import Data
from pnpxai.auto.picture_files import picture_paths
from pnpxai.cli.models import built, is_code, named_object
from pnpxai.cli.options import OnData, Subject
from pnpxai.cli.pictures import picture_dataset
from pnpxai.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from pnpxai.auto.picture_scaling import Transform

__all__ = ["load_data", "names_of"]

_LABELS = ("y", "labels", "label")
_LARGE, _PACKED = 2**30, 100
"""An archive is a bomb if its arrays take more bytes than the first, and so many times the file's own."""


def load_data(
    options: OnData,
    class_names: Sequence[str] = (),
    channels: int | None = None,
    transform: Transform | None = None,
) -> Data:
    """Return data: pictures (files, folders, patterns), a .npy, .npz, .csv, .parquet or .txt file, or an object.

    Args:
        options: what it is, and how pictures are scaled.
        class_names: the model's classes, if they are known; labels that are words are looked up there, else numbered
            in the order of the alphabet.
        channels: how many channels of pictures the model takes, if that is known.
        transform: makes tensors of pictures, in place of the options.

    Raises:
        ArgumentError: there is nothing so, or nothing in it.
    """
    specs = options.data or [""]
    named = [path if (path := Path(spec)).is_dir() else spec for spec in specs]
    if (pictures := picture_paths(named[0] if len(named) == 1 else named)) is not None:
        return picture_dataset(*pictures, options, class_names, channels, transform)
    if len(named) > 1:
        other = next(spec for spec, of in zip(specs, named, strict=True) if picture_paths(of) is None)
        raise ArgumentError(f"data: {other} names no picture; of other data there is one file, got {len(specs)}")
    spec, path = specs[0], Path(specs[0])
    if path.suffix in _READERS:
        if not path.is_file():
            raise ArgumentError(f"data: no file {spec}")
        return _READERS[path.suffix](path, options, class_names)
    if not is_code(spec):
        what = "a file of another kind" if path.exists() else "nothing"
        raise ArgumentError(
            f"data: {spec} is {what}; expected a folder of pictures, a picture file, a pattern such as 'photos/*.jpg', "
            f"{', '.join(_READERS)}, or module:attribute"
        )
    return built(named_object(spec, "data", "data"), "data")


def names_of(names: str | list[str] | None, what: str) -> tuple[str, ...]:
    """Return names as they are, or from a file with one on each line.

    Raises:
        ArgumentError: the file cannot be read.
    """
    if not isinstance(names, str):
        return tuple(names or ())
    return tuple(_lines(Path(names), what))


def _lines(path: Path, what: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ArgumentError(f"{what}: {path} cannot be read ({problem})") from problem
    return [line.strip() for line in text if line.strip()]


def _texts(path: Path, options: Subject, class_names: Sequence[str]) -> Data:
    return _lines(path, "data")


def _arrays(path: Path, options: Subject, class_names: Sequence[str]) -> Data:
    import numpy as np

    try:
        _refuse_bomb(path)
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            arrays = {name: content[name] for name in content}
    except Exception as problem:  # a damaged file makes numpy and zipfile raise errors of all kinds
        raise ArgumentError(f"data: {path} holds no plain arrays ({problem})") from problem
    label = options.label or next(
        (name for name in _LABELS if name in arrays and name not in (options.inputs or ())), None
    )
    inputs = _chosen(path, list(arrays), options, label)
    parts: Any = tuple(arrays[name] for name in inputs)
    if len(parts) > 1 and options.inputs is None:  # by name, as their order says nothing
        parts = {name: arrays[name] for name in inputs}
    elif len(parts) == 1:
        parts = parts[0]
    if label is None:
        return (parts,) if isinstance(parts, tuple) else parts
    return parts, _coded(arrays[label], class_names)


def _refuse_bomb(path: Path) -> None:
    """Refuse a small archive that would fill the memory."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _LARGE and size > _PACKED * path.stat().st_size:
        raise ValueError(
            f"it would take {size / 2**30:.1f} GiB; arrays of such a size are read from files of their own"
        )


def _frame(path: Path, options: Subject, class_names: Sequence[str]) -> Data:
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except Exception as problem:  # a damaged file makes pandas and pyarrow raise errors of all kinds
        raise ArgumentError(f"data: {path} cannot be read ({problem})") from problem
    inputs = _chosen(path, list(map(str, frame.columns)), options, options.label)
    rows: Any = frame[inputs]
    if len(inputs) == 1 and rows[inputs[0]].dtype.kind not in "biuf":
        rows = rows[inputs[0]].astype(str).tolist()  # texts
    elif rows.isna().any(axis=None):
        column = next(name for name in inputs if rows[name].isna().any())
        raise ArgumentError(f"data: {path} has gaps in column {column!r}; fill them as for the model's training")
    return rows if options.label is None else (rows, _coded(frame[options.label].to_numpy(copy=True), class_names))


def _chosen(path: Path, names: list[str], options: Subject, label: str | None) -> list[str]:
    """Return the names of the inputs.

    Raises:
        ArgumentError: a name is not there, or nothing is left.
    """
    for option, wanted in (("label", [label] if label else []), ("inputs", options.inputs or [])):
        unknown = next((name for name in wanted if name not in names), None)
        if unknown is not None:
            raise ArgumentError(f"{option}: {path} has no {unknown!r}{did_you_mean(unknown, names)}")
    chosen = options.inputs or [name for name in names if name != label]
    if not chosen:
        raise ArgumentError(f"data: {path} holds nothing but {', '.join(names) or 'nothing'}")
    return chosen


def _coded(labels: np.ndarray, class_names: Sequence[str]) -> Data:
    """Return classes as numbers."""
    if labels.dtype.kind in "biuf":
        return labels
    return class_codes([str(label) for label in labels], class_names, "label")


_READERS = {".npy": _arrays, ".npz": _arrays, ".csv": _frame, ".parquet": _frame, ".txt": _texts}
