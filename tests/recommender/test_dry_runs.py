"""What is recommended explained one example within its law: refusals, wrong sums and crashes are seen."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from pnpxai import AutoExplanation
from pnpxai.attributors.base import Attributor, Outcome
from pnpxai.errors import ArgumentError
from pnpxai.explainers import LRP
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from pnpxai.explainers.perturbation.shapley import KernelShap
from pnpxai.recommender import dry_run, recommend
from pnpxai.targets import Pixels
from pnpxai.traits import Traits
from tests.small import Bright, pictures

IMAGE = Traits.image()
SEEN: Counter[int] = Counter()
"""Rows that a model ran, by the width of its pictures."""


class Sums(Attributor):
    """A map that misses the sum it promises by a share of the score."""

    def __init__(self, model, share):
        super().__init__(model)
        self.share = share

    def attribute(self, inputs, target=None, additional_forward_args=None):
        return self.attribute_detailed(inputs, target, additional_forward_args).attributions

    def attribute_detailed(self, inputs, target=None, additional_forward_args=None):
        (x,) = inputs
        scores = self.forward_func(x)[:, 0].detach()
        return Outcome((torch.ones_like(x) / x[0].numel(),), gap=self.share * scores)


class Counting(Bright):
    rows = 0
    largest = 0

    def forward(self, x):
        Counting.rows += len(x)
        Counting.largest = max(Counting.largest, x.shape[-1])
        return super().forward(x)


class Anywhere(nn.Module):
    """Takes pictures of any size; counts rows by their side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        SEEN[x.shape[-1]] += len(x)
        return self.head(self.conv(x).relu().mean((2, 3)))


@pytest.mark.smoke
def test_what_refuses_the_example_is_not_recommended_and_says_why() -> None:
    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 2)

        def forward(self, x):
            return self.head(torch.special.bessel_j0(x))

    found = recommend(Waves(), Traits.table(), [Gradient, LRP, Occlusion], torch.rand(3, 8))
    stated = recommend(Waves(), Traits.table(), [Gradient, LRP, Occlusion])
    assert LRP in stated.explainers  # it has all that LRP states that it needs
    assert found.explainers == (Occlusion,)
    assert "bessel" in found.reasons["LRP"]
    assert found.reasons["Gradient"]
    assert set(found.seconds) == {"Occlusion"}


@pytest.mark.parametrize(("share", "fits"), [(0.005, True), (0.2, False), (3.0, False)])
def test_what_misses_its_law_is_not_recommended(monkeypatch: pytest.MonkeyPatch, share: float, fits: bool) -> None:
    monkeypatch.setattr(Gradient, "attributor", lambda self: Sums(self.forward_func, share))
    found = recommend(Bright(), IMAGE, [Gradient, GradientXInput], pictures(2), targets=0)
    assert (Gradient in found.explainers) is fits
    assert GradientXInput in found.explainers
    if not fits:
        assert "the sum that" in found.reasons["Gradient"]


def test_what_crashes_is_a_reason_and_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(self):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Gradient, "attributor", crashes)
    net = Bright().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found = recommend(net, IMAGE, [Gradient, GradCam, RISE], pictures(2))
    assert found.reasons == {"Gradient": "failed: ZeroDivisionError: by nothing"}
    assert torch.equal(torch.rand(2), expected)
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_law_is_kept_in_the_example_that_the_front_door_explains() -> None:
    auto = AutoExplanation(Bright(), pictures(3))
    found = auto.recommended
    assert found is auto.recommended  # tried once
    assert set(found.seconds) == {cls.__name__ for cls in found.explainers}
    assert all(0 < seconds < 60 for seconds in found.seconds.values())
    for cls in found.start_with:
        assert auto.explain(cls, count=1).attributions[0].isfinite().all()


def test_nothing_is_run_before_the_recommendation_is_asked_for() -> None:
    Counting.rows = 0
    auto = AutoExplanation(Counting(), pictures(3))
    auto.explain("Gradient", count=1)
    before = Counting.rows
    assert before < 20
    assert len(auto.recommended) > 20
    assert Counting.rows > before + 20


