"""Arrays, frames, pictures and texts as tensors that a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import torch
from torch import Tensor

from pnpxai.auto.class_codes import class_codes
from pnpxai.auto.picture_scaling import GREY, PictureScaling, picture_tensor
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs, Tokenizer
from pnpxai.tables.columns import column_numbers, frame_numbers, is_numeric_column
from pnpxai.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

__all__ = ["AsTensors", "Data", "as_pictures", "index_for_each", "is_column", "is_frame", "is_list", "is_picture"]

Data: TypeAlias = Any
"""A DataLoader, a Dataset, an iterable of batches; picture files (a path, a folder, a pattern, several paths); or all
at once: a tensor, a numpy array, a pandas frame, a picture or several, texts, a mapping or a tuple of these, or a tuple
(inputs, labels). Numbers of numpy and pandas get the model's type; four dimensions of bytes are pictures, scaled to
0 ... 1."""
_WHITE = {torch.uint8: 255, torch.uint16: 65535}
"""The brightest value of pictures of whole numbers."""


@dataclass(frozen=True)
class AsTensors:
    """Converts what a user gives to tensors, inside the same structure.

    Attributes:
        tokenizer: turns texts into a mapping of ids and masks.
        scaling: how pictures are scaled for the model.
        channels: how many channels of a picture the model takes; None if it has no convolution over pictures.
        dtype: of numbers that come from numpy, pandas or pictures.
        ids: whether the model reads ids, so that rows of whole numbers stay what they are.
        table: what the columns of frames hold, where that is known; categories may then be words.
        class_names: the model's classes, whose places stand for labels that are words.
    """

    tokenizer: Tokenizer = None
    scaling: PictureScaling = PictureScaling()
    channels: int | None = None
    dtype: torch.dtype = torch.float32
    ids: bool = True
    table: Table | None = None
    class_names: tuple[str, ...] = ()

    def __call__(self, data: Data) -> ModelInputs:
        """Return tensors in the structure of the data; texts within a mapping stay what they are.

        Raises:
            ArgumentError: columns are no numbers, pictures differ in size, or texts have no tokenizer.
        """
        if isinstance(data, Tensor) or data is None:
            return data
        if is_frame(data):
            return self._of_frame(data)
        if is_column(data):
            return self._of_column(data)
        if is_picture(data):
            return self._of_pictures([data])
        if is_list(data) and all(map(is_picture, data)):
            return self._of_pictures(data)
        if _is_text(data):
            return _of_texts([data] if isinstance(data, str) else list(data), self.tokenizer)
        if isinstance(data, Mapping):
            return {name: value if _is_text(value) else self(value) for name, value in data.items()}
        if isinstance(data, tuple) and len(data) == 2 and _are_words(data[1]) and not _is_text(data[0]):
            return self(data[0]), self.labels(data[1])
        if isinstance(data, tuple) and len(data) > 1 and self.ids:
            return tuple(self._codes(one) if is_frame(one) else self(one) for one in data)
        if isinstance(data, tuple) or (is_list(data) and any(isinstance(one, Tensor) for one in data)):
            return tuple(map(self, data))
        return self._numbers(data)

    def labels(self, labels: Data) -> ModelInputs:
        """Return labels as tensors: words by their places among the model's classes, else in the alphabet.

        Raises:
            ArgumentError: a word is no class of the model.
        """
        if not _are_words(labels):
            return self(labels)
        values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
        return torch.tensor(class_codes(list(map(str, values)), self.class_names, "label"))

    def _of_frame(self, frame: pd.DataFrame) -> Tensor:
        return frame_numbers(frame).to(self.dtype) if self.table is None else self.table.numbers(frame, self.dtype)

    def _of_column(self, column: pd.Series) -> Tensor:
        if not is_numeric_column(column):
            raise ArgumentError(f"data: expected a column of numbers, got {column.name} of {column.dtype}; encode it")
        whole = getattr(column.dtype, "kind", "f") in "biu" and not bool(column.isna().any())
        values = torch.tensor(column_numbers(column))
        return values.long() if whole else values.to(self.dtype)

    def _codes(self, frame: pd.DataFrame) -> Tensor:
        """Return one of several frames: a frame of whole numbers alone holds codes that embeddings read."""
        codes = all(getattr(frame[name].dtype, "kind", "") in "iu" for name in frame.columns)
        return frame_numbers(frame).long() if codes and self.table is None else self._of_frame(frame)

    def _of_pictures(self, pictures: Sequence[Image]) -> Tensor:
        channels = self.channels if self.channels in (1, 3) else 1 if all(p.mode in GREY for p in pictures) else 3
        names = [getattr(p, "filename", "") or f"picture {k}" for k, p in enumerate(pictures)]
        tensors = [picture_tensor(p, channels, self.scaling, n) for p, n in zip(pictures, names, strict=True)]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise ArgumentError(
                f"data: expected pictures of one size, got {sorted({p.size for p in pictures})}; resize them"
            )
        return torch.stack(tensors).to(self.dtype)

    def _numbers(self, data: Data) -> Tensor:
        try:
            tensor = torch.as_tensor(_array(data))
        except (TypeError, ValueError) as problem:
            raise ArgumentError(f"data: expected numbers, got {type(data).__name__} ({problem})") from problem
        if tensor.is_complex():
            raise ArgumentError("data: expected real numbers, got complex ones; give real and imaginary parts apart")
        if tensor.dtype in _WHITE and not self.ids and (pictures := as_pictures(tensor, self.channels)) is not None:
            values = pictures.to(self.dtype) / _WHITE[tensor.dtype]
            return values if self.scaling.display is None else self.scaling.display.apply(values)
        rows = tensor.ndim == 2 and not self.ids
        return tensor.to(self.dtype) if tensor.is_floating_point() or rows else tensor


def index_for_each(target: Target, size: int) -> Tensor:
    """Return (examples, dimensions) or (examples,) indices of outputs: the same for all examples, or one for each.

    Raises:
        ArgumentError: they are no numbers.
    """
    try:
        index = torch.as_tensor(target)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise ArgumentError(
            f"target: expected the index of an output, or a function of the output, got {target!r}"
        ) from problem
    return index.expand(size, *index.shape) if index.ndim < 2 else index


def as_pictures(values: Tensor, channels: int | None) -> Tensor | None:
    """Return whole numbers as pictures (examples, channels, height, width), or None if they are no pictures.

    Colours may stand last; one picture, or grey ones, may lack an axis. Transparency is dropped where the model takes
    three channels, and grey is repeated for them.

    Args:
        values: (examples, ...) numbers, or those of one picture.
        channels: how many channels the model takes; None if it has no convolution over pictures.
    """
    if channels is None and values.ndim != 4:
        return None
    counts = {1, 3, 4, channels}
    if values.ndim == 2 or (values.ndim == 3 and not {values.shape[0], values.shape[-1]} & counts):
        values = values.unsqueeze(-3)  # grey ones
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4:
        return None
    if values.shape[-1] in counts and values.shape[1] not in counts:
        values = values.movedim(-1, 1)
    if channels == 3 and values.shape[1] in (1, 4):
        return values[:, :3].expand(-1, 3, -1, -1)
    return values


def _array(data: Data) -> np.ndarray:
    """Return an array that may be written to; NaN takes the place of masked entries."""
    if isinstance(data, np.ma.MaskedArray):
        data = np.where(data.mask, np.nan, data.data) if data.mask.any() else data.data
    array = np.asarray(data.toarray() if hasattr(data, "toarray") else data)
    return array if array.flags.writeable else array.copy()


def _of_texts(texts: list[str], tokenizer: Tokenizer) -> dict[str, Tensor]:
    if tokenizer is None:
        raise ArgumentError("data: texts need a tokenizer; give tokenizer=, that of the model")
    if getattr(tokenizer, "pad_token_id", 0) is not None:
        return dict(tokenizer(texts, return_tensors="pt", padding=True, truncation=True))
    rows = tokenizer(texts, truncation=True)["input_ids"]
    left, longest = getattr(tokenizer, "padding_side", "right") == "left", max(map(len, rows))
    fill = next((i for i in (getattr(tokenizer, f"{n}_token_id", None) for n in ("eos", "unk")) if i is not None), 0)
    gaps = [longest - len(row) for row in rows]
    ids = [[fill] * gap + row if left else row + [fill] * gap for row, gap in zip(rows, gaps, strict=True)]
    lengths = torch.tensor([len(row) for row in rows])
    masks = (torch.arange(longest) < lengths[:, None]).long()
    return {"input_ids": torch.tensor(ids), "attention_mask": masks.flip(1) if left else masks}


def _are_words(data: Data) -> bool:
    """Return whether a column, an array or a list holds words, such as the names of classes."""
    if is_column(data):
        return not is_numeric_column(data)
    if isinstance(data, np.ndarray):
        return data.ndim == 1 and data.dtype.kind in "UO" and len(data) > 0 and all(isinstance(v, str) for v in data)
    return not isinstance(data, str) and _is_text(data)


def _is_text(data: Data) -> bool:
    several = isinstance(data, (list, tuple)) and len(data) > 0
    return isinstance(data, str) or (several and all(isinstance(one, str) for one in data))


def is_list(data: object) -> TypeGuard[list[Data]]:
    """Return whether an object is a list with members."""
    return isinstance(data, list) and len(data) > 0


def is_frame(data: object) -> TypeGuard[pd.DataFrame]:
    """Return whether an object has the methods of a data frame."""
    return hasattr(data, "columns") and hasattr(data, "to_numpy")


def is_column(data: object) -> TypeGuard[pd.Series]:
    """Return whether an object has the methods of a data frame's column."""
    return hasattr(data, "to_numpy") and hasattr(data, "dtype") and not hasattr(data, "columns")


def is_picture(data: object) -> TypeGuard[Image]:
    """Return whether an object has the methods of a PIL picture."""
    return hasattr(data, "convert") and hasattr(data, "getbands")
