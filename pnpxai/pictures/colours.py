"""Turns maps and inputs into arrays of colours, for figures and PNG: red speaks for the target, blue against it."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pnpxai.pictures.look import Look
from pnpxai.pictures.view import as_array

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

__all__ = [
    "LEVELS",
    "clipped_limit",
    "colour_scale",
    "colour_of",
    "coloured",
    "inline_png",
    "largest",
    "overlaid",
    "palette",
    "pictured",
    "png",
    "shrunk",
]

LEVELS = 255
"""Number of colours from the deepest blue to the deepest red; the one in the middle stands for zero alone."""
_BAR = 24
"""Height, in pixels, of the longest bar of a map with one axis."""
_PLAIN = Look()
_GREY = (110, 110, 110, 255)


@functools.cache
def palette(cmap: str | None = None) -> np.ndarray:
    """Return the colours (LEVELS, 4) as bytes, by default from blue (against the target) over neutral to red (for it).

    Args:
        cmap: name of a colour map of matplotlib.
    """
    from matplotlib import colormaps

    return colormaps[cmap or "RdBu_r"].resampled(LEVELS)(np.arange(LEVELS), bytes=True)


def coloured(values: Tensor | np.ndarray, limit: float | None = None, look: Look = _PLAIN) -> np.ndarray:
    """Return a map as colours (height, width, 4): one pixel for each position, or bars if positions have one axis.

    Values that are not finite are transparent.

    Args:
        values: (height, width), (positions,), or either with leading axes, which are added up.
        limit: the value of the deepest colour, or of the longest bar; by default the map's largest absolute value.
        look: colours, and whether the map is drawn with its signs; without signs a colour map of one's own begins at 0.
    """
    array = look.drawn(values)
    share = _shares(array, limit)
    half = LEVELS // 2
    colours = palette(look.cmap)
    if look.cmap is not None and not look.signed:
        share = 2 * share - 1
    if array.ndim < 2:
        return _bars(share.reshape(-1), up=colours[round(1.8 * half)], down=colours[round(0.2 * half)])
    index = np.round(np.nan_to_num(share) * half).astype(int) + half
    return np.where(np.isnan(share)[..., None], np.uint8(0), colours[index])


def colour_scale(limit: float, look: Look) -> ScalarMappable:
    """Return matplotlib's scale of the colours that ``coloured`` uses, for colour bars and lines."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = palette(look.cmap) / 255
    if not look.signed and look.cmap is None:
        colours = colours[LEVELS // 2 :]
    return ScalarMappable(Normalize(-limit if look.signed else 0, limit), ListedColormap(colours))


def pictured(values: Tensor | np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Return an input as colours (height, width, 4): in colour if it has three channels, else their mean in grey.

    An input with one axis becomes grey bars.

    Args:
        values: (channels, height, width), (height, width, 3), (height, width) or (positions,).
        limits: the values that are drawn black and white; by default the picture's smallest and largest value.
    """
    array = as_array(values)
    if array.ndim < 2:
        return _bars(_shares(array.reshape(-1), None), up=np.array(_GREY), down=np.array(_GREY))
    while array.ndim > 3:
        array = array.mean(0)
    if array.ndim == 3 and (array.shape[0] == 3 or array.shape[-1] != 3):
        array = np.moveaxis(array, 0, -1) if array.shape[0] == 3 else array.mean(0)
    finite = array[np.isfinite(array)]
    low, high = limits or ((finite.min(), finite.max()) if finite.size else (0.0, 0.0))
    array = np.clip(array, low, high)
    share = (np.nan_to_num(array, nan=low, posinf=high, neginf=low) - low) / (high - low if high > low else 1.0)
    grey = np.round(255 * share).astype(np.uint8)
    colours = grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=-1)
    return np.concatenate([colours, np.full((*colours.shape[:2], 1), 255, np.uint8)], axis=-1)


def overlaid(
    values: Tensor | np.ndarray, colours: np.ndarray, limit: float | None = None, look: Look = _PLAIN
) -> np.ndarray:
    """Return a map as colours over a faded grey picture; a large absolute value hides the picture.

    Args:
        values: (height, width), or with leading axes, which are added up.
        colours: the picture (height, width, 4).
        limit: as for ``coloured``.
        look: as for ``coloured``; with an opacity, the map hides the picture by it everywhere, and the picture keeps
            its colours.
    """
    heat = coloured(values, limit, look)
    if look.alpha is None:
        grey = 128 + colours[..., :3].mean(-1, keepdims=True) / 2
        depth = np.abs(_shares(look.drawn(values), limit))[..., None]
        share = np.where(heat[..., 3:] > 0, np.clip(1.65 * np.nan_to_num(depth), 0, 1), 0)
    else:
        grey, share = colours[..., :3], np.where(heat[..., 3:] > 0, look.alpha, 0)
    mixed = np.round((1 - share) * grey + share * heat[..., :3]).astype(np.uint8)
    return np.concatenate([mixed, np.full((*mixed.shape[:2], 1), 255, np.uint8)], axis=-1)


def largest(maps: Iterable[Tensor | np.ndarray], axes: int = 2) -> float:
    """Return the largest absolute value of maps, leading axes added up: a common limit of their colours."""
    limit = 0.0
    for values in maps:
        array = as_array(values)
        array = array.sum(tuple(range(array.ndim - axes))) if array.ndim > axes else array
        limit = max(limit, float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array))))
    return limit


def clipped_limit(maps: Sequence[Tensor | np.ndarray], clip: float) -> float:
    """Return the value below which a share of the absolute values of maps lies, leading axes added up.

    It serves as the value of the deepest colour, so that one extreme entry does not set the scale. If that value is
    zero, since few entries differ from zero, the largest absolute value is returned.

    Args:
        maps: (height, width) or (positions,) each, or with leading axes.
        clip: the share, such as 0.995; with 1 it is the largest absolute value.
    """
    arrays = [as_array(values) for values in maps]
    sums = [a.sum(tuple(range(a.ndim - 2))) if a.ndim > 2 else a for a in arrays]
    sizes = np.concatenate([np.abs(a[np.isfinite(a)]) for a in sums]) if sums else np.zeros(0)
    if not sizes.size:
        return 0.0
    return float(np.quantile(sizes, clip, method="higher")) or float(sizes.max())


def colour_of(share: float) -> np.ndarray:
    """Return the colour (4,) as bytes of a value as a share of the largest, from -1 to 1."""
    return palette()[LEVELS // 2 + round(LEVELS // 2 * min(max(share, -1.0), 1.0))]


def shrunk(values: Tensor | np.ndarray, side: int, positions: int = 2) -> np.ndarray:
    """Return values whose last ``positions`` axes are at most ``side`` long, by taking means of neighbours."""
    array = as_array(values)
    longest = max(array.shape[-positions:])
    if longest <= side:
        return array
    for axis in range(-positions, 0):
        n = array.shape[axis]
        length = max(1, round(n * side / longest))
        starts = np.arange(length) * n // length
        sizes = np.diff(starts, append=n)
        array = np.add.reduceat(array, starts, axis) / sizes.reshape(-1, *[1] * (-1 - axis))
    return array


def png(colours: np.ndarray) -> bytes:
    """Return colours (height, width, 4) as PNG, each pixel kept exactly."""
    from PIL import Image

    height, width = colours.shape[:2]
    packed = np.ascontiguousarray(colours).view(np.uint32)[..., 0]
    image = Image.fromarray(colours)
    if packed.size > LEVELS:
        table, index = np.unique(packed, return_inverse=True)
        if len(table) <= 256:  # a byte for each pixel, and a table of colours
            image = Image.fromarray(index.reshape(height, width).astype(np.uint8))
            image.putpalette(table.view(np.uint8).tobytes(), "RGBA")
    if image.mode == "RGBA" and bool((colours[..., 3] == 255).all()):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def inline_png(colours: np.ndarray) -> str:
    """Return colours (height, width, 4) as a ``data:`` address for HTML."""
    return "data:image/png;base64," + base64.b64encode(png(colours)).decode()


def _shares(array: np.ndarray, limit: float | None) -> np.ndarray:
    """Return values as shares of the limit, from -1 to 1; NaN where they are not finite."""
    finite = np.where(np.isfinite(array), array, np.nan)
    largest = limit or float(np.max(np.abs(finite), initial=0.0, where=~np.isnan(finite))) or 1.0
    return np.clip(finite / largest, -1, 1)


def _bars(share: np.ndarray, up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return bars upwards and downwards from a zero line, on the neutral colour."""
    width = max(1, 128 // max(1, len(share)))
    share = np.repeat(share, width)
    level = np.arange(_BAR, -_BAR - 1, -1)[:, None]
    colours = np.tile(palette()[LEVELS // 2], (len(level), len(share), 1))
    colours[_BAR] = (190, 190, 190, 255)
    length = np.round(np.nan_to_num(share) * _BAR)
    colours[(level > 0) & (level <= length)] = up
    colours[(level < 0) & (level >= length)] = down
    if width >= 4:  # a gap between bars
        colours[np.arange(len(level)) != _BAR, width - 1 :: width] = palette()[LEVELS // 2]
    colours[:, np.isnan(share)] = 0
    return colours
