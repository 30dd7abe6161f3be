"""Every metric on every kind of data: numbers where it is defined, and elsewhere an error that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pnpxai.declare.registry import every
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.base import Metric
from pnpxai.strategies.baselines import EachBaseline, Zeros
from pnpxai.strategies.token_baselines import Pad
from pnpxai.tensors import as_tuple
from tests.metrics.test_contracts import settings

METRICS = every(Metric, within="pnpxai.")
PLANTED = [m for m in METRICS if m.category in ("faithfulness", "localisation")]
ROBUST = [m.__name__ for m in METRICS if m.category == "robustness"]
SIZE = 24


class Evidence(nn.Module):
    """Adds up what a few places of each input say for the second of two classes, with a slight bend."""

    def __init__(self, *weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.ParameterList(w + 1e-3 * torch.linspace(-1, 1, w.numel()).reshape_as(w) for w in weights)

    def forward(self, *inputs: Tensor) -> Tensor:
        parts = [(x * w).flatten(1).sum(1) for x, w in zip(inputs, self.weights, strict=True)]
        found = torch.stack(parts).sum(0)
        return torch.stack([-found, found + 0.01 * found**2], 1)


class Text(nn.Module):
    """The same of embedded ids; the last three of twelve words speak for the second class, 0 says nothing."""

    def __init__(self) -> None:
        super().__init__()
        table = 1e-3 * torch.linspace(-1, 1, 12)[:, None] * torch.ones(12, 4)
        table[0], table[9:] = 0, torch.tensor([[0.1], [0.2], [0.3]])
        self.embedding = nn.Embedding.from_pretrained(table.double(), freeze=False)
        self.rest = Evidence(torch.ones(10, 4, dtype=torch.float64))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        seen = self.embedding(input_ids)
        return {"logits": self.rest(seen if attention_mask is None else seen * attention_mask[..., None])}


class Question(nn.Module):
    """A picture and a text about it."""

    def __init__(self, picture: Evidence, text: Text) -> None:
        super().__init__()
        self.picture, self.text = picture, text

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        return self.picture(pixels) + self.text(ids)["logits"]


@dataclass(frozen=True)
class Data:
    """A model with examples whose evidence is known.

    Attributes:
        model: the model.
        inputs: the examples.
        right: the map that is right, by position.
        explainer: makes maps.
        settings: what metrics must be told.
        removing: what those that remove features must be told.
    """

    model: nn.Module
    inputs: Any
    right: Any
    explainer: Callable[[nn.Module], Explainer] = GradientXInput
    settings: dict[str, Any] = field(default_factory=dict)
    removing: dict[str, Any] = field(default_factory=dict)

    def metric(self, kind: type[Metric]) -> Metric:
        more = self.removing if "baseline_fn" in kind._fields and kind.__name__ != "ROAD" else {}
        if kind.__name__ == "MuFidelity" and self.removing:
            more = {"baseline": self.removing["baseline_fn"]}
        return kind(self.model, self.explainer(self.model), **self.settings, **settings(kind), **more)

    @property
    def masks(self) -> Any:
        return tuple(m > 0.09 for m in as_tuple(self.right))


def _planted(shape: tuple[int, ...], channels: int | None, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights of three places, noise in which these are bright, and the right map by position."""
    draw = torch.Generator().manual_seed(seed)
    weights = torch.zeros(shape, dtype=torch.float64)
    flat = weights.movedim(channels, -1).reshape(-1, shape[channels]) if channels is not None else weights[:, None]
    places = torch.randperm(len(flat), generator=draw)[:3]
    strength = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    flat = flat.clone()
    flat[places] = strength[:, None] / flat.shape[1]
    if channels is not None:
        turned = weights.movedim(channels, -1)
        weights = flat.reshape(turned.shape).movedim(-1, channels)
    else:
        weights = flat[:, 0]
    x = 0.1 * torch.rand(SIZE, *shape, dtype=torch.float64, generator=draw) + (weights > 0) * 1.5
    right = x * weights
    return weights, x, right if channels is None else right.sum(channels + 1)


def _of_one(shape: tuple[int, ...], channels: int | None, channel_dim: int | None) -> Data:
    weights, x, right = _planted(shape, channels)
    return Data(Evidence(weights), x, right, settings={"channel_dim": channel_dim})


def _text(explainer: Callable[[nn.Module], Explainer], *, padded: bool) -> Data:
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 9, (SIZE, 10), generator=draw)
    ids.scatter_(1, torch.rand(SIZE, 7, generator=draw).argsort(1)[:, :3], torch.tensor([9, 10, 11]).expand(SIZE, 3))
    model = Text()
    right = model.embedding.weight.detach().sum(1)[ids]
    mask = torch.ones_like(ids)
    mask[::2, 8:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask} if padded else ids
    more = {"baseline_fn": Pad(token_id=0)}
    return Data(model, inputs, right * mask if padded else right, explainer, {}, more)


