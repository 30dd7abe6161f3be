"""What went wrong in PnPXAI 0.1.4, on the same kinds of models and data: each must go right here."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pnpxai
from pnpxai.detector import detect
from pnpxai.explainers import (
    RAP,
    GradCam,
    Gradient,
    KernelShap,
    Lime,
    LRPEpsilonGammaBox,
    LRPEpsilonPlus,
    LRPUniformEpsilon,
    SmoothGrad,
    VarGrad,
)
from pnpxai.metrics import AbPC, Complexity, MuFidelity, Sensitivity
from pnpxai.strategies import PostProcessor
from tests.small import pictures

README = Path(__file__).parents[1] / "README.md"


def convolutional(colours: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(colours, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 3),
    )  # fmt: skip


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(20, 4), nn.Linear(4, 2)

    def forward(self, ids):
        return self.head(self.embedding(ids).tanh().mean(1))


class Asked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see, self.words, self.head = nn.Conv2d(1, 4, 3), nn.Embedding(9, 4), nn.Linear(4, 2)

    def forward(self, picture, question):
        return self.head(self.see(picture).relu().mean((2, 3)) * self.words(question).mean(1))


def ids(size: int, length: int = 5) -> torch.Tensor:
    return torch.randint(1, 9, (size, length), generator=torch.Generator().manual_seed(1))


# --- what a new user ran into


def test_the_lines_of_the_readme_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    data = DataLoader(TensorDataset(pictures(8), torch.arange(8) % 3), batch_size=4)
    exec(code.replace('metric="AbPC"', 'metric="AbPC", n_trials=3'), {"model": convolutional(), "data": data})
    assert (tmp_path / "maps.png").stat().st_size > 1000


@pytest.mark.parametrize("explainer", [Lime, KernelShap])
@pytest.mark.parametrize("normalization", ["minmax", "identity"])
def test_small_pictures_and_short_texts_have_maps_under_every_postprocessor(explainer, normalization):
    on_pictures = explainer(convolutional()).attribute(pictures(2), [0, 1])
    on_texts = explainer(Reader(), baseline_fn="token").attribute(ids(2), [0, 1])
    for name in PostProcessor.get_tunables()["pooling_fn"][1]["choices"]:
        for maps in (on_pictures, on_texts):
            made = PostProcessor(name, normalization)(maps)
            assert torch.isfinite(made).all()
            assert made.flatten(1).std(1).min() > 0 or "pos" in name  # of nothing but blame it keeps nothing


def test_texts_of_six_tokens_or_fewer_are_judged():
    model = Reader()
    for length in (2, 3, 6):
        judged = AbPC(model, Gradient(model), channel_dim=-1, baseline_fn="token")
        assert torch.isfinite(judged.evaluate(ids(3, length), [0, 1, 0])).all()


def test_series_of_several_channels_are_explained():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(3, 4, 5), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    auto = pnpxai.AutoExplanationForTSClassification(model, torch.randn(4, 3, 20))
    for name in ("GradCam", "Lime", "KernelShap"):
        (maps,) = auto.explain(name, count=4).attributions
        assert maps.flatten(1).abs().amax(1).min() > 0
    assert auto.compare(["Lime"], ["MuFidelity", "Sensitivity"], show_progress=False).table["value"].notna().any()


def test_pictures_with_questions_are_judged_by_every_default_metric_and_tuned_on_two():
    data = ((pictures(4), ids(4)), torch.tensor([0, 1, 1, 0]))
    auto = pnpxai.AutoExplanationForVisualQuestionAnswering(Asked(), data, mask_token_id=0)
    metrics = ["AbPC", "MuFidelity", "Complexity", "Sensitivity"]
    table = auto.compare(["GradientXInput"], metrics, show_progress=False).table
    assert table[table.explainer == "GradientXInput"].groupby("metric").value.count().eq(4).all()
    assert auto.tune("GradientXInput", n_trials=2, count=2, show_progress=False).trials == 2


# --- wrong numbers


@pytest.mark.parametrize("explainer", [LRPUniformEpsilon, LRPEpsilonPlus, LRPEpsilonGammaBox])
def test_every_epsilon_and_gamma_gives_a_map_of_its_own(explainer):
    model, x = convolutional().double(), pictures(2).double()
    names = ["epsilon", "gamma"] if explainer is LRPEpsilonGammaBox else ["epsilon"]
    for name in names:
        maps = [explainer(model).replace(**{name: value}).attribute(x, 0) for value in (1e-3, 0.1, 1.0)]
        assert min(float((a - b).abs().max()) for a, b in zip(maps, maps[1:], strict=False)) > 1e-6


def test_vargrad_is_a_variance():
    """Of a quadratic form the gradient at noise e is 2 A (x + e): its variance over copies can be drawn by hand."""
    model, x = (lambda x: (x**2).sum(1)), torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    found = VarGrad(model, noise_level=0.5, n_iter=4000).attribute(x)
    assert torch.allclose(found, torch.full_like(x, (2 * 0.5 * 3.0) ** 2), rtol=0.1)
    assert (VarGrad(lambda x: x.sum(1)).attribute(x) == 0).all()


@pytest.mark.parametrize("explainer", [Gradient, SmoothGrad, LRPUniformEpsilon])
def test_all_examples_of_several_inputs_are_explained(explainer):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(4, 2)

        def forward(self, a, b):
            return self.first(a).relu() + self.second(b).relu() + self.first(a) + self.second(b)

    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 3, generator=draw), torch.randn(5, 4, generator=draw)
    together = explainer(Two()).attribute(inputs, [0, 1, 0, 1, 0])
    assert [tuple(maps.shape) for maps in together] == [(5, 3), (5, 4)]
    assert all(maps.abs().amax(1).min() > 0 for maps in together)


def test_a_map_is_as_stable_as_what_makes_it():
    """Both maps are processed alike: of a linear model the gradient does not move at all."""
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), pictures(3)
    judged = Sensitivity(model, Gradient(model), postprocessor=PostProcessor("sumabs", "minmax"))
    assert judged.evaluate(x, 0).abs().max() < 1e-5


def test_a_constant_map_is_the_most_complex():
    flat, peak = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    peak[..., 0, 0] = 1
    values = Complexity(convolutional()).evaluate(torch.rand(2, 1, 4, 4), [0, 0], torch.cat([flat, peak]))
    assert values[0] == pytest.approx(torch.log(torch.tensor(16.0)).item(), abs=1e-5)
    assert values[1] == pytest.approx(0, abs=1e-6)


def test_mufidelity_leaves_what_is_kept_as_it_is():
    """Of a linear model the loss of a subset is the sum of its values: the correlation is one."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False))
    x = pictures(3)
    maps = x * model[1].weight.detach().reshape(1, 1, 8, 8)
    assert MuFidelity(model, n_perturb=40, grid_size=8).evaluate(x, None, maps).min() > 0.999


