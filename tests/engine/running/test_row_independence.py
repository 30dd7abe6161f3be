"""Models whose rows depend on each other, or that take one batch size: every method equals the loop over steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import pnpxai.attributors as A  # noqa: N812
import pnpxai.explainers
from pnpxai.attributors.gradient.paths import quadrature
from pnpxai.engine.running.batching import in_blocks
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import Score
from pnpxai.errors import ConfinedError, OutOfMemoryError
from pnpxai.testing.zoo import CASES as KNOWN

D = torch.float64
EDGES = torch.tensor([[0, 1, 2, 3, 4, 0, 2, 4, 1], [1, 2, 3, 4, 0, 3, 0, 2, 4]])


class Nodes(nn.Module):
    """A graph network with one row of output for each node."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x, edges):
        h = self.a(x)
        return self.b(torch.tanh(torch.zeros_like(h).index_add(0, edges[1], h[edges[0]])))


class Graph(Nodes):
    """One output row for the graph."""

    def forward(self, x, edges):
        return super().forward(x, edges).mean(0, keepdim=True)


class Dense(Nodes):
    """The edges are a matrix (nodes, nodes), which has as many rows as there are nodes."""

    def forward(self, x, adjacency):
        return self.b(torch.tanh(adjacency @ self.a(x)))


class BatchStatistics(nn.Module):
    """Normalised by the batch in eval mode too."""

    def __init__(self):
        super().__init__()
        self.a, self.n, self.b = nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2)

    def forward(self, x):
        return self.b(torch.tanh(self.n(self.a(x))))


class RowsAttend(nn.Module):
    """Each row attends to all rows of the batch."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.b = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.b(torch.softmax(self.q(x) @ self.k(x).T, -1) @ self.v(x))


class Centred(RowsAttend):
    """The batch's mean is taken off."""

    def forward(self, x):
        return self.b(torch.tanh(self.v(x - x.mean(0))))


class FixedState(nn.Module):
    """A recurrent network whose first state is made for a batch of five."""

    def __init__(self):
        super().__init__()
        self.r, self.h = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.h(self.r(x[:, None], torch.full((1, 5, 4), 0.1, dtype=x.dtype))[0][:, -1])


def exported():
    return torch.export.export(KNOWN["mlp"]().model, (KNOWN["mlp"]().inputs,)).module()


MODELS = {
    "nodes": (Nodes, (EDGES,)),
    "graph": (Graph, (EDGES,)),
    "dense": (Dense, (torch.eye(5, dtype=D) + torch.eye(5, dtype=D).roll(1, 0),)),
    "batch statistics": (BatchStatistics, ()),
    "rows attend": (RowsAttend, ()),
    "centred": (Centred, ()),
    "fixed state": (FixedState, ()),
}


