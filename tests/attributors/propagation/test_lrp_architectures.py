"""LRP conserves, sinks accounted for, on the architectures people use; layer relevances and captum's rules."""

import logging
import warnings

import pytest
import torch
from torch import Tensor, nn

from pnpxai.attributors import LRP, LayerLRP, NoiseTunnel
from pnpxai.attributors.propagation import captum_rules as rules
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.site import find_places
from pnpxai.errors import RuleError, SignatureError
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.zoo import CASES
from tests.on_demand import CAPTUM, OnDemand

pytestmark = pytest.mark.usefixtures("double")


ONE_INPUT = [name for name in ARCHITECTURES if name not in ("two_inputs", "siamese")]


@pytest.mark.parametrize("name", ONE_INPUT)
def test_it_conserves_on_what_people_use(name: str) -> None:
    it = ARCHITECTURES[name]()
    lrp = LRP(it.model)
    if it.layer is None:
        found = lrp.relevance(it.inputs, it.targets)
        relevance = found.attributions
    else:
        with borrowed(it.model):
            score = Score.of(it.model, (it.inputs,), it.targets)
            found = lrp._propagated(score, (it.inputs,), find_places(it.model, it.layer), False)
        (relevance,) = found.attributions
    assert torch.allclose(found.score, it.scores())
    assert (found.gap.abs() <= 1e-6 * found.score.abs()).all()
    assert (found.epsilon.abs() <= 1e-3 * found.score.abs()).all()
    assert relevance.abs().max() > 1e-4
    # the sinks are measured, not what is left over: without them the sum is off
    assert ((found.bias + found.rest).abs() > 1e-3 * found.score.abs()).any()


@pytest.mark.parametrize("name", ["lstm", "torchvision_vit", "resnet18"])
def test_sinks_belong_to_their_examples(name: str) -> None:
    it = ARCHITECTURES[name]()
    whole = LRP(it.model).relevance(it.inputs, it.targets)
    for k in range(len(it)):
        alone = LRP(it.model).relevance(it.inputs[k : k + 1], it.targets[k])
        for sink in ("bias", "epsilon", "rest", "gap"):
            assert torch.allclose(getattr(alone, sink), getattr(whole, sink)[k : k + 1], atol=1e-9)
        assert torch.allclose(alone.attributions, whole.attributions[k : k + 1], atol=1e-9)


def test_a_model_with_the_batch_in_the_second_place() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x.transpose(0, 1)).relu()).mean(0)

    net, x = TimeFirst(), torch.randn(3, 6, 4)
    found = LRP(net).relevance(x, 1)
    assert found.gap.abs().max() < 1e-9
    assert torch.allclose(found.bias[1:2], LRP(net).relevance(x[1:2], 1).bias)


def test_both_factors_get_half() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x[:, :1] * x[:, 1:]).sum(1, keepdim=True)

    found = LRP(Product()).attribute(torch.tensor([[2.0, 3.0, 4.0]]))
    assert found.tolist()[0] == pytest.approx([7.0, 3.0, 4.0])


