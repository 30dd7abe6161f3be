"""The mean of several explainers' maps."""

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
from pnpxai.model_types import Model, ModelInputs
from pnpxai.strategies.normalization import Normalization
from pnpxai.tensors import as_tuple, like

__all__ = ["Ensemble"]


class Ensemble(Explainer):
    """Mean of the normalised maps of several explainers. Rieger and Hansen, 2019 (arXiv:1903.00519).

    Each map has its scale taken away, example by example, so that none outweighs the others; a map without channels
    counts for every channel. Layer and extractors are the ensemble's; members have none of their own.
    """

    explainers: Annotated[tuple[Any, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = (
        "GradientXInput",
        "IntegratedGradients",
        "GradientShap",
    )
    """The members: names, for explainers with their defaults, or explainers, of which only the settings count."""
    normalization_fn: Annotated[Normalization | str, Choice()] = "maxabs"
    """How scales are taken away."""

    stochastic: ClassVar[bool] = True
    repeated: ClassVar[bool] = True

    def check(self) -> None:
        """Refuse what is no explainer, and members with a layer or extractors of their own."""
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
        """Return a member that explains what the ensemble explains."""
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

    def attribute(self, inputs: ModelInputs, seed: int | RandomStream = 0, **arguments: Any) -> Any:
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
