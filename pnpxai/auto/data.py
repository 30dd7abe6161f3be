"""Data as people have it, as batches of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pnpxai.errors import ArgumentError
from pnpxai.pictures import Display
from pnpxai.tensors import flat, map_tensors, take_rows

__all__ = ["LABELS", "Data", "batches", "column_names", "first_member", "label_of"]

Data = Any
"""A DataLoader, a Dataset, an iterable of batches; or all at once: a tensor, a numpy array, a pandas frame, a picture
or several, texts, a mapping or a tuple of these, or a tuple (inputs, labels). Numbers of numpy and pandas get the
model's type; four dimensions of bytes are pictures, scaled to 0 ... 1."""

LABELS = ("labels", "label", "targets", "target")
"""Names under which mappings hold true classes, which the model is not given."""
_SIZE = 32


def batches(
    data: Data,
    *,
    tokenizer: Callable[..., Any] | None = None,
    display: Display | None = None,
    dtype: torch.dtype = torch.float32,
    ids: bool = True,
) -> Iterable[Any]:
    """Return an iterable of batches.

    Args:
        data: what the user has.
        tokenizer: turns texts into a mapping of ids and masks.
        display: how pictures are scaled for the model.
        dtype: of numbers that come from numpy or pandas.
        ids: whether the model reads ids, so that rows of whole numbers stay what they are.

    Raises:
        ArgumentError: the data has another form, or columns that are no numbers.
    """
    if isinstance(data, (DataLoader, Iterator)):
        return data
    if isinstance(data, Dataset) or _is_indexed(data):
        return DataLoader(data, batch_size=_SIZE)
    if isinstance(data, tuple) or _is_whole(data):
        return _slices(_tensors(data, tokenizer, display, dtype, ids))
    if not isinstance(data, Iterable):
        raise ArgumentError(
            "data: expected a DataLoader, a Dataset, tensors, arrays, a frame, pictures, texts or an iterable of "
            f"batches, got {type(data).__name__}"
        )
    return data


def column_names(data: Data) -> tuple[str, ...]:
    """Return the names of a frame's columns, none of anything else."""
    frame: Any = data[0] if isinstance(data, tuple) and data else data
    return tuple(map(str, frame.columns)) if _is_frame(frame) else ()


def first_member(batch: Any) -> Any:
    """Return a batch's inputs: of a mapping all but the labels, else its first member."""
    if isinstance(batch, Mapping):
        return {name: value for name, value in batch.items() if name not in LABELS}
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def label_of(batch: Any) -> Any:
    """Return a batch's true classes: of a mapping those under their name, else its second member, if it has one."""
    if isinstance(batch, Mapping):
        return next((batch[name] for name in LABELS if name in batch), None)
    return batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None


def _tensors(
    given: Any, tokenizer: Callable[..., Any] | None, display: Display | None, dtype: torch.dtype, ids: bool
) -> Any:
    """Return values with tensors in the place of arrays, frames, pictures and texts."""
    if isinstance(given, Tensor) or given is None:
        return given
    if _is_frame(given) or _is_column(given):
        return _of_frame(given, dtype)
    if _is_picture(given) or (_is_list(given) and all(map(_is_picture, given))):
        return _of_pictures([given] if _is_picture(given) else given, display, dtype)
    if isinstance(given, str) or (_is_list(given) and all(isinstance(text, str) for text in given)):
        return _of_texts([given] if isinstance(given, str) else list(given), tokenizer)
    if isinstance(given, Mapping):
        return {name: _tensors(value, tokenizer, display, dtype, ids) for name, value in given.items()}
    if isinstance(given, tuple):
        return tuple(_tensors(value, tokenizer, display, dtype, ids) for value in given)
    try:
        tensor = torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError) as problem:
        raise ArgumentError(f"data: expected numbers, got {type(given).__name__} ({problem})") from problem
    if tensor.dtype == torch.uint8 and tensor.ndim == 4:
        return _scaled(tensor, display, dtype)
    rows = tensor.ndim == 2 and not ids
    return tensor.to(dtype) if tensor.is_floating_point() or rows else tensor


def _of_frame(frame: Any, dtype: torch.dtype) -> Tensor:
    wrong = [str(c) for c in getattr(frame, "columns", ()) if frame[c].dtype.kind not in "biuf"]
    if wrong or (_is_column(frame) and frame.dtype.kind not in "biuf"):
        raise ArgumentError(
            f"data: expected columns of numbers, got others: {', '.join(wrong) or frame.name}; encode them as the "
            "model was trained on them"
        )
    values = torch.as_tensor(frame.to_numpy().copy())
    floating = values.is_floating_point() or _is_frame(frame)
    return values.to(dtype) if floating else values


def _of_pictures(pictures: Sequence[Any], display: Display | None, dtype: torch.dtype) -> Tensor:
    arrays = [np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB")) for picture in pictures]
    if len({array.shape for array in arrays}) > 1:
        raise ArgumentError(
            f"data: expected pictures of one size, got {sorted({p.size for p in pictures})}; resize them"
        )
    return _scaled(torch.as_tensor(np.stack([a if a.ndim == 3 else a[..., None] for a in arrays])), display, dtype)


def _scaled(pictures: Tensor, display: Display | None, dtype: torch.dtype) -> Tensor:
    """Return bytes as numbers from 0 to 1, or as ``display`` has them; colours that stand last come first."""
    last = pictures.shape[-1] in (1, 3, 4) and pictures.shape[1] not in (1, 3, 4)
    values = (pictures.movedim(-1, 1) if last else pictures).to(dtype) / 255
    return values if display is None else display.apply(values)


def _of_texts(texts: list[str], tokenizer: Callable[..., Any] | None) -> dict[str, Tensor]:
    if tokenizer is None:
        raise ArgumentError("data: texts need a tokenizer; give tokenizer=, that of the model")
    return dict(tokenizer(texts, return_tensors="pt", padding=True, truncation=True))


def _slices(whole: Any) -> list[Any]:
    tensors = flat(whole)
    if not tensors or not tensors[0].ndim:
        raise ArgumentError("data: expected batches of tensors with at least one example")
    size = len(tensors[0])
    odd = sorted({len(t) for t in tensors if t.ndim} - {size})
    if odd:
        raise ArgumentError(f"data: expected as many examples in each part, got {size} and {odd[0]}")
    return [take_rows(whole, rows, size) for rows in torch.arange(size).split(_SIZE)] if size > _SIZE else [
        map_tensors(lambda t: t, whole)
    ]  # fmt: skip


def _is_whole(data: Any) -> bool:
    """Tell whether all examples are there at once, not batch by batch."""
    if hasattr(data, "__array__") or isinstance(data, (str, Mapping)) or _is_frame(data) or _is_picture(data):
        return True
    return _is_list(data) and len(data) > 0 and all(isinstance(one, str) or _is_picture(one) for one in data)


def _is_indexed(data: Any) -> bool:
    """Tell a dataset of another library, such as Hugging Face's, by what it can do."""
    return hasattr(data, "column_names") and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _is_list(given: Any) -> bool:
    return isinstance(given, list) and len(given) > 0


def _is_frame(given: Any) -> bool:
    return hasattr(given, "columns") and hasattr(given, "to_numpy")


def _is_column(given: Any) -> bool:
    return hasattr(given, "to_numpy") and hasattr(given, "dtype") and not hasattr(given, "columns")


def _is_picture(given: Any) -> bool:
    return hasattr(given, "convert") and hasattr(given, "getbands")
