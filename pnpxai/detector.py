"""Detects facts about a model: its parts as declared, and its behaviour while it runs on one example."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pnpxai.attributors.attention.maps import attention_pass
from pnpxai.attributors.attention.rollout import AttentionRollout
from pnpxai.attributors.cam.feature_maps import last_feature_map
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.score import Score, select_output
from pnpxai.engine.seeing.module_kinds import CONVOLUTIONS, NORMS
from pnpxai.engine.seeing.operations import Operation, Operations, operation_name
from pnpxai.engine.seeing.token_grid import Sides
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.model_types import Keywords, Model, ModelInputs, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat

__all__ = ["ModelFacts", "detect"]

_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "convolution": CONVOLUTIONS,
    "linear": (nn.Linear, nn.Bilinear),
    "recurrent": (nn.RNNBase, nn.RNNCellBase),
    "attention": (nn.MultiheadAttention,),
    "embedding": (nn.Embedding, nn.EmbeddingBag),
    "normalization": NORMS,
}

_OPERATIONS: dict[str, tuple[str, ...]] = {
    "convolution": ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    "linear": ("linear", "bilinear", "addmm", "multi_head_attention_forward"),
    "recurrent": ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    "embedding": ("embedding", "embedding_bag"),
    "normalization": ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"),
}


@dataclass(frozen=True)
class ModelFacts:
    """What a model is made of.

    Attributes:
        name: the model's class.
        parts: the kinds of layers found: convolution, linear, recurrent, attention, embedding, normalization.
        is_module: whether its inside can be seen at all.
        differentiable: whether it has gradients; a function may say that it has none by an attribute of this name.
        rectified: whether a ReLU was found, as a module or by name in a forward method.
        ran: whether the model was run, so that parts and ReLUs are those that took part, functions too.
        feature_map: if it ran, the name of the layer with the last map of the input's positions, if there is one.
        grid: the sides of that map; of a transformer the grid of its patches.
        no_feature_map: if it ran, why there is none.
        no_attention_map: if it ran and attention was seen, why that says nothing of the input's positions, if so.
    """

    name: str
    parts: frozenset[str]
    is_module: bool
    rectified: bool = False
    ran: bool = False
    feature_map: str | None = None
    grid: Sides | None = None
    no_feature_map: str | None = None
    no_attention_map: str | None = None
    differentiable: bool = True

    def has(self, part: str) -> bool:
        """Tell whether a kind of layer was found."""
        return part in self.parts


def detect(model: Model, inputs: ModelInputs = None) -> ModelFacts:
    """Return the facts about a model.

    Without inputs nothing is run: modules are known by their types, and attention that is no torch module by its name.
    With inputs their first example is run, and the facts are what was seen: operations, wherever they are called, and
    softmax weights that values are multiplied with. What runs inside scripted parts is not seen.

    Args:
        model: the model.
        inputs: a batch as explainers take it, or its ``Arguments``.
    """
    facts = _declared(model)
    return facts if inputs is None or not facts.is_module else _seen(facts, model, inputs)


def _declared(model: Model) -> ModelFacts:
    module = module_of(model)
    if module is None:
        name = getattr(model, "__name__", type(model).__name__)
        return ModelFacts(name, frozenset(), False, differentiable=getattr(model, "differentiable", True))
    parts = {kind for kind, types in _KINDS.items() for m in module.modules() if isinstance(m, types)}
    if any(map(_attends, module.modules())):
        parts.add("attention")
    return ModelFacts(type(module).__name__, frozenset(parts), True, any(map(_rectifies, module.modules())))


def _attends(module: nn.Module) -> bool:
    """Tell attention that is no torch module by its name, as in transformers and timm, or by the function it calls."""
    return "attention" in type(module).__name__.lower() or "scaled_dot_product_attention" in _named(module)


def _rectifies(module: nn.Module) -> bool:
    held = {getattr(value, "__name__", "") for value in vars(module).values()}
    return isinstance(module, nn.ReLU) or not (_named(module) | held).isdisjoint({"relu", "relu_"})


def _named(module: nn.Module) -> set[str]:
    """Return the names that a module's forward method mentions."""
    code = getattr(getattr(type(module), "forward", None), "__code__", None)  # a scripted one's class has none
    return set(code.co_names) if code else set()


def _seen(facts: ModelFacts, model: Model, inputs: ModelInputs) -> ModelFacts:
    arguments = inputs if isinstance(inputs, Arguments) else Arguments.read(inputs, model=model)
    names: set[str] = set()

    def note(function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        names.add(operation_name(function))
        return function(*args, **kwargs)

    with borrowed(model):
        one = arguments.score(model, _first_output).take(torch.tensor([0]))
        first = tuple(x[:1] for x in arguments.explained)
        with torch.no_grad(), Operations(note):
            one(first)
        parts = {part for part, operations in _OPERATIONS.items() if not names.isdisjoint(operations)}
        no_map = None
        if _attention_runs(one, first):
            parts.add("attention")
            no_map = _against_attention(one, first)
        rectified = not names.isdisjoint({"relu", "relu_"})
        facts = replace(facts, parts=frozenset(parts), rectified=rectified, ran=True, no_attention_map=no_map)
        try:
            site, layout = last_feature_map(one, first)
        except UnsuitableError as reason:
            return replace(facts, no_feature_map=str(reason))
    return replace(facts, feature_map=site.name, grid=layout.sides)


def _attention_runs(score: Score, inputs: Tensors) -> bool:
    try:
        attention_pass(score, inputs)
    except UnsuitableError:
        return False
    return True


def _against_attention(score: Score, inputs: Tensors) -> str | None:
    try:
        AttentionRollout(score.forward, "mean", 0.0, "bilinear").attribute(inputs, _first_output, score.extra)
    except UnsuitableError as reason:
        return str(reason)
    return None


def _first_output(output: ModelOutput) -> Tensor:
    """Return (1,) the first number of the output, of which there is one example; of several tensors their sum."""
    try:
        chosen = select_output(output)
    except ArgumentError:  # which is explained, a function of the output will say
        return torch.stack([t.sum() for t in flat(output) if t.is_floating_point()]).sum()[None]
    return chosen.reshape(len(chosen), -1)[:, 0]
