"""Rules of relevance under captum's names, for ``module.rule = GammaRule()``: a user's own derives from the base."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from pnpxai.model_types import ModelInputs, ModelOutput

__all__ = ["Alpha1_Beta0_Rule", "EpsilonRule", "GammaRule", "IdentityRule", "PropagationRule"]


class PropagationRule(ABC):
    """Changes the weights of a copy of a module; relevance is then shared by what that copy's inputs contribute.

    A rule of one's own overrides ``_manipulate_weights``. The module itself is never changed; ``module.rule`` stays.
    """

    STABILITY_FACTOR: float = 1e-9

    def __init__(self, set_bias_to_zero: bool = False) -> None:
        self.set_bias_to_zero = set_bias_to_zero

    @abstractmethod
    def _manipulate_weights(self, module: nn.Module, inputs: ModelInputs, outputs: ModelOutput) -> None:
        """Change the parameters of ``module`` (a copy) in place."""

    def _drop_bias(self, module: nn.Module) -> None:
        bias = getattr(module, "bias", None)
        if self.set_bias_to_zero and bias is not None:
            bias.data.zero_()


class EpsilonRule(PropagationRule):
    """Shares in proportion to contributions; epsilon keeps denominators from zero. Bach et al., 2015."""

    def __init__(self, epsilon: float = 1e-9) -> None:
        super().__init__()
        self.STABILITY_FACTOR = epsilon

    def _manipulate_weights(self, module: nn.Module, inputs: ModelInputs, outputs: ModelOutput) -> None:
        pass


class GammaRule(PropagationRule):
    """Weighs positive weights more: w + gamma max(w, 0). Montavon et al., 2019."""

    def __init__(self, gamma: float = 0.25, set_bias_to_zero: bool = False) -> None:
        super().__init__(set_bias_to_zero)
        self.gamma = gamma

    def _manipulate_weights(self, module: nn.Module, inputs: ModelInputs, outputs: ModelOutput) -> None:
        weight = getattr(module, "weight", None)
        if weight is not None:
            weight.data += self.gamma * weight.data.clamp(min=0)
        self._drop_bias(module)


class Alpha1_Beta0_Rule(PropagationRule):  # noqa: N801  (captum's name)
    """Keeps positive weights only. Montavon et al., 2019."""

    def _manipulate_weights(self, module: nn.Module, inputs: ModelInputs, outputs: ModelOutput) -> None:
        weight = getattr(module, "weight", None)
        if weight is not None:
            weight.data.clamp_(min=0)
        self._drop_bias(module)


class IdentityRule(EpsilonRule):
    """Passes relevance through unchanged; input and output must have the same number of values."""