class Mean(nn.Module):
    """As captum wants it: a leaf module for everything but routing."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2)
        )
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[:, :, 0, 0])


X, T = torch.randn(3, 1, 8, 8).double(), [0, 3, 1]


@pytest.fixture
def net() -> Mean:
    return Mean()


def _captums(run):  # noqa: ANN001, ANN202
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run()


@pytest.mark.parametrize("at_input", [False, True])
@pytest.mark.parametrize("number", [0, 2])
def test_layers_agree_with_captum(net: Mean, number: int, at_input: bool) -> None:
    layer = net.body[number]
    ours, delta = LayerLRP(net, layer).attribute(X, T, return_convergence_delta=True, attribute_to_layer_input=at_input)
    theirs, other = _captums(
        lambda: CAPTUM.LayerLRP(net, layer).attribute(
            X.clone(), T, return_convergence_delta=True, attribute_to_layer_input=at_input
        )
    )
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    assert torch.allclose(ours, theirs, atol=1e-8)
    assert torch.allclose(delta, other, atol=1e-8)


def test_lists_of_layers_and_all_of_them(net: Mean) -> None:
    chosen = [net.body[0], net.body[2]]
    ours, deltas = LayerLRP(net, chosen).attribute(X, T, return_convergence_delta=True)
    theirs, others = _captums(
        lambda: CAPTUM.LayerLRP(net, chosen).attribute(X.clone(), T, return_convergence_delta=True)
    )
    for a, b, c, d in zip(ours, theirs, deltas, others, strict=True):
        assert torch.allclose(a, b, atol=1e-8)
        assert torch.allclose(c, d, atol=1e-8)
    every, deltas = LayerLRP(net, None).attribute(X, T, return_convergence_delta=True)
    assert len(every) == len(deltas) == 7
    assert [d.shape for d in deltas] == [(3,)] * 7
    assert deltas[-1].abs().max() == 0  # at the output, all is still there
    assert torch.allclose(every[2], ours[1])


RULES = [
    ("EpsilonRule", (0.1,)),
    ("GammaRule", ()),
    ("GammaRule", (0.5, True)),
    ("Alpha1_Beta0_Rule", ()),
    ("Alpha1_Beta0_Rule", (True,)),
]


@pytest.mark.parametrize(("name", "given"), RULES, ids=str)
def test_rules_on_modules_agree_with_captum_and_stay(net: Mean, name: str, given: tuple) -> None:
    net.body[2].rule = getattr(OnDemand("captum.attr._utils.lrp_rules"), name)(*given)
    theirs = _captums(lambda: CAPTUM.LRP(net).attribute(X.clone(), T))
    weights = [p.detach().clone() for p in net.parameters()]
    rule = getattr(rules, name)(*given)
    net.body[2].rule = rule
    first = LRP(net).attribute(X, T)
    second = LRP(net).attribute(X, T)
    assert torch.equal(first, second)
    assert net.body[2].rule is rule
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), weights, strict=True))
    assert torch.allclose(first, theirs, atol=1e-8)


def test_a_rule_of_ones_own_twice_in_a_row(net: Mean) -> None:
    class Doubled(rules.PropagationRule):
        def _manipulate_weights(self, module: nn.Module, inputs: object, outputs: object) -> None:
            module.weight.data *= 2
            self._drop_bias(module)

    plain = LRP(net).attribute(X, T)
    net.body[0].rule = Doubled(set_bias_to_zero=True)
    first, second = LRP(net).attribute(X, T), LRP(net).attribute(X, T)
    assert torch.equal(first, second)
    assert not torch.allclose(first, plain)
    relevance = LRP(net).relevance(X, T)
    assert relevance.gap.abs().max() < 1e-9


def test_what_is_no_rule_is_refused_at_once(net: Mean) -> None:
    net.body[0].rule = "gamma"
    with pytest.raises(SignatureError, match=r"expected a PropagationRule as the rule of layer 'body.0', got 'gamma'"):
        LRP(net)


def test_verbose_logs_the_rules(net: Mean, caplog: pytest.LogCaptureFixture) -> None:
    net.body[0].rule = rules.GammaRule()
    with caplog.at_level(logging.INFO, logger="pnpxai"):
        LRP(net).attribute(X, T, verbose=True)
    assert "Applied GammaRule on layer body.0" in caplog.text


def test_noise_over_layer_relevance(net: Mean) -> None:
    plain = LayerLRP(net, net.body[2]).attribute(X, T)
    still = NoiseTunnel(LayerLRP(net, net.body[2])).attribute(X, nt_samples=3, stdevs=0.0, target=T)
    assert torch.allclose(plain, still)
    assert NoiseTunnel(LRP(net)).attribute(X, nt_samples=2, stdevs=0.1, target=T).shape == X.shape


def test_a_layer_of_token_ids() -> None:
    it = CASES["tokens"]()
    found, delta = LayerLRP(it.model, it.layer).attribute(it.inputs, it.targets, return_convergence_delta=True)
    assert found.shape[:2] == it.inputs.shape
    assert torch.isfinite(delta).all()


def test_operations_without_a_rule_are_named() -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.logcumsumexp(1)[:, :1]

    with pytest.raises(RuleError, match="no rule for the operation 'logcumsumexp'"):
        LRP(Sorted()).attribute(torch.randn(2, 3))
