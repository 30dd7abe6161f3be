"""Explainers that replace parts of the input: what they group, and what stands in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.perturbation.feature_ablation import FeatureAblation
from pnpxai.explainers.perturbation.lime import Lime
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from pnpxai.explainers.perturbation.shapley import KernelShap, ShapleyValueSampling
from pnpxai.strategies.baselines import EachBaseline
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.feature_masks import EachMask, Grid, Patches
from pnpxai.strategies.known_features import Columns, Words
from pnpxai.strategies.superpixels import Felzenszwalb
from pnpxai.strategies.token_baselines import Token
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES

MLP, CNN, SERIES, TOKENS, TWO = (CASES[name]() for name in ("mlp", "cnn", "series", "tokens", "two_inputs"))
GROUPED = (FeatureAblation, KernelShap, Lime, ShapleyValueSampling)
ALL = (*GROUPED, RISE, Occlusion)
every_grouped = pytest.mark.parametrize("explainer", GROUPED, ids=lambda e: e.__name__)
every_one = pytest.mark.parametrize("explainer", ALL, ids=lambda e: e.__name__)


def few(explainer):
    return {name: n for name, n in {"n_samples": 8, "n_masks": 20}.items() if name in explainer._fields}


@every_grouped
@pytest.mark.parametrize(
    "mask", [Grid(cells=2), Patches(size=2), Felzenszwalb(scale=1.0, sigma=0.0, min_size=3)], ids=lambda m: m.name
)
def test_a_feature_has_one_value_over_all_its_channels(explainer, mask):
    found = explainer(CNN.model, feature_mask_fn=mask, **few(explainer)).attribute(CNN.inputs, CNN.targets)
    ids = mask(CNN.inputs, 1).expand(3, -1, -1)
    assert int(ids.max()) > 0
    for one, groups in zip(found, ids, strict=True):
        for group in groups.unique():
            values = one[:, groups == group]
            assert torch.equal(values, values[:1, :1].expand_as(values))
        assert one.unique().numel() > 1


@every_grouped
def test_columns_in_a_group_go_together(explainer):
    found = explainer(MLP.model, feature_mask_fn=Columns(((1, 4),)), **few(explainer)).attribute(MLP.inputs, 1)
    assert torch.equal(found[:, 1], found[:, 4])
    assert not torch.equal(found[:, 0], found[:, 1])


@every_one
def test_ids_are_exchanged_without_an_embedding(explainer):
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = TOKENS.model

        def forward(self, ids):
            if not is_probe():
                seen.append(ids.clone())
            return self.inner(ids)

    ids = TOKENS.inputs[:1]
    found = explainer(Watched(), baseline_fn=Token(11), **few(explainer)).attribute(ids, 2)
    assert found.shape == (1, 7)
    assert found.dtype == torch.float64
    rows = torch.cat(seen)
    assert rows.dtype == torch.int64
    assert bool(((rows == ids) | (rows == 11)).all())
    assert bool((rows != ids).any())


@every_grouped
def test_sub_words_go_together(explainer):
    words = Words(torch.arange(12) % 3 == 2)
    found = explainer(TOKENS.model, feature_mask_fn=words, **few(explainer)).attribute(TOKENS.inputs, 1)
    groups = words(TOKENS.inputs)
    assert int(groups.max()) < 6
    for one, ids in zip(found, groups, strict=True):
        assert all(one[ids == group].unique().numel() == 1 for group in ids.unique())


def test_a_mask_token_stands_in_for_ids_only():
    by_id = KernelShap(TOKENS.model, mask_token_id=11).attribute(TOKENS.inputs, 1)
    assert torch.equal(by_id, KernelShap(TOKENS.model, baseline_fn=Token(11)).attribute(TOKENS.inputs, 1))
    assert not torch.equal(by_id, KernelShap(TOKENS.model).attribute(TOKENS.inputs, 1))
    by_mean = KernelShap(MLP.model, baseline_fn="mean", mask_token_id=11).attribute(MLP.inputs, 1)
    assert torch.equal(by_mean, KernelShap(MLP.model, baseline_fn="mean").attribute(MLP.inputs, 1))


@every_one
def test_an_embedding_is_explained_token_by_token(explainer):
    made = explainer(TOKENS.model, layer="embedding", **few(explainer))
    found = made.attribute(TOKENS.inputs, TOKENS.targets)
    assert found.shape == (3, 7, 5)
    assert torch.equal(found, found[:, :, :1].expand_as(found))
    assert found[0, :, 0].unique().numel() > 3
    alone = explainer(TOKENS.model, layer="embedding", channel_dim=1, **few(explainer))
    other = alone.attribute(TOKENS.inputs, TOKENS.targets)
    assert torch.equal(other, other[:, :1].expand_as(other))


@pytest.mark.parametrize("explainer", [KernelShap, IntegratedGradients])
def test_a_background_of_ids_or_of_embeddings(explainer):
    other = torch.tensor([[11, 10, 9, 8, 7, 6, 5]])
    with torch.no_grad():
        embedded = TOKENS.model.embedding(other)
    by_ids = explainer(TOKENS.model, layer="embedding", baseline_fn=Background(other)).attribute(TOKENS.inputs, 1)
    found = explainer(TOKENS.model, layer="embedding", baseline_fn=Background(embedded)).attribute(TOKENS.inputs, 1)
    assert torch.allclose(found, by_ids, atol=1e-12)
    assert not torch.allclose(found, explainer(TOKENS.model, layer="embedding").attribute(TOKENS.inputs, 1))


@every_one
def test_a_convolved_series_is_explained_step_by_step(explainer):
    found = explainer(SERIES.model, layer="conv1", **few(explainer)).attribute(SERIES.inputs, 1)
    assert found.shape == (3, 4, 16)
    assert torch.equal(found, found[:, :1].expand_as(found))


@every_one
def test_the_channels_of_a_series_may_be_last(explainer):
    class Turned(nn.Module):
        def forward(self, x):
            return SERIES.model(x.transpose(1, 2))

    settings = few(explainer)
    draws = {"seed": RandomStream(0, ("a", "b", "c"))}  # else they go by content, in which the order of axes counts
    turned = explainer(Turned(), channel_dim=-1, **settings).attribute(SERIES.inputs.transpose(1, 2), 1, **draws)
    expected = explainer(SERIES.model, **settings).attribute(SERIES.inputs, 1, **draws)
    assert torch.allclose(turned.transpose(1, 2), expected, atol=1e-12)


@every_grouped
def test_each_input_has_its_own_baseline_and_features(explainer):
    seen = []

    def watch(image, table):
        if not is_probe():
            seen.append((image.clone(), table.clone()))
        return TWO.model(image, table)[:, 1]

    image, table = (x[:1] for x in TWO.inputs)
    blanks, masks = EachBaseline(("zeros", Background(table + 7))), EachMask((Grid(cells=2), "positions"))
    made = explainer(watch, baseline_fn=blanks, feature_mask_fn=masks, **few(explainer))
    made = made.replace(n_samples=40) if explainer is KernelShap else made
    found = made.attribute((image, table))
    assert found[0].unique().numel() == 4
    assert found[1].unique().numel() == 4
    for pictures, rows in seen:
        assert bool(((pictures == 0) | (pictures == image)).all())
        assert bool(((rows == table + 7) | (rows == table)).all())


@every_one
@pytest.mark.parametrize("layer", [None, "0"], ids=str)
def test_cost_is_what_is_run(explainer, layer):
    made = explainer(CNN.model, layer=layer, **few(explainer))
    with counted(CNN.model) as counter:
        made.attribute(CNN.inputs, 1)
    assert made.cost(CNN.inputs) == counter.rows


def test_samples_of_ones_own():
    seen = []

    def watch(x):
        if not is_probe():
            seen.append(x.clone())
        return MLP.model(x)[:, 1]

    def one_at_a_time(original, num_interp_features, **facts):
        for k in range(num_interp_features):
            yield torch.eye(num_interp_features)[k : k + 1]

    Lime(watch, n_samples=6, perturb_fn=one_at_a_time).attribute(MLP.inputs[:1])
    assert torch.equal(torch.cat(seen), torch.diag(MLP.inputs[0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@every_one
def test_superpixels_of_large_pictures_in_any_precision(explainer, dtype):
    class Bright(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, :, 8:24, 8:24].mean((1, 2, 3)), x.mean((1, 2, 3))], 1)

    blocks = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    x = (nn.functional.interpolate(blocks, size=(40, 40)) + 0.2).to(dtype)
    found = explainer(Bright(), **few(explainer)).attribute(x, 0)
    assert found.shape == x.shape
    assert found.dtype == dtype
    assert found[:, :, 8:24, 8:24].float().mean() > found.float().mean()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Lime(MLP.model, n_samples=0), "Lime: n_samples: expected a whole number >= 1, got 0"),
        (
            lambda: KernelShap(MLP.model, n_samples=1),
            "KernelShap: n_samples: expected a whole number >= 2 or one of 'auto', got 1",
        ),
        (
            lambda: KernelShap(MLP.model, mask_token_id=-1),
            "mask_token_id: expected a whole number >= 0 or None",
        ),
        (lambda: RISE(MLP.model, probability=1.0), "RISE: probability: expected a number > 0 and < 1, got 1.0"),
        (lambda: Lime(MLP.model, feature_mask_fn="felsenszwalb"), "did you mean 'felzenszwalb'"),
        (
            lambda: Lime(MLP.model, feature_mask_fn="felzenszwalb").attribute(MLP.inputs, 1),
            "Felzenszwalb: expected pictures .* feature_mask_fn='auto' or 'positions' takes any data",
        ),
        (
            lambda: FeatureAblation(TWO.model, baseline_fn=EachBaseline(("zeros",))).attribute(TWO.inputs, 1),
            "EachBaseline: expected a strategy for each of 2 inputs, got 1",
        ),
        (
            lambda: KernelShap(TOKENS.model, baseline_fn="mean").attribute(TOKENS.inputs, 1),
            "Mean: expected floating point numbers, got torch.int64; of ids, take baseline_fn='token'",
        ),
        (
            lambda: KernelShap(MLP.model, baseline_fn="token").attribute(MLP.inputs, 1),
            "Token: expected token ids, got torch.float64",
        ),
        (
            lambda: Lime(CNN.model, channel_dim=4).attribute(CNN.inputs, 1),
            "channel_dim: expected an axis",
        ),
    ],
)
def test_wrong_settings_are_refused(made, message):
    with pytest.raises(ArgumentError, match=message):
        made()
