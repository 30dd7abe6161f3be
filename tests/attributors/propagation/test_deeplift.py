"""DeepLift: complete on what people use, equal to captum where captum is right, by hand where it is not."""

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pnpxai import attributors
from pnpxai.attributors import DeepLift, DeepLiftShap, LayerDeepLift, LayerDeepLiftShap
from pnpxai.errors import ArgumentError, RuleError, ShapeError
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.zoo import CASES
from tests.on_demand import CAPTUM

pytestmark = pytest.mark.usefixtures("double")


def _baselines(inputs: Tensor) -> Tensor:
    if inputs.is_floating_point():
        return torch.rand(inputs.shape, generator=torch.Generator().manual_seed(5), dtype=inputs.dtype)
    return torch.zeros_like(inputs)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("two_inputs", "siamese")])
def test_it_is_complete_on_what_people_use(name: str) -> None:
    it = ARCHITECTURES[name]()
    attributor = DeepLift(it.model) if it.layer is None else LayerDeepLift(it.model, it.layer)
    found, delta = attributor.attribute(it.inputs, _baselines(it.inputs), it.targets, return_convergence_delta=True)
    assert found.abs().max() > 1e-4
    rise = it.scores() - it.scores((_baselines(it.inputs),))
    assert (found.flatten(1).sum(1) - rise).abs().max() < 1e-9
    assert delta.abs().max() < 1e-9
    other = attributor.attribute(it.inputs, _baselines(it.inputs), [(t + 1) % it.outputs for t in it.targets])
    assert not torch.allclose(found, other)


class Functional(nn.Module):
    """Nonlinear functions, called as functions, reused and in place, with products, quotients and pools."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        self.act = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        gate = torch.sigmoid(h)
        h = F.gelu(h) * gate + F.silu(h).relu_() - self.act(h) / (1.5 + gate)
        h = self.act(h) + 2 / (1 + h.square()) + h.softmax(-1) * h.log_softmax(-1)
        pooled = F.max_pool1d(h[:, None], 3, 2, 1)[:, 0]
        h = torch.cat([h[:, :4].exp().sqrt(), pooled], 1) + h.amax(1, keepdim=True) - (-h).abs().amin(1, keepdim=True)
        scores = torch.einsum("bi,bj->bij", h, h).mean(2)
        return self.second(scores @ torch.eye(8) + torch.bmm(scores[:, None], h[..., None])[:, 0])


def test_every_ruled_operation_is_complete() -> None:
    net, x = Functional(), torch.randn(5, 6)
    for baseline in (None, 0.3, torch.randn(5, 6)):
        _, delta = DeepLift(net).attribute(x, baseline, target=1, return_convergence_delta=True)
        assert delta.abs().max() < 1e-12


def test_equal_inputs_and_baselines_have_the_gradient_as_multiplier() -> None:
    net, x = Functional(), torch.randn(2, 6)
    found = DeepLift(net, multiply_by_inputs=False).attribute(x, x.clone(), target=0)
    leaf = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_relu_by_hand() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[2.0, -1.0]]))
        net[0].bias.fill_(-1.0)
    # 2 * 2 - 1 - 1 = 2, at the baseline -1 -> 0: a rise of 2 for an input rise of 3
    found = DeepLift(net).attribute(torch.tensor([[2.0, 1.0]]))
    assert found.tolist()[0] == pytest.approx([4 * 2 / 3, -1 * 2 / 3])


def test_a_product_by_hand() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x[:, 0] * x[:, 1])[:, None]

    found = DeepLift(Product()).attribute(torch.tensor([[3.0, 5.0]]), torch.tensor([[1.0, 2.0]]))
    assert found.tolist()[0] == pytest.approx([2 * 3.5, 3 * 2.0])


@pytest.fixture
def captums() -> nn.Module:
    """A model that captum gets right: modules only, none twice, no pool beside a nonlinearity."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Sigmoid(), nn.Flatten(), nn.Linear(50, 4)
    )


def _quietly(run):  # noqa: ANN001, ANN202
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run()


X, B, T = torch.randn(3, 1, 8, 8).double(), torch.randn(3, 1, 8, 8).double(), [0, 3, 1]


@pytest.mark.parametrize("baselines", [None, 0.2, B, B[:1]], ids=["none", "number", "tensor", "row"])
@pytest.mark.parametrize("multiply", [True, False])
def test_agreement_with_captum(captums: nn.Module, baselines: object, multiply: bool) -> None:
    ours = DeepLift(captums, multiply).attribute(X, baselines, T, return_convergence_delta=True)  # type: ignore[arg-type]
    theirs = _quietly(
        lambda: CAPTUM.DeepLift(captums, multiply).attribute(X.clone(), baselines, T, return_convergence_delta=True)
    )
    assert torch.allclose(ours[0], theirs[0], atol=1e-9)
    assert torch.allclose(ours[1], theirs[1], atol=1e-9)


def test_agreement_with_captum_over_a_distribution_and_at_layers(captums: nn.Module) -> None:
    cases = (
        ("DeepLiftShap", (), {"baselines": B}),
        ("LayerDeepLift", (captums[2],), {"baselines": B}),
        ("LayerDeepLift", (captums[2],), {"baselines": B, "attribute_to_layer_input": True}),
        ("LayerDeepLiftShap", (captums[0],), {"baselines": B}),
    )
    own = {c.__name__: c for c in (DeepLiftShap, LayerDeepLift, LayerDeepLiftShap)}
    for name, made, given in cases:
        ours = own[name](captums, *made).attribute(X, target=T, return_convergence_delta=True, **given)
        theirs = _quietly(
            lambda name=name, made=made, given=given: getattr(CAPTUM, name)(captums, *made).attribute(
                X.clone(), target=T, return_convergence_delta=True, **given
            )
        )
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            assert torch.allclose(a, b, atol=1e-9), name


