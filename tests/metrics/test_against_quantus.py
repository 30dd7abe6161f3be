"""Where Quantus is right, the numbers are the same."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.complexity import Complexity, Sparseness
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.flipping import MoRF
from pnpxai.metrics.localisation import AUROC, PointingGame, RelevanceMassAccuracy, RelevanceRankAccuracy
from pnpxai.metrics.randomisation.randomisation import RandomLogit
from pnpxai.metrics.robustness.sensitivity import AvgSensitivity, LocalLipschitz, RelativeOutputStability, Sensitivity
from tests.on_demand import OnDemand

quantus = OnDemand("quantus")
pytestmark = pytest.mark.filterwarnings("ignore")  # Quantus' own

PLAIN = {"abs": False, "normalise": False, "disable_warnings": True, "return_aggregate": False}
Y = np.array([0, 1, 2])


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3)).eval()


def _draw(seed: int) -> Tensor:
    return torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


X, MAPS = _draw(0), _draw(1)
MASKS = _draw(2) > 0.7


def _theirs(metric: Any, net: nn.Module, **more: Any) -> list[float]:
    given = {"x_batch": X.numpy(), "y_batch": Y, "a_batch": MAPS.numpy().copy(), "device": "cpu"}
    return [float(v) for v in np.asarray(metric(model=net, **(given | more))).reshape(-1)]


def test_curves_of_removal(net: nn.Module) -> None:
    theirs = quantus.PixelFlipping(features_in_step=8, perturb_baseline=0.0, **PLAIN)
    curves = _theirs(theirs, net, softmax=True)
    ours = MoRF(net, n_steps=9).measure(X, Y.tolist(), MAPS).curves["morf"]
    assert ours[:, 1:].flatten().tolist() == pytest.approx(curves, abs=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs", "more"),
    [
        (RelevanceRankAccuracy, "RelevanceRankAccuracy", {}),
        (RelevanceMassAccuracy, "RelevanceMassAccuracy", {}),
        (PointingGame, "PointingGame", {}),
        (AUROC, "AUC", {}),
        (Complexity, "Complexity", {"s_batch": None}),
        (Sparseness, "Sparseness", {"s_batch": None}),
    ],
)
def test_what_only_looks_at_the_map(net: nn.Module, ours: type, theirs: str, more: dict[str, Any]) -> None:
    wanted = _theirs(getattr(quantus, theirs)(**PLAIN), net, **({"s_batch": MASKS.numpy()} | more))
    found = ours(net).evaluate(X, Y.tolist(), MAPS, masks=MASKS)
    assert found.tolist() == pytest.approx(wanted, abs=1e-5)


def test_subsets_of_the_same_pixels(net: nn.Module) -> None:
    """The subsets that were drawn here are handed to Quantus one by one."""
    seen: list[Tensor] = []
    handle = net.register_forward_pre_hook(lambda module, args: None if is_probe() else seen.append(args[0].clone()))
    ours = FaithfulnessCorrelation(net, subset_fraction=0.25, n_runs=20).evaluate(X[:1], 0, MAPS[:1])
    handle.remove()
    gone = iter((torch.cat(seen)[1:] != X[:1]).flatten(1))
    theirs = quantus.FaithfulnessCorrelation(nr_runs=20, subset_size=16, perturb_baseline=0.0, **PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "choice", lambda *args, **more: next(gone).nonzero()[:, 0].numpy())
        wanted = _theirs(theirs, net, x_batch=X[:1].numpy(), y_batch=Y[:1], a_batch=MAPS[:1].numpy(), softmax=False)
    assert ours.tolist() == pytest.approx(wanted, abs=1e-5)


def _explain(model: Any, inputs: Any, targets: Any, **more: Any) -> np.ndarray:
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float32)
    return Gradient(model).attribute(x, np.asarray(targets).tolist()).numpy()


FREE = {"floor": 1e-9, "eps_min": 1e-9, "epsilon": 0.02}
"""Denominators as they are, and noise that changes no class."""


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (Sensitivity, "MaxSensitivity", {}),
        (AvgSensitivity, "AvgSensitivity", {}),
        (LocalLipschitz, "LocalLipschitzEstimate", {"normalize": False}),
        (RelativeOutputStability, "RelativeOutputStability", FREE),
    ],
)
def test_copies_with_the_same_noise(net: nn.Module, ours: type, theirs: str, settings: dict[str, Any]) -> None:
    explainer = Gradient(net)
    maps = explainer.attribute(X, Y.tolist())
    seen: list[Tensor] = []
    handle = net.register_forward_pre_hook(
        lambda module, args: None if is_probe() else seen.append(args[0].detach().clone())
    )
    found = ours(net, explainer, n_iter=5, **settings).evaluate(X, Y.tolist(), maps)
    handle.remove()
    rows = [row for row in torch.cat(seen).unique(dim=0) if not any(torch.equal(row, x) for x in X)]
    order = [[r for r in rows if (r - x).abs().max() < 0.3] for x in X]  # the copies of each example
    copies = iter(torch.stack([torch.stack(own) for own in order], 1).reshape(5, 3, 64).numpy())
    metric = getattr(quantus, theirs)(nr_samples=5, perturb_func=lambda arr, **more: next(copies), **PLAIN)
    wanted = _theirs(metric, net, a_batch=maps.numpy(), explain_func=_explain, softmax=False)
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)


def test_the_map_of_the_other_of_two_classes() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 2)).eval()
    explainer, targets = Gradient(net), [0, 1, 1]
    maps = explainer.attribute(X, targets)
    theirs = quantus.RandomLogit(similarity_func=quantus.similarity_func.correlation_spearman, num_classes=2, **PLAIN)
    given = {"y_batch": np.array(targets), "a_batch": maps.numpy(), "explain_func": _explain, "softmax": False}
    wanted = _theirs(theirs, net, **given)
    assert RandomLogit(net, explainer).evaluate(X, targets, maps).tolist() == pytest.approx(wanted, abs=1e-5)
