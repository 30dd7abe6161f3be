"""Curves by hand: a model that adds up its pixels loses exactly what is removed."""

import pytest
import torch
from torch import nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.faithfulness.flipping import AbPC, LeRF, MoRF
from pnpxai.strategies.feature_masks import Patches


class Share(nn.Module):
    """One output in 0 ... 1: the sum of the pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).sum(1, keepdim=True)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).reshape(1, 1, 2, 2)


def test_curves_are_those_worked_by_hand(pixels: torch.Tensor) -> None:
    found = AbPC(Share(), n_steps=5).measure(pixels, None, pixels)
    assert found.curves["morf"].tolist()[0] == pytest.approx([1.0, 0.6, 0.3, 0.1, 0.0])
    assert found.curves["lerf"].tolist()[0] == pytest.approx([1.0, 0.9, 0.7, 0.4, 0.0])
    assert found.values.item() == pytest.approx((0 + 0.3 + 0.4 + 0.3 + 0) / 5)
    assert MoRF(Share(), n_steps=5).evaluate(pixels, None, pixels).item() == pytest.approx(2.0 / 5)
    assert LeRF(Share(), n_steps=5).evaluate(pixels, None, pixels).item() == pytest.approx(3.0 / 5)


def test_reversing_the_map_exchanges_the_curves(pixels: torch.Tensor) -> None:
    right = AbPC(Share(), n_steps=5).measure(pixels, None, pixels)
    wrong = AbPC(Share(), n_steps=5).measure(pixels, None, -pixels)
    assert torch.equal(right.curves["morf"], wrong.curves["lerf"])
    assert wrong.values.item() == pytest.approx(-right.values.item())


def test_small_differences_are_clamped_from_below(pixels: torch.Tensor) -> None:
    assert AbPC(Share(), n_steps=5, lb=-0.1).evaluate(pixels, None, -pixels).item() == pytest.approx(-0.3 / 5)


def test_a_map_without_order_scores_zero(pixels: torch.Tensor) -> None:
    for value in (0.0, 3.0):
        assert AbPC(Share()).evaluate(pixels, None, torch.full_like(pixels, value)).item() == 0.0


def test_channels_of_a_position_are_removed_together() -> None:
    seen = []

    class Watch(Share):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            is_probe() or seen.append(x.clone())
            return super().forward(x)

    x = torch.rand(1, 3, 4, 4) + 0.1
    MoRF(Watch()).measure(x, None, torch.rand(1, 3, 4, 4))
    gone = torch.cat(seen) == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert torch.equal(gone[:, 0], gone[:, 2])
    assert gone.any()


def test_probabilities_are_what_is_followed() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    x = torch.rand(2, 1, 2, 2, dtype=torch.float64)
    curve = MoRF(net).measure(x, [0, 2], x).curves["morf"]
    wanted = net(x).softmax(1)[[0, 1], [0, 2]]
    assert torch.allclose(curve[:, 0], wanted)


def test_a_model_of_several_labels_or_of_probabilities_says_so() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    x = torch.rand(2, 1, 2, 2, dtype=torch.float64)
    labels = MoRF(net, prob_fn=nn.functional.sigmoid)
    assert torch.allclose(labels.measure(x, 1, x).curves["morf"][:, 0], net(x)[:, 1].sigmoid())
    assert torch.allclose(MoRF(net, prob_fn=None).measure(x, 1, x).curves["morf"][:, 0], net(x)[:, 1])
    assert MoRF.from_dict(labels.to_dict(), net) == labels


def test_a_function_as_the_target_sees_the_raw_output() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    x = torch.rand(2, 1, 2, 2, dtype=torch.float64)
    for metric in (AbPC(net), AbPC(net, prob_fn=None)):
        curve = metric.measure(x, lambda output: output[:, 2], x).curves["morf"]
        assert torch.allclose(curve[:, 0], net(x)[:, 2])


def test_patches_are_removed_whole() -> None:
    seen = []

    class Watch(Share):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            is_probe() or seen.append(x.clone())
            return super().forward(x)

    x = torch.ones(1, 1, 4, 4)
    MoRF(Watch(), n_steps=5, feature_mask_fn=Patches(size=2)).measure(x, None, torch.rand(1, 1, 4, 4))
    counts = {
        int(part.sum()) for row in torch.cat(seen) for part in row[0].unfold(0, 2, 2).unfold(1, 2, 2).reshape(4, 4)
    }
    assert counts == {0, 4}


def test_fewer_features_than_steps_is_no_obstacle() -> None:
    x = torch.tensor([[0.25, 0.75]])
    assert AbPC(Share(), n_steps=10).evaluate(x, None, x).item() > 0


def test_wrong_maps_and_missing_maps_are_refused(pixels: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="expected a map of shape"):
        AbPC(Share()).measure(pixels, None, torch.rand(1, 1, 3, 3))
    with pytest.raises(ShapeError, match="expected 1 examples, got 2"):
        AbPC(Share()).measure(pixels, None, torch.rand(2, 1, 2, 2))
    with pytest.raises(ArgumentError, match="expected attributions, or an explainer"):
        AbPC(Share()).measure(pixels, None)
    with pytest.raises(ArgumentError, match="n_steps: expected a whole number >= 2, got 1"):
        AbPC(Share(), n_steps=1)
    with pytest.raises(ArgumentError, match="explainer: expected Explainer or None, got <class"):
        AbPC(Share(), Gradient)  # type: ignore[arg-type]


def test_tables_and_token_ids_are_flipped_by_column_and_token() -> None:
    table = torch.tensor([[0.1, 0.9, 0.0]])
    assert AbPC(Share()).evaluate(table, None, table).item() > 0
    embedding = nn.Embedding(10, 4)

    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = embedding

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.embedding(ids).sum((1, 2))[:, None].sigmoid()

    ids = torch.tensor([[1, 2, 3, 4]])
    assert torch.isfinite(AbPC(Text()).evaluate(ids, None, torch.rand(1, 4, 4))).all()
