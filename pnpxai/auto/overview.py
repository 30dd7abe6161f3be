"""One picture at a glance: the likeliest classes in columns, a few explainers in rows, the most faithful first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pnpxai.auto.conversion import Data
from pnpxai.auto.explanation import AutoExplanation
from pnpxai.auto.named_models import is_named, named_model
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import select_output
from pnpxai.engine.speed.output_memory import OutputMemory
from pnpxai.engine.speed.row_cache import RowMemory, remembering
from pnpxai.errors import ArgumentError
from pnpxai.examples import Batch
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.explain import explain as explained
from pnpxai.metrics.faithfulness.removal import probability
from pnpxai.metrics.selection import as_explainer, as_metric
from pnpxai.modalities.image import ImageModality
from pnpxai.model_types import Model
from pnpxai.pictures import CLIP, View
from pnpxai.pictures.overview import Row, overview
from pnpxai.recommender.dry_runs import outside_law, smallest
from pnpxai.strategies.feature_masks import Patches
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import take_rows

if TYPE_CHECKING:
    from pnpxai.pictures.plot import Plot

__all__ = ["Overview", "explain", "overview_of"]

_GRADIENT = 3
"""Forward passes that a forward and a backward pass together take."""
_PATCHES = 14
"""Patches along the shorter side that faithfulness removes."""


@dataclass(frozen=True)
class _Amount:
    """How much an overview shows, and what it may cost.

    Attributes:
        classes: number of classes.
        explainers: number of explainers.
        passes: forward passes that one explainer may take for one class.
        steps: points of a curve of faithfulness.
    """

    classes: int
    explainers: int
    passes: int
    steps: int


_FULL, _QUICK = _Amount(3, 5, 100, 5), _Amount(1, 3, 40, 4)


@dataclass(frozen=True, eq=False)
class Overview:
    """A picture, its likeliest classes, and what several explainers say of them, the most faithful first.

    Attributes:
        name: the picture's file, empty if it has none.
        classes: the classes, the likeliest first.
        probabilities: the probability of each.
        rows: one for each explainer: its name, its faithfulness to the first class, seconds, a map for each class.
        left_out: explainers that were tried and left out, with the reason.
        picture: (channels, height, width) what the model got.
        view: how it is drawn.
        seconds: how long all took.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    rows: tuple[Row, ...]
    left_out: dict[str, str]
    picture: Tensor
    view: View = field(repr=False)
    seconds: float

    def plot(self, *, clip: float = CLIP) -> Plot:
        """Return one matplotlib figure; a notebook shows it as a picture.

        Args:
            clip: the share of a map's absolute values that its colours tell apart.
        """
        columns = [f"{name}\n{share:.0%}" for name, share in zip(self.classes, self.probabilities, strict=True)]
        return overview(self.picture, self.rows, columns, self.view, title=self.name, clip=clip)

    def save(self, path: str | Path) -> Path:
        """Write the figure as a PNG file."""
        path = Path(path)
        self.plot().savefig(path, dpi=120)
        return path

    def to_dict(self) -> dict[str, object]:
        """Return all but the maps, ready for JSON."""
        classes = [{"name": n, "probability": p} for n, p in zip(self.classes, self.probabilities, strict=True)]
        rows = [{"explainer": r.name, "faithfulness": r.faithfulness, "seconds": r.seconds} for r in self.rows]
        return {"name": self.name, "classes": classes, "explainers": rows, "left_out": self.left_out}

    def _repr_html_(self) -> str:
        return self.plot().as_html(f"{self.name or 'a picture'}: {', '.join(self.classes)}")

    def __str__(self) -> str:
        classes = ", ".join(f"{n} {p:.0%}" for n, p in zip(self.classes, self.probabilities, strict=True))
        lines = [f"{self.name or 'picture'}: {classes}"]
        width = max(map(len, [row.name for row in self.rows]), default=0)
        lines += [f"  {row.name:{width}}  {row.verdict:19}  {row.seconds:.1f} s" for row in self.rows]
        lines += [f"  {name:{width}}  left out: {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)


def explain(data: Data, model: Model | str, *, quick: bool = False, number: int = 0, **facts: Any) -> Overview:
    """Explain a picture at a glance: its three likeliest classes by five explainers, the most faithful first.

    Explainers are of several families and cheap; one is shown if it explained the picture within its law. They are
    ordered by their faithfulness (``AbPC`` over patches) to the likeliest class.

    Args:
        data: a picture in any form that ``AutoExplanation`` takes: a file, an array, a tensor.
        model: the model, or a name that torchvision, timm or the extra ``demo`` knows, such as "resnet50"; its weights
            are those that the library has stored, and its pictures are scaled as these were trained.
        quick: one class and three explainers.
        number: which picture.
        **facts: further arguments of ``AutoExplanation``, such as ``display=`` the transform of training and
            ``class_names=``.

    Raises:
        ArgumentError: the data is no picture, the model no classifier, or there are no weights under its name.
    """
    if isinstance(model, Path) or (isinstance(model, str) and not is_named(model)):
        raise ArgumentError(f"model: expected a model or a library's name of one, got {str(model)!r}")
    if isinstance(model, str):
        named = named_model(model)
        named.require_weights("give the model itself, with its weights, in place of its name")
        model, facts = named.model, {"display": named.transform, "class_names": named.class_names} | facts
    return overview_of(AutoExplanation(model, data, **facts), quick=quick, number=number)


def overview_of(auto: AutoExplanation, *, quick: bool = False, number: int = 0) -> Overview:
    """Return what ``explain`` returns, of a model on data.

    Raises:
        ArgumentError: see ``explain``.
    """
    start = time.perf_counter()
    if not isinstance(auto.modality, ImageModality):
        raise ArgumentError(
            f"data: expected pictures, got {auto.modality.name}; auto_explain(model, data) takes any data"
        )
    examples = auto.examples(whole_number("number", number, 0) + 1)
    (batch,) = examples.take([number])
    amount = _QUICK if quick else _FULL
    numbers, shares = _likeliest(auto, batch, amount.classes)
    tries = _Tries(auto, batch, numbers, amount)
    shown = list(tries.shown())
    values = _faithfulness(auto, batch, numbers[0], [maps[0] for _, maps, _ in shown], amount.steps)
    rows = [
        Row(cls.__name__, tuple(maps), value, seconds, cls.drawn_signed)
        for (cls, maps, seconds), value in zip(shown, values, strict=True)
    ]
    rows.sort(key=lambda row: -row.faithfulness if row.faithfulness == row.faithfulness else float("inf"))
    explained_inputs = auto.arguments_of(batch).explained
    (view,) = auto.modality.views(explained_inputs, auto.class_names)
    return Overview(
        name=next(iter(auto.names([number])), ""),
        classes=tuple(auto.class_names[k] if k < len(auto.class_names) else f"class {k}" for k in numbers),
        probabilities=tuple(shares),
        rows=tuple(rows),
        left_out=tries.left_out,
        picture=explained_inputs[0][0].detach(),
        view=view,
        seconds=time.perf_counter() - start,
    )


def _likeliest(auto: AutoExplanation, batch: Batch, count: int) -> tuple[list[int], list[float]]:
    """Return the largest outputs of the first example, and their probabilities.

    Raises:
        ArgumentError: the model does not give one number for each class.
    """
    call = auto.arguments_of(batch).call()
    with borrowed(auto.model, gradients=False), torch.no_grad():
        output = select_output(auto.model(*call.args, **call.kwargs))
    if output.ndim != 2:
        raise ArgumentError(
            f"model: expected (pictures, classes), got {tuple(output.shape)}; auto_explain asks for others"
        )
    shares, numbers = probability(output)[0].topk(min(count, output.shape[1]))
    return numbers.tolist(), shares.tolist()


class _Tries:
    """Explainers, tried one after the other until enough of them explained the picture within their law."""

    def __init__(self, auto: AutoExplanation, batch: Batch, numbers: Sequence[int], amount: _Amount) -> None:
        self.auto, self.batch, self.numbers, self.amount = auto, batch, numbers, amount
        self.left_out: dict[str, str] = {}
        self._pool = PostProcessor.on(auto.traits)
        module = auto.model
        self._remembering = OutputMemory(module) if isinstance(module, nn.Module) else module

    def shown(self) -> Iterator[tuple[type[Explainer], list[Tensor], float]]:
        """Yield explainers, a map (height, width) for each class, and seconds."""
        count = 0
        for cls in in_turn(self.auto.stated.explainers):
            if count == self.amount.explainers:
                return
            start = time.perf_counter()
            try:
                explainer = self._configured(cls)
                maps = [] if explainer is None else [self._map(explainer, number) for number in self.numbers]
            except Exception as problem:  # whatever it is, it is why the explainer is not shown
                self.left_out[cls.__name__] = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
                continue
            if maps:
                count += 1
                yield cls, maps, time.perf_counter() - start

    def _configured(self, cls: type[Explainer]) -> Explainer | None:
        """Return the explainer, with its smallest settings if the defaults cost too much; None if these do too."""
        model = self.auto.model if cls.needs_gradient or cls.needs_module else self._remembering
        explainer = as_explainer(cls, model, self.auto.settings)
        for one in (explainer, smallest(explainer)):
            if one.cost(self.batch.inputs) * (_GRADIENT if cls.needs_gradient else 1) <= self.amount.passes:
                return one
        return None

    def _map(self, explainer: Explainer, number: int) -> Tensor:
        explanation = explained(explainer, self.batch.inputs, [number], 0, narrowed=False)
        if broken := outside_law(explainer, explanation):
            raise ArgumentError(broken)
        return self._pool(explanation.attributions[0])[0].detach()


def in_turn(explainers: Sequence[type[Explainer]]) -> list[type[Explainer]]:
    """Return explainers whose maps depend on the class, one of each family after the other.

    Of each family come first those to start with.
    """
    taken: dict[str, int] = {}
    turns: list[tuple[int, int, str, type[Explainer]]] = []
    depending = [cls for cls in explainers if cls.explains_target]
    for cls in sorted(depending, key=lambda cls: (_place(cls), cls.__name__)):
        family = cls.__module__.rpartition(".")[0]
        turns.append((taken.get(family, 0), _place(cls), cls.__name__, cls))
        taken[family] = taken.get(family, 0) + 1
    return [cls for *_, cls in sorted(turns, key=lambda turn: turn[:3])]


def _place(cls: type[Explainer]) -> int:
    return 99 if cls.first_choice is None else cls.first_choice


def _faithfulness(auto: AutoExplanation, batch: Batch, number: int, maps: Sequence[Tensor], steps: int) -> list[float]:
    """Return how faithful maps of one class are, judged in one run, whose rows run once each."""
    if not maps:
        return []
    first = torch.stack(list(maps))[:, None]
    patches = Patches(size=max(min(first.shape[-2:]) // _PATCHES, 1))
    metric = as_metric("AbPC", auto.model, auto.settings)
    rows = take_rows(batch.inputs, torch.zeros(len(first), dtype=torch.long), 1)
    with remembering(RowMemory()):
        return (
            metric.replace(n_steps=steps, feature_mask_fn=patches).evaluate(rows, [number] * len(first), first).tolist()
        )
