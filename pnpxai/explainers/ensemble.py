"""Explains by the mean of several explainers' maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.attributors.base import Attributor, Configured
from pnpxai.declare.declared import Choice
from pnpxai.declare.registry import by_name
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.model_types import Attributions, Model, ModelInputs
from pnpxai.strategies.normalization import Normalization
from pnpxai.tensors import as_tuple, like

__all__ = ["Ensemble"]


class Ensemble(Explainer):
    """Computes 1/n sum_k a_k / max |a_k| over the maps a_k of n explainers. Rieger and Hansen, 2019 (arXiv:1903.00519).

    Each map is normalised by ``normalization_fn``, example by example, so that none outweighs the others. A map without
    channels counts for every channel. Layer and extractors are set on the ensemble; members have none.
    """

    explainers: Annotated[tuple[Any, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = (
        "GradientXInput",
        "IntegratedGradients",
        "GradientShap",
    )
    """Members: explainers, of which only the settings count, or names of explainers with their defaults."""
    normalization_fn: Annotated[Normalization | str, Choice()] = "maxabs"
    """Normalisation of each member's map."""

    stochastic: ClassVar[bool] = True
    repeated: ClassVar[bool] = True

    def check(self) -> None:
        """Refuse members that are not explainers, and members with their own layer or extractors."""
        super().check()
        if not self.explainers:
            raise ArgumentError("Ensemble: explainers: expected at least one, got none")
        for member in self.explainers:
            if isinstance(member, str):
                by_name(Explainer, member, "Ensemble: explainers")
            elif not isinstance(member, Explainer):
                raise ArgumentError(f"Ensemble: explainers: expected names or explainers, got {type(member).__name__}")
            elif taken := [name for name in _SHARED if getattr(member, name) is not None]:
                raise ArgumentError(f"Ensemble: explainers: {member!r} has its own {taken[0]}; give it to the ensemble")

    def attributor(self) -> Attributor:
        """Return the mean of the members' backends."""
        members = [
            by_name(Explainer, m, "")(self.model) if isinstance(m, str) else m.replace(model=self.model)
            for m in self.explainers
        ]
        backends = [(type(m).__name__, self._there(m).attributor(), m.stochastic) for m in members]
        return _Mean(self.forward_func, backends, Normalization.from_name(self.normalization_fn))

    def _there(self, member: Explainer) -> Explainer:
        """Return the member at the ensemble's layer."""
        if member.layer_is_site:
            return member.replace(layer=self.layer)
        return member.replace(model=self.forward_func)


_SHARED = ("forward_arg_extractor", "additional_forward_arg_extractor", "layer")


class _Mean(Attributor):
    def __init__(
        self,
        forward_func: Model,
        backends: Sequence[tuple[str, Attributor | Configured, bool]],  # name, backend, whether it takes a seed
        normalize: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__(forward_func)
        self.backends = backends
        self.normalize = normalize

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        return sum(backend.cost(inputs) for _, backend, _ in self.backends)

    def attribute(self, inputs: ModelInputs, seed: int | RandomStream = 0, **arguments: Any) -> Attributions:
        count = len(as_tuple(inputs))
        totals: list[Any] = [0] * count
        with borrowed(self.forward_func):
            for name, backend, seeded in self.backends:
                drawn = {"seed": seed} if seeded else {}
                maps = as_tuple(backend.attribute(inputs, **arguments, **drawn))
                if len(maps) != count:
                    raise UnsuitableError(f"Ensemble: {name} gives {len(maps)} map for {count} inputs")
                totals = [t + self.normalize(m) / len(self.backends) for t, m in zip(totals, maps, strict=True)]
        return like(inputs, totals)
