"""What captum 0.9 gives for ablation, Lime and Shapley values, this package gives."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors.perturbation.designs import Budget, every_coalition
from pnpxai.attributors.perturbation.games import Game
from pnpxai.attributors.perturbation.plays import Play
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.testing.zoo import CASES
from tests.attributors.rivals import Row, agree
from tests.attributors.test_against_captum import EXTRAS, PAIR, TABLE, Volume, WithExtras, one_tuple, wrapped
from tests.on_demand import CAPTUM, OnDemand

captum_models = OnDemand("captum._utils.models.linear_model")
linear_model = OnDemand("sklearn.linear_model")

CASE = CASES["mlp"]()


pytestmark = pytest.mark.usefixtures("captum_may_warn")


# --- groups of inputs

METHODS = ["FeatureAblation", "ShapleyValues"]
HALVES = torch.arange(8).div(4, rounding_mode="floor")
MASKS = [
    ("mlp", torch.tensor([0, 1, 1, 2, 2, 2])),
    ("mlp", torch.arange(3).reshape(1, 3).repeat_interleave(2, 1)),
    ("mlp", torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 2], [2, 1, 0, 0, 1, 2]])),
    ("cnn", HALVES),
    ("cnn", HALVES[None, :, None] * 2 + HALVES),
    ("skip_cnn", HALVES[:, None] * 2 + HALVES),
    ("series", torch.arange(2)[:, None]),
    ("two_inputs", (torch.zeros(1, 1, 6, 6).long(), torch.arange(1, 5)[None] // 2)),
    ("two_inputs", (torch.arange(2).repeat(3)[None, None, None], torch.tensor([[0, 2, 2, 0]]))),
]
BY_MASK = [Row(name, case, {"feature_mask": mask}) for name in METHODS for case, mask in MASKS]
STRANGE_IDS = [torch.tensor([-3, 7, 7, 0, 0, 40]), torch.tensor([0.5, -1, 0.5, 2.25, -1, 3])]
ABLATION = [
    *(Row("FeatureAblation", case) for case in ("mlp", "series", "two_inputs")),
    *(Row("FeatureAblation", "mlp", {"feature_mask": mask}) for mask in STRANGE_IDS),
    *(Row("FeatureAblation", "mlp", {"perturbations_per_eval": n}) for n in (1, 4, 100)),
]
TARGETS = [2, -1, [0, 3, 1], torch.tensor([0, 3, 1]), torch.tensor([2]), (2,), [(0,), (3,), (1,)]]
BASELINES = [
    ("mlp", 0.3), ("mlp", 1), ("mlp", TABLE), ("mlp", TABLE[:1]), ("mlp", (TABLE,)), ("two_inputs", PAIR),
    ("two_inputs", (0, 0.5)), ("two_inputs", (PAIR[0][:1], 1.5)),
]  # fmt: skip
FEW = {"mlp": torch.tensor([0, 1, 1, 2, 2, 2]), "two_inputs": MASKS[-1][1]}
FORMS = [
    *(Row(name, "mlp", {"target": target, "feature_mask": FEW["mlp"]}) for name in METHODS for target in TARGETS),
    *(
        Row(name, "mlp", {"target": target, "feature_mask": FEW["mlp"]}, change=wrapped(Volume), label="volume")
        for name in METHODS
        for target in ((1, 0), [(0, 1), (1, 1), (1, 0)])
    ),
    *(
        Row(name, case, {"baselines": baselines, "feature_mask": FEW[case]})
        for name in METHODS
        for case, baselines in BASELINES
    ),
    *(
        Row(name, "mlp", {"additional_forward_args": extra, "feature_mask": FEW["mlp"]}, change=wrapped(WithExtras))
        for name in METHODS
        for extra in EXTRAS
    ),
    *(Row(name, "mlp", {"feature_mask": (FEW["mlp"],)}, change=one_tuple, label="tuple") for name in METHODS),
    Row("FeatureAblation", "mlp", {"baselines": TABLE[0]}),
    Row("FeatureAblation", "cnn", {"baselines": torch.tensor([0.5, -1]).reshape(2, 1, 1), "feature_mask": HALVES}),
]


class Total(nn.Module):
    """Gives one value for its batch."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *x):
        return self.model(*x).square().sum()