def test_a_dear_explainer_is_tried_with_its_smallest_settings_on_a_short_version() -> None:
    net = Anywhere()
    x = torch.rand(1, 3, 128, 192)
    full_cost = KernelShap(net, channel_dim=1).cost(x) + RISE(net).cost(x) + Occlusion(net, channel_dim=1).cost(x)
    SEEN.clear()
    tried = dry_run([KernelShap, RISE, Occlusion, IntegratedGradients], net, x, 0, IMAGE.shared())
    assert set(tried.seconds) == {"KernelShap", "RISE", "Occlusion", "IntegratedGradients"}
    assert SEEN[192] <= 4  # how long a pass takes
    assert SEEN[96] < 300 < full_cost
    assert tried.seconds["RISE"] > tried.seconds["IntegratedGradients"]


def test_a_segmentation_is_tried_on_a_short_version_with_its_mask() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    sides: list[int] = []
    net.register_forward_pre_hook(lambda module, arguments: sides.append(arguments[0].shape[2]))
    mask = torch.zeros(1, 128, 128)
    mask[:, :64] = 1
    tried = dry_run([Gradient, Occlusion], net, torch.rand(1, 3, 128, 128), Pixels((1,), mask), IMAGE.shared())
    assert not tried.reasons
    assert sides.count(128) <= 4
    assert sides.count(64) > 4


def test_texts_are_tried_on_their_first_words_or_their_last_where_padding_comes_first() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(20, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, input_ids, attention_mask):
            lengths.append(input_ids.shape[1])
            weights = attention_mask[:, :, None]
            return self.head((self.words(input_ids) * weights).sum(1) / weights.sum(1))  # NaN where all is padding

    net, lengths = Reader(), []
    mask = torch.zeros(1, 100, dtype=torch.long)
    mask[:, 90:] = 1
    inputs = {"input_ids": torch.randint(1, 20, (1, 100)), "attention_mask": mask}
    tried = dry_run([Gradient, KernelShap, Occlusion], net, inputs, 0, Traits.text().shared())
    assert not tried.reasons
    assert lengths.count(100) <= 4
    assert lengths.count(32) > 10


def test_a_model_that_takes_one_size_only_is_tried_on_it() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 100 * 100, 2))
    tried = dry_run([Gradient, Occlusion], net, torch.rand(2, 3, 100, 100), 1, IMAGE.shared())
    assert set(tried.seconds) == {"Gradient", "Occlusion"}


def test_what_would_take_too_long_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnpxai.recommender.dry_runs._SECONDS", 0.0)
    found = recommend(Bright(), IMAGE, [Gradient], pictures(1))
    assert not found.explainers
    assert found.reasons["Gradient"].startswith("not tried: one example takes about ")


def test_without_a_target_that_suits_nothing_is_tried_and_it_is_said() -> None:
    segments = nn.Conv2d(1, 3, 3, padding=1)
    tried = recommend(segments, IMAGE, [Gradient], torch.rand(2, 1, 8, 8), targets=(99, 0, 0))
    assert "99" in tried.untried
    assert "nothing was tried" in str(tried)
    assert tried.explainers == (Gradient,)
    with pytest.raises(ArgumentError, match="say which to explain"):
        _ = AutoExplanation(segments, torch.rand(2, 1, 8, 8)).recommended


def test_what_is_recommended_stands_in_order_with_seconds_and_reasons_last() -> None:
    found = recommend(Bright(), IMAGE, inputs=pictures(2))
    names = [cls.__name__ for cls in found.in_order]
    text = str(found)
    assert text.index("Start with these three: " + ", ".join(names[:3])) < text.index("kind")
    places = [text.index(f"\n{name} ") for name in [*names, "not recommended", *found.reasons] if len(name) < 20]
    assert places == sorted(places)
    rest = [found.seconds[name] for name in names[len(found.start_with) :]]
    assert rest == sorted(rest)
    assert found.table()["kind"][0] == "cam"
