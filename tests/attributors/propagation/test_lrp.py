"""Relevance is conserved, equals what is worked out by hand, by zennit and by captum, and leaves the model alone."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from pnpxai import explainers
from pnpxai.attributors import LRP, LayerLRP
from pnpxai.errors import ArgumentError, ConfinedError, RuleError
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES
from tests.on_demand import CAPTUM, OnDemand

attribution, canonizers = OnDemand("zennit.attribution"), OnDemand("zennit.canonizers")
composites = OnDemand("zennit.composites")
COMPOSITES = {
    "none": lambda **kwargs: None,
    "EpsilonPlus": lambda **kwargs: composites.EpsilonPlus(**kwargs),
    "EpsilonAlpha2Beta1": lambda **kwargs: composites.EpsilonAlpha2Beta1(**kwargs),
    "EpsilonPlusFlat": lambda **kwargs: composites.EpsilonPlusFlat(**kwargs),
    "EpsilonGammaBox": lambda **kwargs: composites.EpsilonGammaBox(low=-4.0, high=4.0, **kwargs),
}
every_composite = pytest.mark.parametrize("name", COMPOSITES)


def _net(first, second, bias=0.0):
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(first))
        net[2].weight.copy_(torch.tensor(second))
        net[0].bias.fill_(bias)
        net[2].bias.fill_(bias)
    return net


def test_a_small_net_worked_by_hand():
    # h = (1, 3), y = 6; R_h = (3, 3); of h1, x1 contributes 2 and x2 -1; of h2, they contribute 1 and 2
    net = _net([[2.0, -0.5], [1.0, 1.0]], [[3.0, 1.0]])
    found = LRP(net, epsilon=0.0).relevance(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    assert torch.allclose(found.attributions, torch.tensor([[7.0, -1.0]], dtype=torch.float64))
    assert (found.score.item(), found.bias.item(), found.epsilon.item()) == (6, 0, 0)


def test_biases_take_their_part_worked_by_hand():
    # h = (2, 4), y = 3*2 + 4 + 1 = 11; R_h = (6, 4), R_b2 = 1; h1 = 2 - 1 + 1, h2 = 1 + 2 + 1
    net = _net([[2.0, -0.5], [1.0, 1.0]], [[3.0, 1.0]], bias=1.0)
    found = LRP(net, epsilon=0.0).relevance(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    expected = torch.tensor([[6 * 2 / 2 + 4 * 1 / 4, 6 * -1 / 2 + 4 * 2 / 4]], dtype=torch.float64)
    assert torch.allclose(found.attributions, expected)
    assert found.bias.item() == pytest.approx(1 + 6 * 1 / 2 + 4 * 1 / 4)
    assert found.gap.abs().item() < 1e-12


def test_the_stabiliser_takes_its_part_worked_by_hand():
    # z = x1 + 2 = 3, stabilised to 4: three quarters pass
    net = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 2.0]]))
    found = LRP(net, epsilon=1.0).relevance(torch.ones(1, 2, dtype=torch.float64))
    assert found.attributions.tolist() == [[0.75, 1.5]]
    assert found.epsilon.tolist() == [0.75]


@every_composite
@pytest.mark.parametrize("case_name", ["mlp", "cnn", "skip_cnn", "series", "two_inputs"])
def test_relevance_is_conserved(case_name, name):
    case = CASES[case_name]()
    composite = COMPOSITES[name](canonizers=[canonizers.SequentialMergeBatchNorm()])
    found = LRP(case.model, composite, epsilon=1e-9).relevance(case.inputs, case.targets)
    score = case.model(*case.tensors)[range(len(case)), case.targets]
    assert torch.allclose(found.score, score.detach(), atol=1e-10)
    assert found.gap.abs().max() < 1e-6 * score.abs().min()
    assert found.bias.abs().min() > 1e-3, "without a bias there is nothing to account for"


@pytest.mark.parametrize("case_name", ["mlp", "cnn", "skip_cnn", "series"])
def test_without_a_composite_the_stabiliser_takes_next_to_nothing(case_name):
    case = CASES[case_name]()
    found = LRP(case.model).relevance(case.inputs, case.targets)
    assert (found.epsilon.abs() <= 1e-3 * found.score.abs()).all()


@pytest.mark.parametrize("name", [name for name in COMPOSITES if name != "none"])
def test_on_a_sequential_model_it_equals_zennits_own(name):
    case = CASES["cnn"]()
    seed = nn.functional.one_hot(torch.tensor(case.targets), 4) * case.model(case.inputs).detach()
    with attribution.Gradient(case.model, COMPOSITES[name]()) as attributor:
        _, expected = attributor(case.inputs.clone(), seed)
    found = LRP(case.model, COMPOSITES[name]()).attribute(case.inputs, case.targets)
    assert torch.allclose(found, expected, atol=1e-10)
    assert found.abs().max() > 1e-3


class WithoutFlatten(nn.Module):
    """The zoo's plain convolutions in a form that captum has rules for."""

    def __init__(self, layers):
        super().__init__()
        self.features = nn.Sequential(*layers[:5])
        self.head = layers[6]

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class WithAdditionModule(nn.Module):
    """The zoo's residual network in a form that captum has rules for."""

    def __init__(self, net):
        super().__init__()
        self.stem, self.conv1, self.bn1, self.conv2, self.bn2 = net.stem, net.conv1, net.bn1, net.conv2, net.bn2
        self.stem[2].inplace = False
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.add = OnDemand("captum.attr._utils.custom_modules").Addition_Module()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = net.head

    def forward(self, x):
        identity = self.stem(x)
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(identity)))))
        return self.head(self.pool(self.relu2(self.add(out, identity))).flatten(1))