AT_ONCE = [
    *(Row(name, "mlp", {"target": None}, change=wrapped(Total), label="total") for name in METHODS),
    *(
        Row(name, "two_inputs", {"target": None, "feature_mask": FEW["two_inputs"]}, change=wrapped(Total))
        for name in METHODS
    ),
    Row(
        "FeatureAblation", "mlp", {"target": None}, label="number",
        made=lambda library, model: lambda x: float(model(x).square().sum()),
    ),
    Row("Occlusion", "mlp", {"target": None, "sliding_window_shapes": (2,)}, change=wrapped(Total), label="total"),
]  # fmt: skip

# --- groups of a layer's values


def at(layer):
    return lambda library, model: (model, model.get_submodule(layer))


LAYERS = [
    ("mlp", "first", {}), ("cnn", "0", {"layer_mask": (torch.arange(8) // 3)[None, None, None]}), ("cnn", "6", {}),
    ("skip_cnn", "conv2", {"layer_mask": HALVES[None, None, None]}), ("series", "conv2", {}),
    ("two_inputs", "linear", {}), ("two_inputs", "conv", {"layer_mask": torch.arange(4).reshape(1, 4, 1, 1)}),
]  # fmt: skip
CHANNELS = torch.arange(6).reshape(1, 6, 1, 1)
LAYER_FORMS = [
    {}, {"attribute_to_layer_input": True}, {"layer_baselines": 0.5}, {"layer_mask": torch.arange(10) // 3},
    {"layer_mask": (torch.arange(10)[None] // 4,)}, {"layer_baselines": torch.linspace(-1, 1, 10).double()[None]},
    {"layer_baselines": (torch.linspace(-1, 1, 30).double().reshape(3, 10),)},
    {"target": 1, "perturbations_per_eval": 4},
]  # fmt: skip
BY_LAYER = [
    *(Row("LayerFeatureAblation", case, given, made=at(layer), label=layer) for case, layer, given in LAYERS),
    *(Row("LayerFeatureAblation", "mlp", form, made=at("second"), label="second") for form in LAYER_FORMS),
    *(
        Row("LayerFeatureAblation", "skip_cnn", {"layer_mask": CHANNELS} | form, made=at("conv2"), label="conv2")
        for form in ({}, {"attribute_to_layer_input": True}, {"layer_baselines": torch.ones(6, 1, 1).double()})
    ),
    Row(
        "LayerFeatureAblation", "mlp", {"additional_forward_args": EXTRAS[2]}, label="extras",
        made=lambda library, model: (model, model.model.second), change=wrapped(WithExtras),
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", [*ABLATION, *BY_LAYER], ids=str)
def test_same_numbers(row):
    agree(row)


@pytest.mark.parametrize("row", [*BY_MASK, *FORMS, *AT_ONCE], ids=str)
def test_same_numbers_up_to_single_precision(row):
    """captum's Shapley values and windows are of float32, whatever the model."""
    agree(row, 1e-6 if row.name == "FeatureAblation" else 1e-5)


# --- the same draws for both


def coalitions_of(example, budget):
    """Return (coalitions, players) what one example runs."""
    game = Game.of(CASE.model, CASE.inputs, 0.3, CASE.targets, None, None)
    play = Play.of(game, budget, RandomStream())
    return play.designs[0][0], play.roles[example]


@pytest.mark.parametrize("example", range(3))
def test_sampled_shapley_values_are_captums_for_the_same_orders(example):
    design, roles = coalitions_of(example, Budget("auto", "permutation", n_orders=9))
    own = slice(example, example + 1)
    rival = CAPTUM.ShapleyValueSampling(CASE.model)
    rival.permutation_generator = lambda size, count: roles.argsort()[design.orders].tolist()
    theirs = rival.attribute(CASE.inputs[own], 0.3, CASE.targets[own], n_samples=9)
    ours = pnpxai.attributors.ShapleyValueSampling(CASE.model).attribute(CASE.inputs, 0.3, CASE.targets, n_samples=9)
    assert torch.allclose(ours[own], theirs.double(), atol=1e-6)


@pytest.mark.parametrize("in_shape", [True, False])
def test_kernel_shap_is_captums_for_all_coalitions(in_shape):
    def coalitions(original, **facts):
        yield from torch.cat([torch.zeros(1, 6), torch.ones(1, 6), every_coalition(6)[1:-1]])[:, None].long()

    rival = CAPTUM.KernelShap(CASE.model)
    rival.perturb_func = coalitions
    rival.similarity_func = lambda original, perturbed, sample, **facts: weight(int(sample.sum()))
    settings = {"target": CASE.targets, "n_samples": 64, "return_input_shape": in_shape}
    theirs = rival.attribute(CASE.inputs, 0.3, **settings)
    ours = pnpxai.attributors.KernelShap(CASE.model).attribute(CASE.inputs, 0.3, **settings)
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs.double(), atol=1e-4)  # its ends weigh a million, in float32


def weight(members):
    """Return the Shapley kernel of a coalition of six players."""
    return torch.tensor(1e6 if members in (0, 6) else 5 / (math.comb(6, members) * members * (6 - members)))


def drawn(original, **facts):
    """Yield the same samples whenever it is asked."""
    source = torch.Generator().manual_seed(0)
    while True:
        yield torch.randint(2, (1, facts["num_interp_features"]), generator=source)


LIME = [
    ("mlp", {}), ("mlp", {"return_input_shape": False}), ("mlp", {"feature_mask": FEW["mlp"][None]}),
    ("mlp", {"baselines": 0.3, "n_samples": 60}), ("mlp", {"baselines": TABLE, "target": 1}),
    ("two_inputs", {"feature_mask": FEW["two_inputs"]}),
    ("cnn", {"feature_mask": (HALVES[:, None] * 2 + HALVES)[None, None]}),
    ("tokens", {"baselines": 3}), ("mlp", {"perturbations_per_eval": 7}),
]  # fmt: skip


@pytest.mark.parametrize("kernel", [None, ("euclidean", 9.0), ("cosine", 0.5)], ids=repr)
@pytest.mark.parametrize(
    ("case", "given"), LIME, ids=lambda value: value if isinstance(value, str) else ",".join(value)
)
def test_lime_is_captums_for_the_same_samples(case, given, kernel):
    from captum.attr._core.lime import get_exp_kernel_similarity_function as theirs_of

    mine = None if kernel is None else pnpxai.attributors.get_exp_kernel_similarity_function(*kernel)
    row = Row("Lime", case, given, made=lambda library, model: (model, None, mine, drawn))
    rival = replace(
        row, made=lambda library, model: (model, None, None if kernel is None else theirs_of(*kernel), drawn)
    )
    (*ours,), (*theirs,) = row.ours(), rival.captums()
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.abs().max() > 1e-3
        assert torch.allclose(a, b.to(a.dtype), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("SkLearnLasso", {"alpha": 0.02}), ("SkLearnRidge", {"alpha": 0.5}), ("SkLearnLinearRegression", {})],
)
def test_captums_simple_models_can_be_given(name, settings):
    model = getattr(captum_models, name)(**settings)
    made = lambda library, forward: (forward, model, None, drawn)  # noqa: E731
    agree(Row("Lime", "mlp", {"n_samples": 40}, made=made), 1e-4)


def test_scikits_models_are_captums_wrapped_ones():
    wrapped_one = pnpxai.attributors.Lime(CASE.model, captum_models.SkLearnRidge(alpha=0.5)).attribute(
        CASE.inputs, target=1
    )
    plain_one = pnpxai.attributors.Lime(CASE.model, linear_model.Ridge(alpha=0.5)).attribute(CASE.inputs, target=1)
    assert torch.allclose(wrapped_one, plain_one, atol=1e-5)


@pytest.mark.parametrize("name", ["Lime", "KernelShap", "ShapleyValueSampling"])
def test_with_their_own_draws_they_agree_within_sampling_error(name):
    torch.manual_seed(0)
    row = Row(name, "mlp", {"n_samples": 200 if name == "ShapleyValueSampling" else 1000})
    (ours,), (theirs,) = row.ours(), row.captums()
    assert (ours - theirs).norm() < 0.1 * ours.norm()


NAMES = ["FeatureAblation", "Lime", "KernelShap", "ShapleyValueSampling", "ShapleyValues", "LayerFeatureAblation"]


@pytest.mark.parametrize("method", ["__init__", "attribute"])
@pytest.mark.parametrize("name", [*NAMES, "Occlusion"])
def test_arguments_are_captums_in_name_order_and_default(name, method):
    ours, theirs = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(getattr(library, name), method)).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        for library in (pnpxai.attributors, CAPTUM)
    )
    if name in ("KernelShap", "ShapleyValueSampling"):  # by default as many samples as the features need
        theirs = [(argument, "auto" if argument == "n_samples" else default) for argument, default in theirs]
    assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize("name", NAMES)
def test_public_facts_are_captums(name):
    ours, theirs = (
        getattr(library, name)(CASE.model, *([CASE.model.first] if name.startswith("Layer") else []))
        for library in (pnpxai.attributors, CAPTUM)
    )
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()
