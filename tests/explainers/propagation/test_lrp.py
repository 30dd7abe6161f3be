"""The LRP family as explainers: their signatures, zennit where it is right, canonizers, layers, sinks."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.explainers.propagation.lrp import (
    LRPEpsilonAlpha2Beta1,
    LRPEpsilonGammaBox,
    LRPEpsilonPlus,
    LRPUniformEpsilon,
)
from pnpxai.explainers.propagation.lrp_rules import LRP, RAP, AttnLRP
from pnpxai.testing.zoo import CASES
from tests.on_demand import OnDemand

attribution, canonizers = OnDemand("zennit.attribution"), OnDemand("zennit.canonizers")
composites, rules = OnDemand("zennit.composites"), OnDemand("zennit.rules")
OWN = {
    LRPUniformEpsilon: {"epsilon": 0.25, "stabilizer": 1e-6, "zennit_canonizers": None},
    LRPEpsilonPlus: {"epsilon": 1e-6, "stabilizer": 1e-6, "zennit_canonizers": None},
    LRPEpsilonGammaBox: {
        "low": -3.0, "high": 3.0, "epsilon": 1e-6, "gamma": 0.25, "stabilizer": 1e-6, "zennit_canonizers": None,
    },
    LRPEpsilonAlpha2Beta1: {"epsilon": 1e-6, "stabilizer": 1e-6, "zennit_canonizers": None},
    RAP: {},
}  # fmt: skip
LOG = {"low": 1e-6, "high": 1.0, "log": True}
COMPOSITES = {
    LRPUniformEpsilon: lambda: composites.LayerMapComposite(
        [*composites.layer_map_base(1e-6), ((nn.Conv2d, nn.Linear), rules.Epsilon(0.25))]
    ),
    LRPEpsilonPlus: lambda: composites.EpsilonPlus(),
    LRPEpsilonGammaBox: lambda: composites.EpsilonGammaBox(-3.0, 3.0),
    LRPEpsilonAlpha2Beta1: lambda: composites.EpsilonAlpha2Beta1(),
}


@pytest.mark.parametrize("explainer", OWN, ids=lambda e: e.__name__)
def test_settings_are_those_of_the_original_in_their_order(explainer):
    parameters = list(inspect.signature(explainer).parameters.values())[1:]
    own = {p.name: p.default for p in parameters[: len(OWN[explainer])]}
    assert own == OWN[explainer]
    assert list(own) == list(OWN[explainer])
    searched = {"epsilon", "gamma"} & set(own)
    assert explainer.get_tunables() == {name: (float, LOG) for name in searched}


@pytest.mark.parametrize("explainer", COMPOSITES, ids=lambda e: e.__name__)
def test_on_a_sequential_model_they_equal_zennits_composites(explainer):
    case = CASES["cnn"]()
    seed = nn.functional.one_hot(torch.tensor(case.targets), 4) * case.model(case.inputs).detach()
    with attribution.Gradient(case.model, COMPOSITES[explainer]()) as attributor:
        _, expected = attributor(case.inputs.clone(), seed)
    found = explainer(case.model).attribute(case.inputs, case.targets)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    assert found.abs().max() > 1e-3


def test_a_composite_of_zennit_may_be_given():
    case = CASES["cnn"]()
    found = LRP(case.model, composites.EpsilonPlus()).attribute(case.inputs, case.targets)
    expected = LRP(case.model, convolution="z_plus").attribute(case.inputs, case.targets)
    assert torch.allclose(found, expected, atol=1e-9)
    with pytest.raises(ArgumentError, match="composite: expected 'auto' or a composite of zennit, got 'plus'"):
        LRP(case.model, "plus")


@pytest.mark.parametrize(
    ("settings", "like"),
    [
        ({"convolution": "z_plus"}, LRPEpsilonPlus),
        ({"convolution": "alpha_beta"}, LRPEpsilonAlpha2Beta1),
        ({"first": "box"}, LRPEpsilonGammaBox),
    ],
)
def test_rules_by_part_make_up_the_named_composites(settings, like):
    case = CASES["skip_cnn"]()
    found = LRP(case.model, **settings).attribute(case.inputs, case.targets)
    assert torch.allclose(found, like(case.model).attribute(case.inputs, case.targets), atol=1e-12)


def test_every_rule_by_part_says_something_else():
    case = CASES["skip_cnn"]()
    choices = [
        {part: rule}
        for part, (kind, space) in LRP.get_tunables().items()
        if kind is list
        for rule in space["choices"]
        if rule != LRP.defaults()[part]
    ]
    maps = [LRP(case.model, **choice).attribute(case.inputs, 1) for choice in [{}, *choices]]
    assert len(maps) == 9
    for k, one in enumerate(maps):
        assert all((one - other).abs().max() > 1e-6 for other in maps[:k])


def test_searched_values_change_the_map():
    case = CASES["cnn"]()
    default = LRPEpsilonGammaBox(case.model).attribute(case.inputs, 1)
    for change in ({"epsilon": 0.5}, {"gamma": 0.9}, {"low": -5.0}, {"high": 6.0}):
        assert (LRPEpsilonGammaBox(case.model, **change).attribute(case.inputs, 1) - default).abs().max() > 1e-5
    with pytest.raises(ArgumentError, match=r"low: expected less than high \(1.0\), got 2.0"):
        LRPEpsilonGammaBox(case.model, low=2.0, high=1.0)


def test_the_box_is_for_the_models_inputs_alone():
    case = CASES["cnn"]()
    boxed, plain = (LRP(case.model, first=first, layer="1") for first in ("box", "same"))
    assert torch.equal(boxed.attribute(case.inputs, 1), plain.attribute(case.inputs, 1))
    named, bare = (LRP(case.model, first="box", layer=layer) for layer in ("input", None))
    assert torch.equal(named.attribute(case.inputs, 1), bare.attribute(case.inputs, 1))


@pytest.mark.parametrize("explainer", [LRPEpsilonPlus, LRPEpsilonGammaBox], ids=lambda e: e.__name__)
def test_zennits_own_canonizers_come_to_what_is_done_without_them(explainer):
    case = CASES["skip_cnn"]()
    given = explainer(case.model, zennit_canonizers=[canonizers.SequentialMergeBatchNorm()])
    found, plain = (e.explain(case.inputs, case.targets) for e in (given, explainer(case.model)))
    assert torch.allclose(found.attributions[0], plain.attributions[0], rtol=0, atol=1e-4)  # it leaves out an epsilon
    assert found.gap.abs().max() < 1e-9


def recording(model, calls, second=0.5):
    """Make a canonizer that doubles a weight, halves the next, which changes no score, and notes its calls."""

    class Recording(canonizers.Canonizer):
        def apply(self, root_module):
            calls.append("apply")
            for layer, factor in ((model[0], 2.0), (model[2], second)):
                layer.weight.data.mul_(factor)
            return [self]

        def register(self):
            pass

        def copy(self):
            return self

        def remove(self):
            calls.append("remove")
            for layer, factor in ((model[0], 0.5), (model[2], 1 / second)):
                layer.weight.data.mul_(factor)

    return Recording()


def test_canonizers_are_applied_and_taken_back_or_refused():
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)).double()
    x, calls = torch.randn(2, 3, dtype=torch.float64), []
    before = [p.clone() for p in model.parameters()]
    # epsilon counts for less where sums are larger: it is the changed model that is explained
    plain = LRPUniformEpsilon(model).attribute(x, 1)
    made = LRPUniformEpsilon(model, zennit_canonizers=[recording(model, calls)])
    assert (made.attribute(x, 1) - plain).abs().max() > 1e-4
    assert calls == ["apply", "remove"]
    assert made.cost(x) == 2 * LRPUniformEpsilon(model).cost(x)
    wrong = LRPUniformEpsilon(model, zennit_canonizers=[recording(model, calls, second=0.25)])
    with pytest.raises(ArgumentError, match="zennit_canonizers: with them the model gives other scores"):
        wrong.attribute(x, 1)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    with pytest.raises(ArgumentError, match="expected canonizers such as .*, got 'merge'"):
        LRPUniformEpsilon(model, zennit_canonizers=["merge"])


@pytest.mark.parametrize("explainer", [LRPUniformEpsilon, LRP, AttnLRP, RAP], ids=lambda e: e.__name__)
def test_an_explanation_says_where_the_score_went(explainer):
    case = CASES["vit" if explainer is AttnLRP else "skip_cnn"]()
    found = explainer(case.model).explain(case.inputs, case.targets)
    assert set(found.sinks) == {"bias", "epsilon", "rest"}
    total = found.attributions[0].flatten(1).sum(1) + sum(found.sinks.values())
    assert torch.allclose(total, found.scores, atol=1e-9)
    size = found.scores.abs()
    if explainer is LRPUniformEpsilon:  # its default drops much
        assert (found.sinks["epsilon"].abs() > 1e-2 * size).any()
    else:
        assert (found.sinks["epsilon"].abs() <= 1e-3 * size).all()
    assert (found.sinks["rest"].abs() > 1e-3 * size).any() == (explainer is AttnLRP)


def test_attention_weights_are_constants_for_all_but_attn_lrp():
    case = CASES["vit"]()
    for explainer in (LRPUniformEpsilon, LRPEpsilonPlus, LRPEpsilonGammaBox, LRPEpsilonAlpha2Beta1):
        sinks = explainer(case.model, epsilon=1e-9).explain(case.inputs, case.targets).sinks
        if explainer is LRPUniformEpsilon:
            assert sinks["rest"].abs().max() == 0
    one, other = LRPUniformEpsilon(case.model, 1e-6), AttnLRP(case.model, 1e-6)
    assert (one.attribute(case.inputs, 1) - other.attribute(case.inputs, 1)).abs().max() > 1e-3
    as_attn = LRP(case.model, convolution="epsilon")
    assert torch.allclose(as_attn.attribute(case.inputs, 1), other.attribute(case.inputs, 1))


def test_what_relative_relevance_sums_to():
    """The score of networks without values of their own; class token and positions of a transformer keep a share."""
    for name in ("mlp", "cnn", "skip_cnn", "vit"):
        case = CASES[name]()
        found = RAP(case.model).explain(case.inputs, case.targets)
        total, score = found.attributions[0].flatten(1).sum(1), found.scores
        assert found.gap.abs().max() < 1e-9
        assert ((total - score).abs() < 1e-4 * score.abs()).all() == (name != "vit")
        assert torch.allclose(total + found.sinks["bias"], score, rtol=1e-3)