@pytest.fixture(params=MODELS)
def case(request):
    make, extra = MODELS[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().double(), torch.randn(5, 3, dtype=D), extra


def score_of(model, extra):
    return lambda x: model(x, *extra)[:, 1]


def gradient_of(f, x):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def equal(found, right):
    assert found.shape == right.shape
    assert torch.allclose(found, right, rtol=1e-9, atol=1e-9 * float(right.abs().max()))


def test_gradient(case):
    model, x, extra = case
    equal(
        A.Saliency(model).attribute(x, 1, abs=False, additional_forward_args=extra),
        gradient_of(score_of(model, extra), x),
    )


def test_integrated_gradients_are_the_loop(case):
    model, x, extra = case
    nodes, weights = quadrature("gausslegendre", 7)
    right = x * sum(w * gradient_of(score_of(model, extra), n * x) for n, w in zip(nodes, weights, strict=True))
    equal(A.IntegratedGradients(model).attribute(x, target=1, additional_forward_args=extra, n_steps=7), right)


def test_noise_of_size_zero(case):
    model, x, extra = case
    found = A.NoiseTunnel(A.Saliency(model)).attribute(
        x, target=1, additional_forward_args=extra, stdevs=0.0, nt_samples=3, abs=False
    )
    equal(found, gradient_of(score_of(model, extra), x))


@pytest.mark.parametrize("at_once", [1, 3])
def test_ablation_is_the_loop(case, at_once):
    model, x, extra = case
    f, losses = score_of(model, extra), []
    with torch.no_grad():
        for k in range(3):
            without = x.clone()
            without[:, k] = 0
            losses.append(f(x) - f(without))
    found = A.FeatureAblation(model).attribute(
        x, target=1, additional_forward_args=extra, perturbations_per_eval=at_once
    )
    equal(found, torch.stack(losses, 1).expand(len(found), 3))


def test_gradient_shap_with_one_baseline_and_no_noise_lies_on_the_path(case):
    """Each sample is a gradient on the straight line; of many, the mean tends to integrated gradients."""
    model, x, extra = case
    found = A.GradientShap(model).attribute(x, torch.zeros_like(x[:1]), 200, 0.0, 1, extra)
    right = A.IntegratedGradients(model).attribute(x, target=1, additional_forward_args=extra)
    if type(model) in (Nodes, Graph, Dense, FixedState):  # elsewhere each row's own draw changes the others
        assert (found - right).abs().max() < 0.25 * right.abs().max()
    assert torch.isfinite(found).all()


def test_layer_integrated_gradients_are_the_loop(case):
    model, x, extra = case
    layer = "r" if isinstance(model, FixedState) else "a" if hasattr(model, "a") else "v"
    if layer == "r":
        return
    inner = dict(model.named_modules())[layer]

    def from_layer(value):
        hook = inner.register_forward_hook(lambda module, args, output: value)
        try:
            return model(x, *extra)[:, 1]
        finally:
            hook.remove()

    kept = {}
    hook = inner.register_forward_hook(lambda module, args, output: kept.update(value=output.detach()))
    model(x, *extra)
    end = kept["value"]
    model(0 * x, *extra)
    start = kept["value"]
    hook.remove()
    nodes, weights = quadrature("gausslegendre", 5)
    slopes = sum(w * gradient_of(from_layer, start + n * (end - start)) for n, w in zip(nodes, weights, strict=True))
    found = A.LayerIntegratedGradients(model, layer).attribute(x, target=1, additional_forward_args=extra, n_steps=5)
    equal(found, (end - start) * slopes)


@pytest.mark.parametrize("explainer", ["IntegratedGradients", "DeepLift", "GradientShap"])
def test_only_all_sums_together_must_come_out(explainer):
    """A node's attributions are shares of its neighbours' scores too: no node has a gap of its own."""
    torch.manual_seed(0)
    model, x = Nodes().double(), torch.randn(5, 3, dtype=D)
    settings = {"noise_level": 0.0, "n_samples": 100} if explainer == "GradientShap" else {}
    explanation = getattr(pnpxai.explainers, explainer)(
        model, forward_arg_extractor=lambda i: i[0], additional_forward_arg_extractor=lambda i: i[1], **settings
    ).explain((x, EDGES), [1] * 5)
    with torch.no_grad():
        rise = (model(x, EDGES) - model(0 * x, EDGES))[:, 1].sum()
    assert torch.allclose(explanation.attributions[0].sum() - rise, explanation.gap.sum(), atol=1e-9)
    assert explanation.gap.abs().max() < (0.05 if explainer == "GradientShap" else 1e-3)
    assert torch.isfinite(explanation.attributions[0]).all()


def test_a_batch_larger_than_a_pass_is_not_split_where_rows_depend_on_each_other():
    torch.manual_seed(0)
    model, x = Nodes().double(), torch.randn(700, 3, dtype=D)
    edges = torch.stack([torch.arange(700), torch.arange(700).roll(1)])
    found = A.Saliency(model).attribute(x, 1, abs=False, additional_forward_args=(edges,))
    equal(found, gradient_of(score_of(model, (edges,)), x))


def test_an_exported_program_takes_its_own_batch_alone():
    known = KNOWN["mlp"]()
    program = exported()
    settings = {"target": known.targets, "n_steps": 6}
    equal(
        A.IntegratedGradients(program).attribute(known.inputs, **settings),
        A.IntegratedGradients(known.model).attribute(known.inputs, **settings),
    )
    equal(
        A.FeatureAblation(program).attribute(known.inputs, target=known.targets),
        A.FeatureAblation(known.model).attribute(known.inputs, target=known.targets),
    )


@pytest.mark.parametrize("name", ["mlp", "cnn", "tokens", "two_inputs"])
def test_rows_of_ordinary_models_are_apart_and_asked_once(name):
    known, passes = KNOWN[name]().copy(), []
    known.model.register_forward_hook(lambda module, args, output: passes.append(len(output)))
    score = Score.of(known.model, known.tensors, known.targets)
    assert rows_are_apart(score, known.tensors, 100)
    assert len(passes) == 3
    assert rows_are_apart(score.take(torch.tensor([0])), tuple(x[:1] for x in known.tensors), 100)  # another size
    assert rows_are_apart(Score.of(known.model, known.tensors, 0), known.tensors, 100)  # another class
    assert len(passes) == 3


def test_a_target_that_joins_rows_is_noticed():
    known = KNOWN["mlp"]()
    assert not rows_are_apart(Score.of(known.model, known.tensors, lambda o: o.softmax(0)[:, 0]), known.tensors, 100)


def test_rows_that_must_stay_together_and_do_not_fit_are_refused():
    def visit(block):
        raise torch.OutOfMemoryError

    with pytest.raises(OutOfMemoryError, match="4 rows that the model computes together do not fit"):
        in_blocks(4, 3, 4, visit, apart=lambda: False)


def test_nothing_is_asked_where_every_pass_holds_one_step_of_all_examples():
    asked = []
    in_blocks(4, 3, 7, lambda block: None, apart=lambda: asked.append(1) or True)
    in_blocks(4, 1, 100, lambda block: None, apart=lambda: asked.append(1) or True)
    assert not asked


class Keeps(nn.Module):
    """The next call starts where this one ended; ``where`` it keeps that."""

    def __init__(self, where):
        super().__init__()
        self.a, self.b, self.where = nn.Linear(3, 4), nn.Linear(4, 2), where
        self.attribute, self.tensor, self.items, self.names = 0.0, torch.zeros(4, dtype=D), [0.0], {"h": 0.0}
        self.register_buffer("buffer", torch.zeros(4))
        self.other = SimpleNamespace(h=0.0)

    def forward(self, x):
        kept = {
            "an attribute": self.attribute, "a tensor": self.tensor.clone(), "a list": self.items[-1],
            "a dictionary": self.names["h"], "a buffer": self.buffer.clone(), "an object": self.other.h,
        }[self.where]  # fmt: skip
        h = self.a(x) + kept
        new = h.detach().mean(0)
        if self.where == "an object":
            self.other.h = new
        self.attribute, self.names["h"] = new, new
        self.tensor.copy_(new)
        self.items.append(new)
        self.buffer.mul_(0.5).add_(new)
        return self.b(h.tanh())


@pytest.mark.parametrize("where", ["an attribute", "a tensor", "a list", "a dictionary", "a buffer"])
def test_a_model_that_keeps_values_between_its_calls_starts_each_pass_as_it_was(where):
    model, x = Keeps(where).double(), torch.randn(5, 3, dtype=D)
    right = nn.Sequential(model.a, nn.Tanh(), model.b)  # which keeps nothing
    for method in (A.IntegratedGradients, A.FeatureAblation, A.DeepLift, A.LRP):
        found, wanted = (method(m).attribute(x, target=0) for m in (model, right))
        assert torch.allclose(found, wanted), method
    assert (model.attribute, model.items, model.names) == (0.0, [0.0], {"h": 0.0})
    assert not torch.cat([model.tensor, model.buffer]).any()


def test_a_model_that_keeps_values_out_of_reach_is_refused():
    model, x = Keeps("an object").double(), torch.randn(5, 3, dtype=D)
    for method in (A.IntegratedGradients, A.FeatureAblation, A.DeepLift):
        with pytest.raises(ConfinedError, match="keeps values between its calls"):
            method(model).attribute(x, target=0)


def test_a_model_that_draws_numbers_is_one_function_and_says_so():
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), Drops(), nn.Linear(8, 2)).double()
    x, outside = torch.randn(5, 3, dtype=D), torch.get_rng_state()
    with pytest.warns(UserWarning, match="draws random numbers in eval mode"):
        found, delta = A.IntegratedGradients(model).attribute(x, target=0, return_convergence_delta=True)
    assert delta.abs().max() < 1e-6
    assert torch.equal(outside, torch.get_rng_state())
    with pytest.warns(UserWarning, match="draws random numbers"):
        again = A.IntegratedGradients(model).attribute(x, target=0)
    assert torch.equal(found, again)


class Drops(nn.Module):
    """Dropout that nobody closes."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5)


def test_a_users_function_draws_anew_between_passes():
    drawn = []

    def baselines():
        drawn.append(torch.randn(2, 3, dtype=D))
        return drawn[-1]

    model, x = nn.Linear(3, 2).double(), torch.randn(4, 3, dtype=D)
    for _ in range(2):
        A.GradientShap(model).attribute(x, baselines, n_samples=2, target=0)
    assert len(drawn) == 2


def test_what_is_tried_is_such_as_the_model_may_be_given():
    """Rows stay within a quarter of the examples' range: a user's own hooks see them, too."""
    seen: list[torch.Tensor] = []
    model = nn.Sequential(nn.Linear(3, 2))
    model.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = torch.randn(4, 3).abs() + 1
    assert rows_are_apart(Score.of(model, (x,), 0), (x,), 256)
    tried = torch.cat(seen)
    assert (tried <= 1.25 * x.amax(0)).all()
    assert (tried >= 0.5 * x.amin(0)).all()
