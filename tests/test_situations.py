"""Every situation of the table is held by a test that can tell; here are those that no other file holds."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from pnpxai import attributors
from pnpxai.attributors import EpsilonRule
from pnpxai.errors import ArgumentError
from tests.on_demand import CAPTUM
from tests.situations import SITUATIONS, Situation

HERE = Path(__file__).parent
RIGHT = ("assert", "_check", "close", "held", "compare", "equal")
"""What the name of a call holds that compares."""


def _function(situation: Situation) -> ast.FunctionDef:
    path, _, name = situation.test.partition("::")
    tree = ast.parse((HERE / path).read_text(encoding="utf-8"))
    (found,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    return found


@pytest.mark.smoke
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.test.partition("::")[2])
def test_the_test_of_a_situation_is_there_and_tells_what_the_table_says(situation: Situation) -> None:
    body = _function(situation)
    names = [ast.unparse(node.func) for node in ast.walk(body) if isinstance(node, ast.Call)]
    marks = " ".join(map(ast.unparse, body.decorator_list))
    assert "mark.skip" not in marks
    assert "xfail" not in marks
    compares = any(isinstance(node, ast.Assert) for node in ast.walk(body))
    compares |= any(part in name for name in names for part in RIGHT)
    refuses = any(name == "pytest.raises" for name in names)
    assert (refuses or ("reasons" in ast.unparse(body))) if situation.outcome == "refused" else compares


def test_the_page_shows_every_situation() -> None:
    root = HERE.parent
    spec = importlib.util.spec_from_file_location("situations_hook", root / "docs" / "hooks" / "situations.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    page = hook.on_page_markdown((root / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert "<!-- situations -->" not in page
    shown = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if " | " in line]
    assert set(shown) >= {one.text for one in SITUATIONS}
    assert len({one.text for one in SITUATIONS}) == len(SITUATIONS)
    assert "docs/hooks/situations.py" in (root / "mkdocs.yml").read_text()


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).double().eval()


X = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)).double()


def test_a_rule_on_a_parametrized_layer_is_that_of_its_weights() -> None:
    plain, other = _net(), _net()
    other.load_state_dict(plain.state_dict())
    torch.nn.utils.parametrizations.weight_norm(other[0])
    maps = []
    for net in (plain, other):
        net[0].rule = EpsilonRule()
        maps.append(attributors.LRP(net).attribute(X, target=0))
    assert torch.allclose(*maps, atol=1e-12)
    assert maps[0].abs().max() > 0.01


def test_relevance_under_autocast_is_that_outside() -> None:
    net, x = _net().float(), X.float()
    outside = attributors.LRP(net).attribute(x, target=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = attributors.LRP(net).attribute(x, target=0)
    assert torch.allclose(inside, outside, atol=0.03 * float(outside.abs().max()))


def test_deeplift_of_a_plain_function_is_complete() -> None:
    def score(x):
        return (x.square() * x.sigmoid()).relu().sum(1, keepdim=True)

    maps = attributors.DeepLift(score).attribute(X)
    assert torch.allclose(maps.sum(1), (score(X) - score(0 * X))[:, 0])


def test_a_function_that_hides_its_layers_has_differences_and_no_relevance() -> None:
    net = _net()
    hidden = attributors.DeepLift(lambda x: net(x)).attribute(X, target=0)
    assert torch.allclose(hidden, attributors.DeepLift(net).attribute(X, target=0))
    with pytest.raises(ArgumentError, match="expected a torch.nn.Module"):
        attributors.LRP(lambda x: net(x)).attribute(X, target=0)


def test_a_layer_that_runs_for_each_part_of_a_batch_is_refused() -> None:
    net = _net()

    def parts(x):
        return torch.cat([net(part) for part in x.chunk(2)])

    with pytest.raises(ArgumentError, match="runs more than once"):
        attributors.LayerActivation(parts, net[0]).attribute(X)


def test_asking_for_a_name_that_is_not_there_is_no_error() -> None:
    assert not hasattr(attributors, "NothingOfThisName")
    assert not hasattr(attributors, "LimeBase")  # a name of captum that comes with a hint
    with pytest.raises(AttributeError, match="instead"):
        _ = attributors.LimeBase


def test_deeplift_at_a_layer_of_inputs_that_require_gradients_is_captums() -> None:
    net = _net()
    net.insert(0, nn.Linear(6, 6).double())
    net.insert(1, nn.Tanh())
    x = X.clone().requires_grad_()
    for attribute_to_layer_input in (True, False):
        ours, theirs = (
            of.LayerDeepLift(net, net[2]).attribute(x, target=1, attribute_to_layer_input=attribute_to_layer_input)
            for of in (attributors, CAPTUM)
        )
        assert torch.allclose(ours, theirs.detach(), atol=1e-8)


def test_full_gradients_do_not_scale_rounding() -> None:
    class Standardised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.Linear(3, 2, bias=False)

        def forward(self, x):
            x = self.conv(x)
            return self.head((x / x.std((2, 3), keepdim=True)).relu().mean((2, 3)))

    net = Standardised().double()
    x = torch.randn(1, 1, 6, 6).double()
    here, beside = (attributors.FullGrad(net).attribute(of, target=0) for of in (x, x + 1e-13))
    assert (here - beside).abs().max() <= 1e-6 * here.abs().max()


def test_a_function_written_into_a_slice_is_explained() -> None:
    class Slices(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _net()

        def forward(self, x):
            x = 1.0 * x
            x[:, :2] = torch.sigmoid(x[:, :2])
            return self.net(x)

    net = Slices()
    gap = (net(X)[:, 0] - net(0 * X)[:, 0]).detach()
    maps = attributors.DeepLift(net).attribute(X, target=0)
    assert torch.allclose(maps.sum(1), gap)
    path = attributors.IntegratedGradients(net).attribute(X, target=0, n_steps=500)
    assert torch.allclose(path.sum(1), gap, atol=0.01 * float(gap.abs().max()))
    relevance, left = attributors.LRP(net).attribute(X, target=0, return_convergence_delta=True)
    assert relevance.isfinite().all()
    assert left.isfinite().all()


def test_logits_far_apart_do_not_underflow_under_deeplift() -> None:
    class Far(nn.Module):
        def forward(self, x):
            return (x * 100).softmax(1)

    x, b = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[-1.0, 0.0, 1.0]])
    maps = attributors.DeepLift(Far()).attribute(x, b, target=0)
    assert maps.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_log_probabilities_of_nothing_keep_their_difference() -> None:
    x, b = torch.tensor([[-300.0, 300.0, 0.0]]), torch.tensor([[-1e4, 0.0, 1e4]])
    maps = attributors.DeepLift(torch.nn.LogSoftmax(1)).attribute(x, b, target=0)
    assert maps.sum().item() == pytest.approx(19400.0)


@pytest.mark.parametrize("step", [1e-4, 1e-7])
def test_baselines_close_to_inputs_have_the_gradient_as_multiplier(step: float) -> None:
    x = torch.linspace(-2, 2, 9)[:, None]
    slopes = attributors.Saliency(nn.GELU()).attribute(x, abs=False)
    maps = attributors.DeepLift(nn.GELU()).attribute(x, x - step * x.abs().clamp(min=0.1))
    multipliers = maps / (x - (x - step * x.abs().clamp(min=0.1)))
    known = multipliers.isfinite()
    assert torch.allclose(multipliers[known], slopes[known], rtol=0.01, atol=2 * step + 1e-3)
    assert known.sum() > 6


def test_strides_that_a_faster_layout_would_change_are_read_as_they_are() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8 * 8 * 8, 2)

        def forward(self, x):
            h = self.conv(x).relu()
            return self.head(torch.as_strided(h, (len(h), 512), (512, 1)))

    net = Windows().double().eval()
    x = torch.randn(2, 3, 8, 8).double().requires_grad_()
    (expected,) = torch.autograd.grad(net(x)[:, 1].sum(), x)
    assert torch.allclose(attributors.Saliency(net).attribute(x.detach(), 1, abs=False), expected)
