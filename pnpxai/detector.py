"""Facts about a model: what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from pnpxai.engine.guard import module_of

__all__ = ["ModelFacts", "detect"]

_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "convolution": (nn.modules.conv._ConvNd,),
    "linear": (nn.Linear, nn.Bilinear),
    "recurrent": (nn.RNNBase, nn.RNNCellBase),
    "attention": (nn.MultiheadAttention,),
    "embedding": (nn.Embedding, nn.EmbeddingBag),
    "normalization": (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm),
}


@dataclass(frozen=True)
class ModelFacts:
    """What a model is made of.

    Attributes:
        name: the model's class.
        parts: the kinds of layers found: convolution, linear, recurrent, attention, embedding, normalization.
        is_module: whether its inside can be seen at all.
        rectified: whether a ReLU was found, as a module or by name in a forward method.
    """

    name: str
    parts: frozenset[str]
    is_module: bool
    rectified: bool = False

    def has(self, part: str) -> bool:
        """Tell whether a kind of layer was found."""
        return part in self.parts


def detect(model: Any) -> ModelFacts:
    """Return the facts about a model; nothing is run."""
    module = module_of(model)
    if module is None:
        return ModelFacts(getattr(model, "__name__", type(model).__name__), frozenset(), False)
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
    code = getattr(type(module).forward, "__code__", None)
    return set(code.co_names) if code else set()
