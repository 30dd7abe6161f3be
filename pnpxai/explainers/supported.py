"""Defines kinds of layers under the names that PnPXAI 0.1 has for them."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

__all__ = ["Attention", "Convolution", "LSTM", "Linear", "ModuleKind", "RNN", "SupportedModules"]


class ModuleKind:
    """Names a kind of layers."""

    modules: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Classes of torch's layers of this kind."""


class Linear(ModuleKind):
    """Names linear layers."""

    modules = (nn.Linear,)


class Convolution(ModuleKind):
    """Names convolutions."""

    modules = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LSTM(ModuleKind):
    """Names long short-term memories."""

    modules = (nn.LSTM,)


class RNN(ModuleKind):
    """Names recurrent networks without gates."""

    modules = (nn.RNN,)


class Attention(ModuleKind):
    """Names attention."""

    modules = (nn.MultiheadAttention,)


_BY_PART: dict[str, tuple[type[ModuleKind], ...]] = {
    "linear": (Linear,),
    "convolution": (Convolution,),
    "recurrent": (LSTM, RNN),
    "attention": (Attention,),
}


class SupportedModules:
    """Computes the attribute ``SUPPORTED_MODULES`` of a class: the kinds in its ``needs``, or all if it needs none."""

    def __get__(self, instance: object, owner: type) -> list[type[ModuleKind]]:
        """Return the kinds of layers of which a model must have one."""
        needs = getattr(owner, "needs", frozenset()) or _BY_PART
        return [kind for part, kinds in _BY_PART.items() if part in needs for kind in kinds]