@pytest.mark.parametrize(("name", "form"), [("cnn", WithoutFlatten), ("skip_cnn", WithAdditionModule)])
def test_it_equals_captums_where_captum_has_the_rules(name, form):
    case = CASES[name]().copy()
    ours, our_delta = LRP(case.model).attribute(case.inputs, case.targets, return_convergence_delta=True)
    rival = form(CASES[name]().copy().model)
    assert torch.allclose(rival(case.inputs), case.model(case.inputs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, their_delta = CAPTUM.LRP(rival).attribute(
            case.inputs.clone(), torch.tensor(case.targets), return_convergence_delta=True
        )
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(our_delta, their_delta, atol=1e-6)
    assert ours.abs().max() > 1e-3


def test_the_delta_is_the_score_less_the_relevance():
    case = CASES["cnn"]()
    found, delta = LRP(case.model).attribute(case.inputs, case.targets, return_convergence_delta=True)
    score = case.model(case.inputs)[range(3), case.targets]
    assert torch.allclose(delta, score.detach() - found.flatten(1).sum(1))
    assert torch.equal(LRP(case.model).compute_convergence_delta(found, score.detach()), delta)


@every_composite
def test_the_second_call_equals_the_first_and_the_model_is_as_before(name):
    case = CASES["skip_cnn"]()
    composite = COMPOSITES[name](canonizers=[canonizers.SequentialMergeBatchNorm()])
    lrp = LRP(case.model, composite)
    with audit(case.model, case.inputs):
        first = lrp.attribute(case.inputs, case.targets)
        second = lrp.attribute(case.inputs, case.targets)
    assert torch.equal(first, second)


def test_a_failure_takes_canonizers_and_rules_back():
    case = CASES["skip_cnn"]()
    hook = case.model.head.register_forward_pre_hook(lambda *args: 1 / 0)
    composite = composites.EpsilonPlus(canonizers=[canonizers.SequentialMergeBatchNorm()])
    with audit(case.model, case.inputs), pytest.raises(ZeroDivisionError):
        LRP(case.model, composite).attribute(case.inputs, case.targets)
    hook.remove()


def test_merging_batch_normalisation_does_not_change_the_score():
    case = CASES["skip_cnn"]()
    merged = LRP(case.model, composites.EpsilonPlus(canonizers=[canonizers.SequentialMergeBatchNorm()]))
    assert torch.allclose(merged.relevance(case.inputs, 1).score, case.model(case.inputs)[:, 1].detach())


def test_relevance_of_other_composites_differs():
    case = CASES["cnn"]()
    maps = [LRP(case.model, make()).attribute(case.inputs, 1) for make in COMPOSITES.values()]
    for k, one in enumerate(maps):
        assert all((one - other).abs().max() > 1e-3 for other in maps[:k])


def test_extra_arguments_carry_no_relevance():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2).double()

        def forward(self, x, shift):
            return self.linear(x + shift)

    x = torch.rand(2, 3, dtype=torch.float64)
    found = LRP(Shifted()).relevance(x, 0, additional_forward_args=torch.ones(2, 3, dtype=torch.float64))
    assert found.gap.abs().max() < 1e-9
    assert found.bias.abs().min() > 1e-6


def test_rules_are_told_on_request(caplog):
    case = CASES["cnn"]()
    with caplog.at_level("INFO", logger="pnpxai"):
        LRP(case.model, composites.EpsilonPlus()).attribute(case.inputs, 1, verbose=True)
    assert [r.message for r in caplog.records][:2] == ["Applied ZPlus on layer 0", "Applied Pass on layer 1"]


def test_a_line_for_each_layer_and_rule_is_printed(capsys):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 2)))
    LayerLRP(model, model[0]).attribute(torch.randn(2, 4), 1, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Applied Affine on linear in 0", "Applied Pass on relu in 1", "Applied Affine on linear in 2.0"]
    LRP(model).attribute(torch.randn(2, 4), 1)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: LRP(lambda x: x),
            ArgumentError,
            "model: expected a torch.nn.Module, got function; rules need its layers",
        ),
        (lambda: LRP(nn.Linear(1, 1), epsilon=-1.0), ArgumentError, "epsilon: expected a number >= 0, got -1.0"),
        (lambda: LRP(nn.Linear(1, 1), epsilon=float("nan")), ArgumentError, "epsilon: expected a number >= 0, got nan"),
    ],
)
def test_wrong_settings_are_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_a_scripted_model_is_refused():
    with pytest.warns(FutureWarning, match=r"torch.jit.script"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ConfinedError, match="scripted model cannot be seen; pass the original Python model"):
        LRP(scripted).attribute(torch.ones(1, 2), 0)


