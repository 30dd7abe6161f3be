"""Holds what ``explain`` returns: attributions and all that belongs to them. It prints, draws and saves itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.batches import joined_values, same_values
from pnpxai.explainers.results.descriptions import largest, numbered_examples, short, written
from pnpxai.explainers.results.drawing import heading, html_of, parts_of
from pnpxai.explainers.results.files import read, write
from pnpxai.explainers.results.frame import frame_of
from pnpxai.explainers.results.gap import TOLERANCE, missed
from pnpxai.pictures import CLIP, Kind, Look, Style, View, drawing_of, figure
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.targets import TargetValue
from pnpxai.tensors import Tensors, map_tensors

if TYPE_CHECKING:
    import pandas as pd

    from pnpxai.pictures.plot import Plot

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Holds the explanation of a batch. ``explanation[k]`` is that of one example; a loop goes through the examples.

    Attributes:
        explainer: name of the explainer.
        settings: its settings as JSON values; a long tensor is described by its shape.
        attributions: one tensor for each explained argument or layer.
        inputs: the explained arguments.
        targets: the outputs that were explained, see ``pnpxai.engine.running.score.Target``.
        scores: (examples,) the model's output at the target.
        gap: (examples,) how far the attributions are from complete (sums of differences) or conserving (relevance,
            after biases and stabilisers took their parts); None if the method promises neither.
        seconds: time that the explanation took.
        warnings: texts of the warnings that were issued meanwhile.
        sinks: (examples,) relevance that did not reach the inputs, by the name of what took it.
        views: how each explained argument is drawn, where that is known.
        postprocessor: post-processing that pictures use instead of the sum over channels, such as a tuned one;
            ``attributions`` are as the method returned them.
        scale: (examples,) size of the scores and outputs, with which a gap is compared.
        base_value: (examples,) the score that the attributions start from, where the method knows it.
        used: (examples,) values of the settings that were raised for some examples, by name.
        standard_error: standard error of each attribution of a method that draws at random; None where attributions
            are exact, or their error is unknown.
        degrees_of_freedom: those of Student's t distribution, whose scale the standard errors are.
        feature_mask: for each explained argument the feature of every element, -1 where an element is in none; None
            where every element is a feature.
        group_values: (examples, features) value of each feature; ``attributions`` repeat it at all its elements.
        signed: False if pictures of the maps usually show their positive part alone.
    """

    explainer: str
    settings: dict[str, object]
    attributions: Tensors
    inputs: Tensors
    targets: Target
    scores: Tensor
    gap: Tensor | None
    seconds: float
    warnings: tuple[str, ...] = ()
    sinks: dict[str, Tensor] = field(default_factory=dict)
    views: tuple[View, ...] = ()
    postprocessor: PostProcessor | None = None
    scale: Tensor | None = None
    base_value: Tensor | None = None
    used: dict[str, Tensor] = field(default_factory=dict)
    standard_error: Tensors | None = None
    degrees_of_freedom: int | None = None
    feature_mask: Tensors | None = None
    group_values: Tensor | None = None
    signed: bool = True

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.inputs[0].shape[0]

    def __getitem__(self, index: int | slice | Sequence[int]) -> Explanation:
        """Return the explanation of some of the examples, which is a batch also where one is chosen."""
        chosen_by = index.cpu().numpy() if isinstance(index, Tensor) else index
        rows = torch.from_numpy(np.arange(len(self))[chosen_by].reshape(-1))
        chosen = {f.name: self._rows(getattr(self, f.name), rows) for f in fields(self) if f.name not in _OF_ALL}
        chosen["views"] = tuple(view.take(rows.tolist()) for view in self.views)
        return replace(self, **chosen)

    def __iter__(self) -> Iterator[Explanation]:
        return (self[k] for k in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Explanation):
            return NotImplemented
        return all(same_values(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __repr__(self) -> str:
        lines = [
            *self._misses(),
            f"{self.explainer}({', '.join(f'{name}={written(value)}' for name, value in self.settings.items())})",
            f"  attributions  {', '.join(str(tuple(a.shape)) for a in self.attributions)}",
            f"  targets       {short(self.targets)}",
            f"  scores        {short(self.scores)}",
        ]
        if self.gap is not None:
            share = float(missed(self.gap, self.scale).max()) if self.scale is not None else 0.0
            of_scale = f", {share:.2g} of the score's scale" if share else ""
            lines.append(f"  gap           at most {largest(self.gap)}{of_scale}")
        lines += [f"  {name:<12}  {short(numbers)}" for name, numbers in self.used.items()]
        if self.base_value is not None:
            lines.append(f"  base value    {short(self.base_value)}")
        if self.sinks:
            lines.append(f"  sinks         {', '.join(f'{n} at most {largest(s)}' for n, s in self.sinks.items())}")
        lines.append(f"  time          {self.seconds:.3g} s")
        return "\n".join([*lines, *(f"  warning       {warning}" for warning in self.warnings)])

    def _misses(self) -> list[str]:
        """Return a line that names the examples whose attributions miss their sum by more than 1 %."""
        if self.gap is None or self.scale is None:
            return []
        shares = missed(self.gap, self.scale)
        if not bool((over := shares > TOLERANCE).any()):
            return []
        return [
            f"gap: {numbered_examples(over)} of {len(self)} miss what {self.explainer} should add up to by more than "
            f"{TOLERANCE:.0%} of the score's scale (at most {float(shares.max()):.2g})"
        ]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Explanation:
        """Return the explanation on another device, or with another floating point dtype. Ids keep their dtype."""

        def moved(t: Tensor) -> Tensor:
            return t.to(device=device, dtype=dtype if t.is_floating_point() else None)

        return replace(self, **{f.name: map_tensors(moved, getattr(self, f.name)) for f in fields(self)})

    def plot(
        self,
        limit: int = 6,
        *,
        member: int = 0,
        kind: Kind | None = None,
        names: Sequence[str] | Sequence[Sequence[str]] | Callable[[list[int]], Sequence[str]] | None = None,
        style: Style | None = None,
        shared: bool = False,
        clip: float = CLIP,
        signed: bool | None = None,
        alpha: float | None = None,
        cmap: str | None = None,
        colour_bar: bool = False,
    ) -> Plot:
        """Return a matplotlib figure of the first examples' inputs and maps; a notebook shows it as a picture.

        Args:
            limit: at most so many examples.
            member: number of the explained argument that is drawn.
            kind: "image", "series", "tokens" or "table"; by default as ``views`` say, else ids are tokens, and
                inputs of four dimensions are pictures, of three series, of two rows of a table.
            names: names of columns or channels. For tokens, the words of each example, or a function from ids to words,
                such as ``tokenizer.convert_ids_to_tokens``. By default as ``views`` say.
            style: for pictures "beside" (the default), "over", which draws the map over the faded picture, or
                "contour", lines around its strongest parts; for tables "bars" (the default) or a "waterfall" that ends
                at the score.
            shared: use one colour scale for all examples, instead of one for each.
            clip: share of a picture's absolute values within the colour scale; larger values, often those of a few
                pixels, all have the deepest colour. 1 puts all values within the scale.
            signed: of pictures, draw what speaks against the target too; by default the positive part alone where that
                is how the method's maps are usually read, as of class activation maps.
            alpha: of style "over", the opacity of the map, from 0 to 1; by default large values hide the picture.
            cmap: of pictures, the name of a colour map of matplotlib.
            colour_bar: of pictures, draw a scale with numbers beside each map.

        Raises:
            ArgumentError: the member or kind does not exist, the number of names is wrong, or the style, share, opacity
                or colour map is unknown.
        """
        signed = self.signed if signed is None else signed
        look = Look(style, clip, signed, alpha, cmap, colour_bar)
        maps, inputs, titles, view = parts_of(self, limit, member, kind, style)
        tokens = drawing_of(view, inputs.ndim, not inputs.is_floating_point()).form == "tokens"
        if names is not None and not tokens:
            if callable(names):
                raise ArgumentError("names: expected a list of names, got a function, which only tokens take")
            view = replace(view, names=tuple(map(str, names)))
        return figure(
            maps, inputs, titles, view,
            word_source=names if tokens else None, look=look, shared=shared, scores=self.scores.expand(len(self)),
            heading=heading(self, len(titles)),
        )  # fmt: skip

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows: the facts, and the first examples of every explained argument."""
        return html_of(self)

    @classmethod
    def joined(cls, parts: Sequence[Explanation]) -> Explanation:
        """Return the explanations of several batches, all made by the same explainer, as one."""
        first = parts[0]
        if len(parts) == 1:
            return first
        joined: dict[str, object] = {name: joined_values([getattr(p, name) for p in parts]) for name in _BY_EXAMPLE}
        if first.feature_mask is not None:  # the padding of shorter batches belongs to no feature: -1
            masks = [None if p.feature_mask is None else tuple(ids + 1 for ids in p.feature_mask) for p in parts]
            joined["feature_mask"] = tuple(ids - 1 for ids in joined_values(masks))
        seconds = sum(p.seconds for p in parts)
        joined["views"] = tuple(View.joined(views) for views in zip(*(p.views for p in parts), strict=True))
        warned = tuple({w: 0 for p in parts for w in p.warnings})
        return replace(first, **joined, seconds=seconds, warnings=warned)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each example and one column for each column of the table, with target and score.

        Raises:
            ArgumentError: what is explained is not a table.
        """
        return frame_of(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``tensors.safetensors`` and ``explanation.json`` into a folder, each complete or not at all.

        A target that is a function is written by its name alone.
        """
        parts: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        made = None if self.postprocessor is None else self.postprocessor.to_dict()
        return write(Path(folder), parts | {"views": [view.to_dict() for view in self.views], "postprocessor": made})

    @classmethod
    def load(cls, folder: str | Path) -> Explanation:
        """Read a folder that ``save`` wrote. Nothing in it is executed.

        Raises:
            ArgumentError: the folder does not hold an explanation, or the explanation is damaged.
        """
        parts = read(Path(folder))
        needed = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        if not needed <= parts.keys() <= {f.name for f in fields(cls)}:
            raise ArgumentError(f"folder: {folder} holds other parts than an explanation has: {sorted(parts)}")
        try:
            parts["views"] = tuple(map(View.from_dict, parts.get("views", ())))
            made = parts.get("postprocessor")
            parts["postprocessor"] = None if made is None else PostProcessor.from_dict(made)
            return cls(**parts)
        except ArgumentError:
            raise
        except (LookupError, ValueError, AttributeError, TypeError) as problem:
            raise ArgumentError(
                f"folder: {folder} holds another explanation than save writes ({problem!r})"
            ) from problem

    def _rows(self, value: object, rows: Tensor) -> object:
        if isinstance(value, list):
            return [value[row] for row in rows.tolist()]
        if isinstance(value, TargetValue):
            return value.take(rows)
        return map_tensors(lambda t: t[rows.to(t.device)] if t.shape[:1] == (len(self),) else t, value)


_BY_EXAMPLE = (
    "attributions", "inputs", "targets", "scores", "gap", "sinks", "scale", "base_value", "used", "standard_error",
    "group_values",
)  # fmt: skip
_OF_ALL = ("explainer", "settings", "seconds", "warnings", "views", "postprocessor", "signed")
