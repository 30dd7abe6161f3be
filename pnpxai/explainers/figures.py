"""Figures of explained examples: pictures, series, words, rows of tables; red speaks for the target, blue against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.pictures import LEVELS, coloured, palette, panel

__all__ = ["Kind", "figure"]

Kind: TypeAlias = Literal["image", "series", "tokens", "table"]
_LINE = 88
"""Characters in a line of words."""
_ROWS = 16
"""Most columns of a table that are shown, those with the largest attributions."""


def figure(maps: Tensor, inputs: Tensor, titles: Sequence[str], kind: Kind | None, names: Any) -> Any:
    """Return a matplotlib figure with one part for each title, see ``Explanation.plot``."""
    from matplotlib.figure import Figure

    kind = kind or _kind(inputs)
    pairs = [(_array(a), _array(x)) for a, x in zip(maps[: len(titles)], inputs, strict=False)]
    if kind == "image":
        return panel([_channels_first(a) for a, _ in pairs], titles, [_channels_first(x) for _, x in pairs])
    if not all(_fits(kind, a, x) for a, x in pairs):  # values of a layer that keeps no positions
        return panel([a for a, _ in pairs], titles)
    draw, heights = _DRAWN[kind], [_height(kind, x, names, k) for k, (_, x) in enumerate(pairs)]
    made = Figure(figsize=(7.5, sum(heights)), layout="constrained")
    grid = made.subplots(len(pairs), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flatten()
    for k, (axes, (values, x), title) in enumerate(zip(grid, pairs, titles, strict=True)):
        draw(axes, values, x, _names(names, k, x, kind))
        axes.set_title(title, fontsize=9, loc="left")
    return made


def _kind(inputs: Tensor) -> Kind:
    if not inputs.is_floating_point():
        return "tokens"
    return {2: "table", 3: "series"}.get(inputs.ndim, "image")  # type: ignore[return-value]


def _fits(kind: str, values: np.ndarray, x: np.ndarray) -> bool:
    return values.shape[-1:] == x.shape[-1:] if kind == "series" else values.shape[:1] == x.shape[:1]


def _series(axes: Any, values: np.ndarray, x: np.ndarray, names: Sequence[str] | None) -> None:
    """Draw each channel as a line on the colours of its attributions."""
    values, x = np.atleast_2d(values), np.atleast_2d(x)
    channels, length = x.shape
    axes.imshow(coloured(values), aspect="auto", extent=(-0.5, length - 0.5, channels, 0), interpolation="nearest")
    for k, line in enumerate(x):
        low, high = float(line.min()), float(line.max())
        share = (line - low) / (high - low) if high > low else np.full(length, 0.5)
        axes.plot(np.arange(length), k + 0.9 - 0.8 * share, color="black", linewidth=1)
    axes.set_yticks(np.arange(channels) + 0.5, names or [str(k) for k in range(channels)], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(-0.5, length - 0.5)


def _tokens(axes: Any, values: np.ndarray, x: np.ndarray, names: Sequence[str] | None) -> None:
    """Draw words on the colours of their attributions, in lines."""
    words = names or [str(int(token)) for token in x]
    totals = values.reshape(len(words), -1).sum(1)
    limit = float(np.abs(totals).max()) or 1.0
    line = column = 0
    for word, total in zip(words, totals, strict=True):
        if column and column + len(word) > _LINE:
            line, column = line + 1, 0
        colour = palette()[LEVELS // 2 + round(LEVELS // 2 * float(total) / limit)] / 255
        axes.text(
            column, -line, word.replace("$", r"\$"), family="monospace", fontsize=9, va="center",
            color="white" if colour[:3].mean() < 0.5 else "black",
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 2},
        )  # fmt: skip
        column += len(word) + 1
    axes.set_xlim(-0.5, _LINE + 4)
    axes.set_ylim(-line - 0.7, 0.7)
    axes.set_axis_off()


def _table(axes: Any, values: np.ndarray, x: np.ndarray, names: Sequence[str] | None) -> None:
    """Draw a bar for each column, the largest first."""
    values = values.reshape(len(x), -1).sum(1)
    order = np.argsort(-np.abs(values), kind="stable")[:_ROWS]
    for_it, against = palette()[round(0.9 * LEVELS)] / 255, palette()[round(0.1 * LEVELS)] / 255
    axes.barh(np.arange(len(order)), values[order], color=[for_it if values[k] > 0 else against for k in order])
    labels = [f"{names[k] if names else f'column {k}'} = {x[k]:.3g}" for k in order]
    axes.set_yticks(np.arange(len(order)), labels, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


_DRAWN: dict[str, Callable[..., None]] = {"series": _series, "tokens": _tokens, "table": _table}


def _height(kind: str, x: np.ndarray, names: Any, k: int) -> float:
    """Return inches."""
    if kind == "series":
        return 0.7 + 0.5 * min(len(np.atleast_2d(x)), 12)
    if kind == "table":
        return 0.7 + 0.22 * min(len(x), _ROWS)
    words = _names(names, k, x, kind) or [str(int(token)) for token in x]
    return 0.5 + 0.28 * (1 + sum(len(word) + 1 for word in words) // _LINE)


def _names(names: Any, k: int, x: np.ndarray, kind: str) -> Sequence[str] | None:
    if names is None:
        return None
    given: Any = names([int(token) for token in x]) if callable(names) else names[k] if kind == "tokens" else names
    found = list(given)
    wanted = len(np.atleast_2d(x)) if kind == "series" else len(x)
    if len(found) != wanted:
        raise ArgumentError(f"names: expected {wanted} for example {k}, got {len(found)}")
    return [str(name) for name in found]


def _channels_first(values: np.ndarray) -> np.ndarray:
    last = values.ndim == 3 and values.shape[-1] in (1, 3) and values.shape[0] not in (1, 3)
    return np.moveaxis(values, -1, 0) if last else values


def _array(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()