def test_baselines_by_a_function_and_one_row(captums: nn.Module) -> None:
    plain = DeepLift(captums).attribute(X, B[:1], T)
    assert torch.allclose(DeepLiftShap(captums).attribute(X, B[:1], T), plain)
    assert torch.allclose(DeepLiftShap(captums).attribute(X, lambda: B[:1], T), plain)
    assert torch.allclose(DeepLiftShap(captums).attribute(X, lambda x: 0 * x[:1] + B[:1], T), plain)


def test_custom_attributions(captums: nn.Module) -> None:
    def weighted(multipliers: tuple[Tensor, ...], inputs: tuple[Tensor, ...], baselines: tuple[Tensor, ...]) -> tuple:
        return tuple(m * (x - b) * 2 for m, x, b in zip(multipliers, inputs, baselines, strict=True))

    doubled = DeepLift(captums).attribute(X, B, T, custom_attribution_func=weighted)
    assert torch.allclose(doubled, 2 * DeepLift(captums).attribute(X, B, T))
    alone = DeepLift(captums).attribute(X, B, T, custom_attribution_func=lambda m: m)
    assert torch.allclose(alone, DeepLift(captums, False).attribute(X, B, T))
    with pytest.raises(ArgumentError, match="expected a tuple of 1"):
        DeepLift(captums).attribute(X, B, T, custom_attribution_func=lambda m: m[0])


def test_alone_as_in_a_batch(captums: nn.Module) -> None:
    whole = DeepLiftShap(captums).attribute(X, B, T)
    for k in range(3):
        assert torch.allclose(DeepLiftShap(captums).attribute(X[k : k + 1], B, T[k]), whole[k : k + 1], atol=1e-12)


def test_several_inputs_and_layers_with_a_way_around() -> None:
    two = CASES["two_inputs"]()
    found, delta = DeepLift(two.model).attribute(two.inputs, target=two.targets, return_convergence_delta=True)
    assert isinstance(found, tuple)
    assert len(found) == 2
    assert delta.abs().max() < 1e-10
    skip = CASES["skip_cnn"]()
    layer = next(name for name, m in skip.model.named_modules() if isinstance(m, nn.Conv2d))
    at_input, delta = LayerDeepLift(skip.model, layer).attribute(
        skip.inputs, target=skip.targets, return_convergence_delta=True, attribute_to_layer_input=True
    )
    assert torch.allclose(at_input, DeepLift(skip.model).attribute(skip.inputs, target=skip.targets), atol=1e-9)


def test_what_has_no_rule_is_refused_by_name() -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sort(1).values[:, :1] + x.logcumsumexp(1)[:, :1]

    with pytest.raises(RuleError, match="no rule for the operation 'logcumsumexp'"):
        DeepLift(Sorted()).attribute(torch.randn(2, 3))

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.relu() if float(x.detach().sum()) > 0 else x.tanh()).sum(1, keepdim=True)

    with pytest.raises(RuleError, match="other operations for the inputs than for the baselines"):
        DeepLift(Branching()).attribute(torch.ones(1, 2), -torch.ones(1, 2))


def test_wrong_baselines_are_refused(captums: nn.Module) -> None:
    with pytest.raises(ShapeError, match=r"baselines: expected rows of shape \(1, 8, 8\), got"):
        DeepLiftShap(captums).attribute(X, torch.rand(2, 1, 7, 8), T)
    with pytest.raises(ArgumentError, match="expected one tensor for each of 1 inputs"):
        DeepLiftShap(captums).attribute(X, (B, B), T)


class _Shifted(DeepLiftShap):
    def compute_convergence_delta(
        self, attributions, start_point, end_point, target=None, additional_forward_args=None
    ):  # noqa: ANN001, ANN202
        return super().compute_convergence_delta(attributions, start_point, end_point, target) + start_point[0].sum()


class _ShiftedAtLayer(LayerDeepLiftShap):
    def compute_convergence_delta(
        self, attributions, start_point, end_point, target=None, additional_forward_args=None
    ):  # noqa: ANN001, ANN202
        return super().compute_convergence_delta(attributions, start_point, end_point, target) + start_point[0].sum()


@pytest.mark.parametrize(("own", "plain"), [(_Shifted, DeepLiftShap), (_ShiftedAtLayer, LayerDeepLiftShap)])
def test_a_subclass_has_its_own_delta(captums: nn.Module, own: type, plain: type) -> None:
    """It is asked for each baseline, with the attributions and the start of that baseline."""
    at = () if plain is DeepLiftShap else (captums[2],)
    found, delta = own(captums, *at).attribute(X, B, T, return_convergence_delta=True)
    right, usual = plain(captums, *at).attribute(X, B, T, return_convergence_delta=True)
    assert torch.allclose(found, right)
    starts = len(X) * B.flatten(1).sum(1)
    assert torch.allclose(delta.reshape(len(X), len(B)), usual.reshape(len(X), len(B)) + starts, atol=1e-9)


@pytest.mark.parametrize("name", ["DeepLiftShap", "GradientShap"])
@pytest.mark.parametrize("kind", ["", "Layer", "Neuron"])
def test_missing_baselines_are_asked_for(captums: nn.Module, kind: str, name: str) -> None:
    at, chosen = (captums[2],) if kind else (), {"neuron_selector": 0} if kind == "Neuron" else {"target": T}
    with pytest.raises(TypeError, match="baselines: expected rows to compare .*, got none; pass some"):
        getattr(attributors, kind + name)(captums, *at).attribute(X, **chosen)