def test_a_compiled_model_is_explained_as_it_was_written():
    case = CASES["skip_cnn"]()
    compiled = torch.compile(case.model, backend="eager")
    assert torch.equal(LRP(compiled).attribute(case.inputs, 1), LRP(case.model).attribute(case.inputs, 1))


def test_a_rule_that_is_none_is_refused_by_name():
    case = CASES["cnn"]()
    with pytest.raises(RuleError, match="LRP: the rule .* of layer '.*' is no relevance rule"):
        LRP(case.model, composites.GuidedBackprop()).attribute(case.inputs, 1)


@pytest.mark.parametrize("composite", ["LRPEpsilonAlpha2Beta1", "LRPEpsilonPlus", "LRP"])
def test_a_rectifier_in_place_after_a_layer_on_steps(composite):
    """Torch gives what a linear layer makes of steps as a view, which is edited then."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rest = (nn.Flatten(), nn.Linear(48, 3))
        first = (nn.Conv1d(2, 8, 1), nn.Linear(5, 6))
    maps = []
    for in_place in (True, False):
        model = nn.Sequential(*first, nn.ReLU(inplace=in_place), *rest).double()
        x = torch.randn(2, 2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        explanation = getattr(explainers, composite)(model).explain(x, [0, 1])
        assert explanation.gap.abs().max() < 1e-9
        maps.append(explanation.attributions[0])
    assert torch.allclose(*maps)
