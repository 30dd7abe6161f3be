"""Kinds of layers by the names that PnPXAI 0.1 has for them."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

__all__ = ["Attention", "Convolution", "LSTM", "Linear", "ModuleKind", "RNN", "SupportedModules"]


class ModuleKind:
    """A kind of layers."""

    modules: ClassVar[tuple[type[nn.Module], ...]] = ()
    """The layers of torch that are of this kind."""


class Linear(ModuleKind):
    """Linear layers."""

    modules = (nn.Linear,)


class Convolution(ModuleKind):
    """Convolutions."""

    modules = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LSTM(ModuleKind):
    """Long short-term memories."""

    modules = (nn.LSTM,)


class RNN(ModuleKind):
    """Recurrent networks without gates."""

    modules = (nn.RNN,)


class Attention(ModuleKind):
    """Attention."""

    modules = (nn.MultiheadAttention,)


_BY_PART: dict[str, tuple[type[ModuleKind], ...]] = {
    "linear": (Linear,),
    "convolution": (Convolution,),
    "recurrent": (LSTM, RNN),
    "attention": (Attention,),
}


class SupportedModules:
    """The attribute ``SUPPORTED_MODULES`` of a class: the kinds in its ``needs``, all where nothing is needed."""

    def __get__(self, instance: object, owner: type) -> list[type[ModuleKind]]:
        """Return the kinds of layers of which a model must have one."""
        needs = getattr(owner, "needs", frozenset()) or _BY_PART
        return [kind for part, kinds in _BY_PART.items() if part in needs for kind in kinds]
