"""Makes batches of tensors of the forms in which people have data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from pnpxai.auto.conversion import Data, is_frame, is_list, is_picture
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs
from pnpxai.tensors import flat, map_tensors, take_rows

__all__ = ["Data", "batches", "column_names", "example_names"]

_SIZE = 32


def batches(data: Data, as_tensors: Callable[[Data], ModelInputs]) -> Iterable[ModelInputs]:
    """Return an iterable of batches.

    Args:
        data: what the user has.
        as_tensors: makes tensors of data that is there all at once.

    Raises:
        ArgumentError: the data has another form, or columns that are no numbers.
    """
    if isinstance(data, (DataLoader, Iterator)):
        return data
    if isinstance(data, Dataset) or _is_indexed(data) or _are_samples(data):
        return DataLoader(data, batch_size=_SIZE)
    if isinstance(data, tuple) or _is_whole(data):
        return _slices(as_tensors(data))
    if not isinstance(data, Iterable):
        raise ArgumentError(
            "data: expected a DataLoader, a Dataset, tensors, arrays, a frame, pictures, texts or an iterable of "
            f"batches, got {type(data).__name__}"
        )
    return data


def column_names(data: Data) -> tuple[str, ...]:
    """Return the names of the columns of frames, none of other data."""
    frames = [one for one in (data if isinstance(data, tuple) else (data,)) if is_frame(one)]
    return tuple(str(name) for frame in frames for name in frame.columns)


def example_names(data: Data) -> tuple[str, ...]:
    """Return the file names of a dataset's examples in their order; none of other data, or of shuffled batches."""
    if isinstance(data, DataLoader):
        return example_names(data.dataset) if isinstance(data.sampler, SequentialSampler) else ()
    names = getattr(data, "names", None)
    if isinstance(data, Dataset) and isinstance(names, list):
        return tuple(map(str, names))
    samples = getattr(data, "samples", None)  # of torchvision's folders: (path, class)
    if isinstance(data, Dataset) and isinstance(samples, list) and samples and isinstance(samples[0], tuple):
        return tuple(Path(str(sample[0])).name for sample in samples)
    pictures = [data] if is_picture(data) else data if is_list(data) and all(map(is_picture, data)) else []
    names = [Path(str(getattr(picture, "filename", ""))).name for picture in pictures]
    return tuple(names) if all(names) else ()


def _slices(whole: ModelInputs) -> list[ModelInputs]:
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


def _is_whole(data: Data) -> bool:
    """Return whether all examples are there at once, not batch by batch."""
    if hasattr(data, "__array__") or isinstance(data, (str, Mapping)) or is_frame(data) or is_picture(data):
        return True
    if hasattr(data, "toarray"):  # a sparse matrix
        return True
    return is_list(data) and all(isinstance(one, str) or is_picture(one) or _is_row(one) for one in data)


def _is_row(data: Data) -> bool:
    """Return whether a list holds the numbers of one row."""
    return is_list(data) and all(isinstance(one, (int, float)) for one in data)


def _are_samples(data: Data) -> bool:
    """Return whether a list holds pairs (example, class), not batches: the class of one example is one number."""
    return is_list(data) and all(isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], int) for one in data)


def _is_indexed(data: Data) -> bool:
    """Return whether an object has the methods of a dataset of Hugging Face."""
    return hasattr(data, "column_names") and hasattr(data, "__getitem__") and hasattr(data, "__len__")