def _several() -> Data:
    (w, x, right), (v, table, also) = _planted((3, 8, 8), 0), _planted((12,), None, seed=1)
    return Data(Evidence(w, v), (x, table), (right, also))


def _question() -> Data:
    (w, x, right), text = _planted((3, 8, 8), 0), _text(Gradient, padded=False)
    stand_ins = EachBaseline(strategies=(Zeros(), Pad(token_id=0)))
    model = Question(Evidence(w), text.model)  # type: ignore[arg-type]
    return Data(model, (x, text.inputs), (right, text.right), Gradient, {}, {"baseline_fn": stand_ins})


DATA = {
    "colours": lambda: _of_one((3, 8, 8), 0, 1),
    "table": lambda: _of_one((20,), None, None),
    "series": lambda: _of_one((2, 24), 0, 1),
    "embedded text": lambda: _of_one((12, 4), 1, -1),
    "ids": lambda: _text(lambda model: Occlusion(model, baseline_fn=Pad(token_id=0)), padded=False),
    "ids by gradient": lambda: _text(Gradient, padded=False),
    "padded ids": lambda: _text(lambda model: Gradient(model, layer="embedding"), padded=True),
    "several inputs": _several,
    "picture and ids": _question,
}
LINEAR = "baseline_fn: 'linear' needs numbers with channels and one or two axes of positions"
IDS = "Occlusion: it explains ids as they are, which cannot be disturbed a little. Give it layer="
NO_PICTURES = ("table", "ids", "ids by gradient", "padded ids", "several inputs", "picture and ids")
REFUSED = {
    **{("ROAD", name): LINEAR for name in NO_PICTURES},
    **{(name, "ids"): IDS for name in ROBUST},
}
"""What a metric says where it is not defined."""

on_all_data = pytest.mark.parametrize("name", DATA)


@on_all_data
@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_a_number_for_every_example_or_a_clear_error(kind: type[Metric], name: str) -> None:
    data = DATA[name]()
    metric = data.metric(kind)
    targets = [1] * SIZE
    if (kind.__name__, name) in REFUSED:
        with pytest.raises(UnsuitableError) as refused:
            metric.measure(data.inputs, targets, masks=data.masks)
        assert REFUSED[kind.__name__, name] in str(refused.value)
        return
    found = metric.measure(data.inputs, targets, masks=data.masks)
    assert found.values.shape == (SIZE,)
    assert set(found.reasons) == {None}
    assert torch.isfinite(found.values).all()


@on_all_data
@pytest.mark.parametrize("kind", PLANTED, ids=lambda kind: kind.__name__)
def test_right_beats_random_beats_reversed_on_all_data(kind: type[Metric], name: str) -> None:
    if (kind.__name__, name) in REFUSED:
        return
    data = DATA[name]()
    metric = data.metric(kind)
    draw = torch.Generator().manual_seed(1)
    right = as_tuple(data.right)
    random = tuple(torch.randn(m.shape, generator=draw, dtype=m.dtype) for m in right)
    sign = 1 if kind.higher_is_better else -1
    scores = [
        sign * metric.evaluate(data.inputs, 1, maps, masks=data.masks).nan_to_num(0).mean().item()
        for maps in (right, random, tuple(-m for m in right))
    ]
    assert scores[0] > scores[1] > scores[2]


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_an_example_without_a_position_that_counts_has_no_number(kind: type[Metric]) -> None:
    data = DATA["colours"]()
    metric, counted = data.metric(kind), torch.ones(SIZE, 8, 8)
    counted[1] = 0
    found = metric.measure(data.inputs, 1, masks=data.masks, attention_mask=counted)
    assert found.reasons[1] == "no position counts"
    assert found.values.isnan().tolist() == [k == 1 for k in range(SIZE)]


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_nothing_is_remembered_of_other_inputs(kind: type[Metric]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pooled = nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        model = nn.Sequential(*pooled).double().eval()
    draw = torch.Generator().manual_seed(0)
    small, large = (torch.rand(2, 3, side, side + 1, dtype=torch.float64, generator=draw) for side in (6, 9))

    def values(metric: Metric, x: Tensor) -> Tensor:
        return metric.evaluate(x, [0, 2], masks=x.sum(1) > 1.5)

    first, second = (kind(model, GradientXInput(model), **settings(kind)) for _ in range(2))
    values(first, large)
    assert torch.equal(values(first, small), values(second, small))