def test_curves_are_even_and_few_features_and_nan_are_no_obstacle():
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.rand(2, 1, 2, 2)
    judged = AbPC(model, n_steps=10)
    assert torch.isfinite(judged.evaluate(x, [0, 1], torch.rand(2, 1, 2, 2))).all()
    broken = torch.rand(2, 1, 2, 2)
    broken[0, 0, 0, 0] = torch.nan
    found = judged.measure(x, [0, 1], broken)
    assert found.values.isnan().tolist() == [True, False]
    line = nn.Sequential(nn.Flatten(), nn.Linear(100, 1, bias=False))
    nn.init.ones_(line[1].weight)
    curve = AbPC(line, prob_fn=None).measure(torch.ones(1, 1, 10, 10), None, torch.rand(1, 1, 10, 10)).curves["morf"]
    steps = curve.flatten().diff()
    assert float(steps.max() - steps.min()) <= 1.0 + 1e-4  # it jumped from 80 % to all


@pytest.mark.parametrize("explainer", [RAP, GradCam, Gradient])
def test_the_target_is_what_is_explained(explainer):
    model, x = convolutional(), pictures(2)
    assert (explainer(model).attribute(x, 0) - explainer(model).attribute(x, 1)).abs().max() > 1e-4


def test_the_layer_of_a_class_activation_is_the_one_that_was_named():
    model, x = convolutional(), pictures(2)
    early, late = (GradCam(model, layer=model[k]).attribute(x, 0) for k in (0, 2))
    assert (early - late).abs().max() > 1e-4
    assert torch.equal(GradCam(model, layer="0").attribute(x, 0), early)


# --- what it cost, and what was right


def test_a_deep_residual_network_is_looked_into_at_once():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return x + self.inner(x).relu()

    start = time.perf_counter()
    facts = detect(nn.Sequential(*(Block() for _ in range(60)), nn.Linear(4, 2)), torch.rand(2, 4))
    assert facts.has("linear")
    assert time.perf_counter() - start < 20  # a path for every subset of the blocks would take ages


@pytest.mark.parametrize("explainer", [Lime, KernelShap])
def test_many_samples_run_in_one_pass(explainer):
    passes = []

    def model(x):
        passes.append(len(x))
        return x.flatten(1).sum(1)

    explainer(model, n_samples=30).attribute(pictures(2))
    assert max(passes) > 10
