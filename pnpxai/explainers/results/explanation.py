"""What ``explain`` returns: attributions and all that belongs to them; prints, plots, saves itself, picks examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pnpxai.declare.counts import whole_number
from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.descriptions import largest, numbered_examples, of_target, short, written
from pnpxai.explainers.results.files import read, write
from pnpxai.explainers.results.gap import TOLERANCE, missed
from pnpxai.explainers.results.match_inputs import whose
from pnpxai.pictures import CLIP, Kind, View, drawing_of, figure, html
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import Tensors, map_tensors

if TYPE_CHECKING:
    import pandas as pd

    from pnpxai.pictures.plot import Plot

__all__ = ["Explanation", "counted_once"]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """An explained batch. ``explanation[k]`` is that of one example, ``for one in explanation`` goes through them.

    Attributes:
        explainer: the method's name.
        settings: its settings, as JSON has them; a long tensor by its shape.
        attributions: one tensor for each explained argument or layer.
        inputs: the explained arguments.
        targets: which output was explained, see ``pnpxai.engine.running.score.Target``.
        scores: (examples,) the model's output there.
        gap: (examples,) how far the attributions are from complete (sums of differences) or conserving (relevance,
            after biases and stabilisers took their parts); None if the method promises neither.
        seconds: how long it took.
        warnings: what was warned of meanwhile.
        sinks: (examples,) relevance that went elsewhere than to the inputs, by what took it.
        views: how each explained argument is drawn, where that is known.
        postprocessor: what pictures show instead of the sum over channels, such as what was tuned; attributions are as
            the method gave them.
        scale: (examples,) how large scores and outputs are, which a gap is compared with.
        base_value: (examples,) the score that the attributions start from, where the method knows it.
        used: (examples,) settings that were raised for some examples, by name.
        standard_error: the standard error of each attribution of what was drawn at random; None where attributions are
            exact, or their error is not known.
        degrees_of_freedom: of Student's t distribution, of which the standard errors are the scale.
        feature_mask: for each explained argument the feature of every element, -1 where it is in none; None where every
            element is a feature.
        group_values: (examples, features) the value of each feature, which ``attributions`` repeat at all its elements.
    """

    explainer: str
    settings: dict[str, Any]
    attributions: Tensors
    inputs: Tensors
    targets: Any
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

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.inputs[0].shape[0]

    def __getitem__(self, index: int | slice | Sequence[int]) -> Explanation:
        """Return the explanation of some of the examples; of one too, it is a batch."""
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
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

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
        """Return a line on the examples whose attributions miss what they should add up to by more than 1 %."""
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
        """Return it on another device, or with floating point numbers of another type (ids stay what they are)."""

        def moved(t: Tensor) -> Tensor:
            return t.to(device=device, dtype=dtype if t.is_floating_point() else None)

        return replace(self, **{f.name: map_tensors(moved, getattr(self, f.name)) for f in fields(self)})

    def plot(
        self,
        limit: int = 6,
        *,
        member: int = 0,
        kind: Kind | None = None,
        names: Sequence[Any] | Callable[[list[int]], Sequence[str]] | None = None,
        style: Any = None,
        shared: bool = False,
        clip: float = CLIP,
    ) -> Plot:
        """Return a matplotlib figure of the first examples' inputs and maps; a notebook shows it as a picture.

        Args:
            limit: at most so many examples.
            member: which of several explained arguments.
            kind: "image", "series", "tokens" or "table"; by default what ``views`` say, or told from the input: ids are
                tokens, numbers of four dimensions pictures, of three series, of two rows of a table.
            names: of columns or channels; of tokens, the words of each example, or a function that gives the words of
                ids, such as ``tokenizer.convert_ids_to_tokens``. By default what ``views`` say.
            style: pictures "beside" their maps (the default), or maps "over" their faded pictures; of tables "bars"
                (the default) or a "waterfall" that ends at the score.
            shared: one colour scale for all examples, instead of one for each.
            clip: of pictures, the share of absolute values that the colours tell apart; larger ones, which may be a
                single pixel, have the deepest colour. 1 for all.

        Raises:
            ArgumentError: there is no such member or kind, or not as many names as are needed.
        """
        maps, inputs, titles, view = self._shown(limit, member, kind, style)
        tokens = drawing_of(view, inputs.ndim, not inputs.is_floating_point()).form == "tokens"
        view = view if tokens or names is None else replace(view, names=tuple(map(str, names)))  # type: ignore[arg-type]
        return figure(
            maps, inputs, titles, view,
            word_source=names if tokens else None, style=style, shared=shared, scores=self._scores(), clip=clip,
            heading=self._heading(len(titles)),
        )  # fmt: skip

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the facts, and the first examples of every explained argument."""
        parts = [f"<pre>{escape(repr(self))}</pre>"]
        members = [self._shown(6, member, None) for member in range(len(self.attributions))]
        if len(self) > (shown := len(members[0][2])):
            parts.append(f"<p>{shown} of {len(self)} examples; plot(limit={len(self)}) draws all</p>")
        if len(members) == 1:
            return "".join([*parts, html(*members[0])])
        for k, title in enumerate(members[0][2]):  # the inputs of an example together
            for maps, inputs, _, view in members:
                own = slice(k, k + 1)
                parts.append(html(maps[own], inputs[own], [title], view.take([k])))
                title = ""
        return "".join(parts)

    def _shown(
        self, limit: int, member: int, kind: Kind | None, style: Any = None
    ) -> tuple[Tensor, Tensor, list[str], View]:
        """Return what is drawn of a member: maps, inputs, titles, the view."""
        limit = whole_number("limit", limit)
        if member not in range(len(self.attributions)):
            raise ArgumentError(f"member: expected 0 to {len(self.attributions) - 1}, got {member!r}")
        own = whose(self.attributions, self.inputs)[member]
        view = self.views[own] if own < len(self.views) else View()
        scores = self._scores()
        titles = [
            f"#{k}  {of_target(self[k].targets, view.classes)}score {float(scores[k]):.3g}"
            for k in range(min(limit, len(self)))
        ]
        maps = self.attributions[member]
        if style == "waterfall" and self.feature_mask is not None:
            maps = counted_once(self.attributions, self.feature_mask)[member]
        if self.postprocessor is not None:
            maps = self.postprocessor.of(own)(maps)
        return maps, self.inputs[own], titles, view if kind is None else replace(view, kind=kind)

    def _heading(self, shown: int) -> str:
        """Return the explainer's name, and how many examples a figure leaves out."""
        left_out = f", {shown} of {len(self)} examples: limit={len(self)} draws all" if shown < len(self) else ""
        return f"{self.explainer}{left_out}"

    def _scores(self) -> Tensor:
        return self.scores.expand(len(self)) if len(self.scores) == 1 else self.scores

    @classmethod
    def joined(cls, parts: Sequence[Explanation]) -> Explanation:
        """Return one explanation of the examples of several, made by the same explainer batch after batch."""
        first = parts[0]
        if len(parts) == 1:
            return first
        joined: dict[str, Any] = {name: _joined([getattr(p, name) for p in parts]) for name in _BY_EXAMPLE}
        if first.feature_mask is not None:  # what fills up shorter batches is in no feature
            masks = [None if p.feature_mask is None else tuple(ids + 1 for ids in p.feature_mask) for p in parts]
            joined["feature_mask"] = tuple(ids - 1 for ids in _joined(masks))
        seconds = sum(p.seconds for p in parts)
        joined["views"] = tuple(View.joined(views) for views in zip(*(p.views for p in parts), strict=True))
        told = tuple({w: 0 for p in parts for w in p.warnings})
        return replace(first, **joined, seconds=seconds, warnings=told)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each example and one column for each column of the table, with target and score.

        Raises:
            ArgumentError: what is explained is no table.
        """
        import pandas as pd

        parts: dict[str, Any] = {}
        for member, maps in enumerate(self.attributions):
            own = whose(self.attributions, self.inputs)[member]
            view = self.views[own] if own < len(self.views) else View()
            x = self.inputs[own]
            if drawing_of(view, x.ndim, not x.is_floating_point()).form != "table":
                raise ArgumentError("to_frame: expected tables; other maps are in attributions")
            columns = maps.reshape(len(self), x[0].numel(), -1).sum(2).cpu()
            names = view.names if len(view.names) == columns.shape[1] else ()
            for k in range(columns.shape[1]):
                name = names[k] if names else f"column {k}" if len(self.attributions) == 1 else f"input {member}, {k}"
                parts[name if name not in parts else f"{name} (input {member})"] = columns[:, k].numpy()
        targets = self.targets.tolist() if isinstance(self.targets, Tensor) else None
        if isinstance(targets, list) and len(targets) == len(self):
            classes = self.views[0].classes if self.views else ()
            parts["target"] = [classes[t] if isinstance(t, int) and 0 <= t < len(classes) else t for t in targets]
        return pd.DataFrame(parts | {"score": self._scores().cpu().numpy()})

    def save(self, folder: str | Path) -> Path:
        """Write ``tensors.safetensors`` and ``explanation.json`` into a folder, each complete or not at all.

        A target that is a function is written by its name alone.
        """
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        made = None if self.postprocessor is None else self.postprocessor.to_dict()
        return write(Path(folder), parts | {"views": [view.to_dict() for view in self.views], "postprocessor": made})

    @classmethod
    def load(cls, folder: str | Path) -> Explanation:
        """Read what ``save`` wrote; nothing in it is executed.

        Raises:
            ArgumentError: the folder holds no explanation, or a damaged one.
        """
        parts = read(Path(folder))
        needed = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        if not needed <= parts.keys() <= {f.name for f in fields(cls)}:
            raise ArgumentError(f"folder: {folder} holds other parts than an explanation has: {sorted(parts)}")
        parts["views"] = tuple(map(View.from_dict, parts.get("views", ())))
        made = parts.get("postprocessor")
        parts["postprocessor"] = None if made is None else PostProcessor.from_dict(made)
        return cls(**parts)

    def _rows(self, value: Any, rows: Tensor) -> Any:
        if isinstance(value, list):
            return [value[row] for row in rows.tolist()]
        return map_tensors(lambda t: t[rows.to(t.device)] if t.shape[:1] == (len(self),) else t, value)


_BY_EXAMPLE = (
    "attributions", "inputs", "targets", "scores", "gap", "sinks", "scale", "base_value", "used", "standard_error",
    "group_values",
)  # fmt: skip
_OF_ALL = ("explainer", "settings", "seconds", "warnings", "views", "postprocessor")


def counted_once(attributions: Tensors, feature_mask: Tensors) -> Tensors:
    """Return attributions in which the value of a feature stands at its first element alone, so that sums are right."""
    sizes = [a[:1].numel() for a in attributions]
    flat_masks = torch.cat([ids.reshape(len(ids), -1).cpu() for ids in feature_mask], 1)
    first = torch.zeros_like(flat_masks, dtype=torch.bool)
    for row, ids in zip(first, flat_masks, strict=True):
        labels, where = torch.unique(ids, return_inverse=True)
        places = torch.full((len(labels),), len(ids)).scatter_reduce_(0, where, torch.arange(len(ids)), "amin")
        row[places[labels >= 0]] = True
    return tuple(
        torch.where(own.reshape(len(own), *a.shape[1:]).to(a.device), a, torch.zeros_like(a))
        for own, a in zip(first.split(sizes, 1), attributions, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def _cat(parts: Sequence[Tensor]) -> Tensor:
    """Return batches as one; shorter ones (texts) get zeros at their ends."""
    longest = [max(sides) for sides in zip(*(part.shape[1:] for part in parts), strict=True)]
    gaps = [
        [gap for side, own in zip(longest[::-1], part.shape[:0:-1], strict=True) for gap in (0, side - own)]
        for part in parts
    ]
    return torch.cat(
        [torch.nn.functional.pad(part, gap) if any(gap) else part for part, gap in zip(parts, gaps, strict=True)]
    )


def _joined(values: Sequence[Any]) -> Any:
    """Return the values of several batches as those of one."""
    first = values[0]
    if isinstance(first, Tensor):
        return _cat(values)
    if isinstance(first, list):
        return [member for value in values for member in value]
    if isinstance(first, dict):
        return {key: _cat([value[key] for value in values]) for key in first}
    if isinstance(first, tuple) and all(isinstance(member, Tensor) for member in first):
        return tuple(map(_cat, zip(*values, strict=True)))
    if any(value != first for value in values):
        raise ArgumentError(f"targets: expected the same for all batches, or one for each example, got {list(values)}")
    return first
