"""Rules of composites equal their formulas, worked out neuron by neuron, wherever and however a layer is called."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pnpxai.attributors import LRP
from pnpxai.attributors.propagation.composites import Composite, rule_named
from pnpxai.attributors.propagation.rap import relative_composite
from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from tests.on_demand import OnDemand

pytestmark = pytest.mark.usefixtures("double")

composites, rules = OnDemand("zennit.composites"), OnDemand("zennit.rules")
LOW, HIGH = -3.0, 3.0


def contributions(rule, x, w, gamma=0.25):
    """Return what an input with a weight contributes under a rule: for a positive, and for a negative neuron."""
    pos, neg = max(w, 0.0), min(w, 0.0)
    if rule == "epsilon":
        return (x * w,) * 2
    if rule == "gamma":
        more, less = w + gamma * pos, w + gamma * neg
        return (x * more, x * less) if x > 0 else (x * less, x * more)
    if rule == "z_plus":
        return (max(x * w, 0.0),) * 2
    if rule == "box":
        return (x * w - LOW * pos - HIGH * neg,) * 2
    return ({"flat": 1.0, "w_square": w * w}[rule],) * 2


def shared(rule, x, w, bias, relevance):
    """Return the relevance of the inputs (n,) of a layer with weights (m, n), in plain loops."""
    found = torch.zeros_like(x)
    for j in range(len(w)):
        z = float(w[j] @ x + bias[j])
        if rule == "alpha_beta":
            for sign, part in ((1, 2.0), (-1, -1.0)):
                terms = [max(sign * float(x[i] * w[j, i]), 0.0) for i in range(len(x))]
                total = sum(terms) + max(sign * float(bias[j]), 0.0)
                for i in range(len(x)):
                    found[i] += part * relevance[j] * terms[i] / total if total else 0.0
            continue
        k = 0 if z > 0 else 1
        terms = [contributions(rule, float(x[i]), float(w[j, i]))[k] for i in range(len(x))]
        of_bias = {"box": 0.0, "flat": 0.0, "w_square": float(bias[j]) ** 2, "z_plus": max(float(bias[j]), 0.0)}
        total = sum(terms) + of_bias.get(rule, contributions(rule, 1.0, float(bias[j]))[k])
        for i in range(len(x)):
            found[i] += relevance[j] * terms[i] / total if total else 0.0
    return found


RULES = ("epsilon", "gamma", "alpha_beta", "z_plus", "w_square", "flat", "box")


def made(name):
    return rule_named(name, epsilon=0.0, stabilizer=1e-14, low=LOW, high=HIGH)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_at_linear_layers_neuron_by_neuron(name):
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    x = torch.randn(3, 5)
    rule = made(name)
    found = LRP(net, Composite(rule, rule), epsilon=0.0).relevance(x, [0, 1, 2])
    first, last = net[0], net[2]
    for k in range(3):
        with torch.no_grad():
            hidden = first(x[k]).tanh()
            seed = F.one_hot(torch.tensor(k), 3) * last(hidden)
            middle = shared(name, hidden, last.weight, last.bias, seed)
            expected = shared(name, x[k], first.weight, first.bias, middle)
        assert torch.allclose(found.attributions[k], expected, rtol=0, atol=1e-11)
    assert found.attributions.abs().max() > 1e-3
    assert found.gap.abs().max() < 1e-10


def test_rounding_makes_no_positive_sum_of_negative_contributions():
    """Their sum is the difference of two equal sums, which in single precision is next to nothing, and not zero."""
    net = nn.Linear(300, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(-torch.rand(2, 300))
        net.weight[1, :7] *= -1
    x = torch.rand(4, 300)
    given = net.weight.detach(), torch.zeros(2), torch.ones(2)
    expected = torch.stack([shared("alpha_beta", row, *given) for row in x])
    rule = made("alpha_beta")
    single = nn.Sequential(net, nn.Identity()).float()
    scores = single(x.float())
    of_each = [LRP(single, Composite(rule, rule)).attribute(x.float(), k) / scores[:, k : k + 1] for k in (0, 1)]
    assert torch.allclose(sum(of_each).double(), expected, rtol=1e-3, atol=1e-5)


def as_matrix(layer, x):
    """Return a convolution without bias as a matrix (outputs, inputs), and its bias for each output."""
    jacobian = torch.autograd.functional.jacobian(layer, x[None])
    bias = layer(torch.zeros_like(x)[None]).detach().flatten()
    return jacobian.reshape(bias.numel(), x.numel()), bias


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 5)),
        (nn.Conv2d(2, 4, 2, groups=2, dilation=2), (2, 4, 4)),
        (nn.ConvTranspose2d(2, 3, 2, stride=2), (2, 2, 2)),
    ],
    ids=["conv1d", "grouped conv2d", "transposed"],
)
def test_a_rule_at_convolutions_neuron_by_neuron(name, layer, shape):
    layer = copy.deepcopy(layer).double()
    x = torch.randn(2, *shape)
    net = nn.Sequential(layer, nn.ReLU(), nn.Flatten())
    found = LRP(net, Composite(made(name), made("epsilon")), epsilon=0.0).relevance(x, 3)
    for k in range(2):
        w, bias = as_matrix(layer, x[k])
        if name in ("flat", "w_square"):  # only weights that exist share
            w = torch.where(w == 0, torch.nan, w)
        seed = F.one_hot(torch.tensor(3), len(bias)) * (w.nan_to_num() @ x[k].flatten() + bias).relu()
        if name in ("flat", "w_square"):
            terms = (w**2 if name == "w_square" else torch.where(w.isnan(), w, 1.0)).nan_to_num()
            total = terms.sum(1) + (bias**2 if name == "w_square" else 0.0)
            expected = (seed / total) @ terms
        else:
            expected = shared(name, x[k].flatten(), w, bias, seed)
        assert torch.allclose(found.attributions[k].flatten(), expected, rtol=0, atol=1e-11)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def written_into(x):
    y = x.new_zeros(*x.shape[:-1], 7)
    y[..., 1:6] = x
    return y


@pytest.mark.parametrize("name", [*RULES, "range"])
@pytest.mark.parametrize(
    "padded",
    [
        lambda x: F.pad(F.pad(x, (0, 1)), (1, 0)),
        lambda x: torch.cat([torch.zeros(2, 2, 1), x, torch.zeros(2, 2, 1)], 2),
        written_into,
    ],
    ids=["padded", "joined", "written into"],
)
def test_padding_of_the_inputs_shares_as_a_convolutions_own_padding_does(name, padded):
    """Zeros around the inputs have one possible value, so that they get nothing."""
    conv, x = nn.Conv1d(2, 3, 3, stride=2), torch.rand(2, 2, 5) + 1
    own = nn.Conv1d(2, 3, 3, stride=2, padding=1)
    own.load_state_dict(conv.state_dict())
    rule = made(name) if name != "range" else relative_composite(1e-14, boxed=True).first
    composite = Composite(rule, made("epsilon"))
    expected = LRP(nn.Sequential(own, nn.Flatten()), composite).attribute(x, 0)
    found = LRP(nn.Sequential(Calls(padded), conv, nn.Flatten()), composite).relevance(x, 0)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found.attributions, expected, rtol=0, atol=1e-11)
    assert found.gap.abs().max() < 1e-10


class Written(nn.Module):
    """The same network with functions in place of modules, and with matrix products in place of linear layers."""

    def __init__(self, net, product=False):
        super().__init__()
        self.conv, self.norm, self.head, self.product = net[0], net[1], net[4], product

    def forward(self, x):
        h = F.conv2d(x, weight=self.conv.weight, bias=self.conv.bias, stride=2)
        n = self.norm
        h = F.batch_norm(h, n.running_mean, n.running_var, n.weight, bias=n.bias, eps=n.eps).relu().flatten(1)
        if self.product:
            return torch.addmm(self.head.bias, h, self.head.weight.T)
        return F.linear(h, self.head.weight, self.head.bias)


@pytest.fixture
def net():
    net = nn.Sequential(nn.Conv2d(2, 3, 2, stride=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        net[1].running_mean.normal_()
        net[1].running_var.uniform_(0.5, 2)
        net[1].weight.copy_(torch.tensor([0.7, -1.3, 0.4]))  # one of them turns signs
        net[1].bias.normal_()
    return net.eval()


COMPOSITES = {
    "plus": (lambda: Composite(made("z_plus"), made("epsilon")), lambda **k: composites.EpsilonPlus(**k)),
    "alpha beta": (
        lambda: Composite(made("alpha_beta"), made("epsilon")),
        lambda **k: composites.EpsilonAlpha2Beta1(**k),
    ),
    "box": (
        lambda: Composite(made("gamma"), made("gamma"), first=made("box")),
        lambda **k: composites.EpsilonGammaBox(LOW, HIGH, layer_map=[(nn.Linear, made_gamma())], **k),
    ),
}


def made_gamma():
    from zennit.rules import Gamma

    return Gamma(0.25, 1e-14)


@pytest.mark.parametrize("name", COMPOSITES)
def test_layers_written_as_functions_have_the_rules_of_modules(net, name):
    x = torch.randn(3, 2, 4, 4)
    composite = COMPOSITES[name][0]()
    of_modules = LRP(net, composite).attribute(x, [0, 1, 2])
    assert of_modules.abs().max() > 1e-3
    for other in (Written(net), Written(net, product=True)):
        assert torch.allclose(LRP(other, composite).attribute(x, [0, 1, 2]), of_modules, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", COMPOSITES)
def test_batch_normalisation_is_merged_and_zennit_agrees_on_the_merged_network(net, name):
    x = torch.randn(3, 2, 4, 4)
    ours, zennits = COMPOSITES[name]
    found = LRP(net, ours()).relevance(x, [0, 1, 2])
    merged = copy.deepcopy(net)
    with torch.no_grad():
        scale = net[1].weight / (net[1].running_var + net[1].eps).sqrt()
        merged[0].weight.mul_(scale[:, None, None, None])
        merged[0].bias.copy_((net[0].bias - net[1].running_mean) * scale + net[1].bias)
    merged[1] = nn.Identity()
    expected = LRP(merged, zennits(epsilon=1e-14, stabilizer=1e-14)).attribute(x, [0, 1, 2])
    assert torch.allclose(found.attributions, expected, rtol=0, atol=1e-9)
    assert found.gap.abs().max() < 1e-10


def test_order_of_registration_does_not_matter():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv1d(1, 2, 3), nn.Conv1d(2, 2, 3)
            self.of_one, self.of_two = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
            self.of_one.running_mean.fill_(0.7)
            self.of_two.running_var.fill_(3.0)

        def forward(self, x):
            return self.of_two(self.two(self.of_one(self.one(x)).relu())).mean(-1)

    from zennit.canonizers import SequentialMergeBatchNorm

    net, x = Crossed().eval(), torch.randn(2, 1, 9)
    composite = Composite(made("z_plus"), made("epsilon"))
    found = LRP(net, composite).relevance(x, 1)
    assert torch.allclose(found.score, net(x)[:, 1])
    assert found.gap.abs().max() < 1e-9
    refused = Composite(made("z_plus"), made("epsilon"), canonizers=(SequentialMergeBatchNorm(),))
    with pytest.raises(ArgumentError, match="zennit_canonizers: with them the model gives other scores"):
        LRP(net, refused).attribute(x, 1)
    assert torch.equal(LRP(net, composite).attribute(x, 1), found.attributions)  # and they were taken back


def test_normalisation_that_follows_no_layer_shares_in_proportion():
    net = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
    net[1].running_mean.fill_(0.3)
    x = torch.rand(2, 3) + 0.1
    found = LRP(net, Composite(made("epsilon"), made("epsilon")), epsilon=0.0).relevance(x, 0)
    with torch.no_grad():
        z = net[1](x)
        expected = net[2].weight[0] * z * (x / (net[1].running_var + net[1].eps).sqrt()) / z
    assert torch.allclose(found.attributions, expected, atol=1e-12)


def test_a_users_rule_on_a_module_comes_before_the_composite(net):
    from pnpxai.attributors import GammaRule

    x, composite = torch.randn(2, 2, 4, 4), Composite(made("z_plus"), made("epsilon"))
    plain = LRP(net, composite).attribute(x, 1)
    net[4].rule = GammaRule()
    assert not torch.allclose(LRP(net, composite).attribute(x, 1), plain)


def test_an_unknown_rule_is_named():
    with pytest.raises(ArgumentError, match="expected one of epsilon, gamma, .*, got 'zplus'"):
        rule_named("zplus")


def test_a_zennit_composite_still_goes_by_modules(net):
    x = torch.randn(2, 2, 4, 4)
    plus = composites.EpsilonPlus(layer_map=[(nn.BatchNorm2d, rules.Epsilon(1e-9))])
    assert LRP(net, plus).relevance(x, 1).gap.abs().max() < 1e-9


def test_a_picture_without_a_batch_axis_inside_the_model():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 2)

        def forward(self, x):
            return torch.stack([self.conv(one).mean((1, 2)) for one in x])

    net, x = Squeezed(), torch.randn(3, 2, 4, 4)
    plain = nn.Sequential(net.conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    composite = Composite(made("gamma"), made("epsilon"))
    found, expected = (LRP(m, composite, epsilon=0.0).relevance(x, 1) for m in (net, plain))
    assert torch.allclose(found.attributions, expected.attributions, atol=1e-12)
    assert torch.allclose(found.bias.sum(), expected.bias.sum(), atol=1e-10)


class _Convolutions(TorchDispatchMode):
    """Counts convolutions that run forwards for a result."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten.convolution.default and not is_probe()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "signed", "positive"), [("z_plus", 2, 1), ("gamma", 5, 3)])
def test_where_no_input_is_negative_no_negative_part_is_run(name, signed, positive):
    def runs(activation):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Conv2d(2, 3, 3), activation, nn.Conv2d(3, 4, 3), nn.Flatten()).double()
            x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
        with _Convolutions() as seen:
            LRP(net, Composite(made(name), made("epsilon"))).attribute(x, 1)
        return seen.count

    assert runs(nn.Tanh()) == 2 + 2 * signed
    assert runs(nn.ReLU()) == 2 + signed + positive
